"""``docs/seed.md``, the table from the design document to the code, is true: what it names is there."""

import ast
import re
from pathlib import Path
from pkgutil import resolve_name

TOP = Path(__file__).parents[2]
SEED = TOP / "docs" / "seed.md"
DOCUMENT_TESTS = Path(__file__).with_name("test_design_document.py")


def rows() -> list[list[str]]:
    """Sentence, symbol and test of each row of the table."""
    lines = [line for line in SEED.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_every_row_of_the_seed_table_holds() -> None:
    """A row that names a symbol or a test that is gone would promise what nobody checks."""
    assert len(rows()) > 25
    for sentence, symbol, test in rows():
        assert sentence
        assert symbol, f"{sentence}: no symbol"
        assert _exists(symbol), f"{sentence}: no symbol {symbol}"
        path, _, name = test.partition("::")
        assert name, f"{sentence}: no test"
        assert name in _tests_in(TOP / path), f"{sentence}: no test {test}"


def test_every_test_of_the_design_document_has_a_row() -> None:
    """Who looks for what holds a sentence finds all of it in the table."""
    named = {test.partition("::")[2] for _, _, test in rows()}

    assert _tests_in(DOCUMENT_TESTS) <= named


def _exists(symbol: str) -> bool:
    owner, _, name = symbol.rpartition(".")
    try:
        found = resolve_name(owner)
    except (ImportError, AttributeError):
        return False
    # A field of a model is no attribute of its class.
    return name in getattr(found, "model_fields", {}) or hasattr(found, name)


def _tests_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
