"""The source files as syntax trees, for the tests of this folder."""

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "bus_amqp"


@cache
def trees(folder: Path = PACKAGE) -> dict[str, ast.Module]:
    """Return the tree of every file of the folder, by its path as written from the top."""
    files = sorted(file for file in folder.rglob("*.py") if "__pycache__" not in file.parts)
    return {file.relative_to(TOP).as_posix(): ast.parse(file.read_text()) for file in files}


def places(is_hit: Callable[[ast.AST], bool], *, allowed: Callable[[str], bool]) -> list[str]:
    """Return where, outside the allowed files, a node of the package is a hit."""
    return [
        f"{path}:{getattr(node, 'lineno', 0)}"
        for path, tree in trees().items()
        if not allowed(path)
        for node in ast.walk(tree)
        if is_hit(node)
    ]


def names_imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules, and the names from modules, that an import statement binds."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom(module=str() as module):
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules_leant_on(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of every import, wherever it stands.

    What is imported from a package that only holds others is a module of it; from elsewhere, a name.
    """
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom(module=str() as module):
                yield from ((node.lineno, _module_of(module, alias.name)) for alias in node.names)


def _module_of(module: str, name: str) -> str:
    if module == "bus_amqp":
        is_module = (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()
    else:
        is_module = module == "bus_amqp.extension"
    return f"{module}.{name}" if is_module else module


def called_name(node: ast.AST) -> str:
    """Return the last word of what is called (``Thread`` in ``threading.Thread(...)``); "" if nothing is."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
    return ""
