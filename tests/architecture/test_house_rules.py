"""The rules of the design's section 6 that no linter knows.  Each is a few lines over the syntax trees."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source_files import PACKAGE, TOP, called_name, names_imported, places, trees

LINES_AT_MOST = 300


def test_threads_are_constructed_only_where_threads_are_born():
    """A list of all threads is complete only while one file makes them (design, section 6)."""
    makers = {"Thread", "Timer", "ThreadPoolExecutor", "start_new_thread"}

    def may_make_threads(path: str) -> bool:
        # The conformance suite is a test that we ship: its threads are the callers that a transport has to bear.
        return path == "bus_amqp/ioloop/service.py" or path.startswith("bus_amqp/testing/conformance/")

    assert places(lambda node: called_name(node) in makers, allowed=may_make_threads) == []


def test_the_environment_is_read_only_in_the_settings():
    """A setting that is read elsewhere would be missing from the documented ones, and from their checks.

    (`environment.py` only hands our variables to the settings, and tells the shortcut whether there are any.)
    """

    may_read = {"bus_amqp/settings.py", "bus_amqp/environment.py"}

    def reads_the_environment(node: ast.AST) -> bool:
        words = {"environ", "environb", "getenv", "getenvb"}
        return (isinstance(node, ast.Attribute) and node.attr in words) or any(
            name.split(".")[-1] in words for name in names_imported(node)
        )

    assert places(reads_the_environment, allowed=lambda path: path in may_read) == []


def test_only_the_output_of_the_command_line_prints():
    """A library that prints spoils the output of the program that uses it."""

    def prints(node: ast.AST) -> bool:
        is_stream = isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr", "__stdout__", "__stderr__"}
        owner = node.value if isinstance(node, ast.Attribute) else None
        of_sys = isinstance(owner, ast.Name) and owner.id == "sys"
        return called_name(node) in {"print", "echo", "secho", "Console", "Live"} or (is_stream and of_sys)

    may_print = {"bus_amqp/cli/output.py", "bus_amqp/cli/drawing.py"}
    assert places(prints, allowed=lambda path: path in may_print) == []


def test_kombu_and_py_amqp_are_imported_only_behind_the_seam():
    """Everything above the seam runs on memory as on RabbitMQ, also imports hidden in functions."""
    foreign = {"kombu", "amqp", "vine"}

    assert (
        places(
            lambda node: any(name.split(".")[0] in foreign for name in names_imported(node)),
            allowed=lambda path: path.startswith("bus_amqp/transport/amqp/"),
        )
        == []
    )


def test_nothing_inside_leans_on_the_front_door():
    """`from bus_amqp import` inside the package ties every file to every other: cycles start there."""
    assert (
        places(lambda node: isinstance(node, ast.ImportFrom) and node.module == "bus_amqp", allowed=_is_open_to_users)
        == []
    )


def test_imports_are_absolute():
    """One spelling for each module: a search for its name finds all its users."""
    assert places(lambda node: isinstance(node, ast.ImportFrom) and node.level > 0, allowed=lambda path: False) == []


@pytest.mark.parametrize("path", [path for path in trees() if path.endswith("/__init__.py") and path.count("/") > 1])
def test_an_inner_init_holds_a_docstring_and_nothing_else(path: str):
    """What an inner package re-exports has two names, and importing one file of it imports them all."""
    tree = trees()[path]

    assert ast.get_docstring(tree), f"{path} says nothing of what its folder is"
    assert len(tree.body) == 1


@pytest.mark.parametrize("path", trees())
def test_a_file_starts_with_its_docstring(path: str):
    """Who opens a file learns in one sentence what it is and what it is not."""
    assert ast.get_docstring(trees()[path]), path


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    """Three hundred lines at most, tests and benchmarks included; what is generated is searched, not read."""
    folders = [TOP / name for name in ("bus_amqp", "tests", "benchmarks")]
    files = [file for folder in folders for file in folder.rglob("*.py") if not _is_generated(file)]

    assert [f"{file.relative_to(TOP)}: {_lines(file)} lines" for file in files if _lines(file) > LINES_AT_MOST] == []


def test_a_broad_except_says_why():
    """A fault that is caught by accident is one that nobody hears of; what cleans up and raises is no catch."""
    silent = [
        f"{path}:{node.lineno}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not isinstance(node.body[-1], ast.Raise)
        and "  # " not in (TOP / path).read_text().splitlines()[node.lineno - 1]
    ]

    assert silent == []


def test_every_test_says_what_it_proves():
    """The docstring of a test says what promise would break; without it nobody dares to change the test."""
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees(TOP / "tests").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_no_test_sleeps():
    """A sleep is too long on a fast machine and too short on a slow one: wait for a condition, with a deadline."""
    sleeping = [
        f"{path}:{node.lineno}"
        for path, tree in trees(TOP / "tests").items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        for node in ast.walk(function)
        if called_name(node) == "sleep" and ast.unparse(node).startswith(("time.sleep", "sleep"))
    ]

    assert sleeping == []


def _is_open_to_users(path: str) -> bool:
    """Extensions are built on the front door, as a user's would be."""
    return path.startswith("bus_amqp/extension/")


def _is_generated(file: Path) -> bool:
    return "\nGenerated by ``make schemas``" in file.read_text()[:300]


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def test_the_package_is_where_these_tests_look():
    """A moved folder must not turn all of the above into tests of nothing."""
    assert len(trees()) > 30, PACKAGE
