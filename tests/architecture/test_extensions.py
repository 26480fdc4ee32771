"""Extensions are built on the front door alone, as any user's would be: what they need, users have.

Said in syntax trees, because import-linter cannot: it has lists of what is forbidden, in which the next new folder
would be missing, and no way to allow a package's own `__init__` without all that lies behind it.
"""

import ast
from collections.abc import Iterable

import pytest

from tests.architecture.source_files import PACKAGE, TOP, modules_leant_on, trees

EXTENSIONS = "bus_amqp.extension"
# An extension that serves what our own sources publish has to name them.
ALSO_OPEN = {f"{EXTENSIONS}.cloudstack": "bus_amqp.source"}


SHARED = {f"{EXTENSIONS}.{file.stem}" for file in (PACKAGE / "extension").glob("[!_]*.py")}


def beside_the_front_door(path: str, tree: ast.Module, shared: Iterable[str] = SHARED) -> list[str]:
    """Return the places where a file of an extension imports what users are not offered.

    ``shared``: files beside the extensions' folders, which all of these may lean on; on each other they may not.
    """
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    extension = ".".join(name.split(".")[:3])
    opened = [extension, *shared, *(module for owner, module in ALSO_OPEN.items() if _is_within(name, owner))]
    return [
        f"{path}:{line} imports {module}"
        for line, module in modules_leant_on(tree)
        if _is_within(module, "bus_amqp") and module not in ("bus_amqp", EXTENSIONS)
        if not any(_is_within(module, owner) for owner in opened)
    ]


def _is_within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def test_extensions_use_the_front_door_alone():
    """An extension that needs more than a user has is no proof that users could have written it."""
    files = {path: tree for path, tree in trees(PACKAGE).items() if path.startswith("bus_amqp/extension/")}

    assert [place for path, tree in files.items() for place in beside_the_front_door(path, tree)] == []


@pytest.mark.parametrize(
    ("path", "text", "imported"),
    [
        ("webhook/delivery.py", "from bus_amqp.engine.connect import connect", "bus_amqp.engine.connect"),
        ("webhook/delivery.py", "from bus_amqp import engine", "bus_amqp.engine"),
        ("webhook/delivery.py", "import bus_amqp.event", "bus_amqp.event"),
        ("webhook/delivery.py", "def late():\n    from bus_amqp.event import Event", "bus_amqp.event"),
        ("webhook/delivery.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bus_amqp.bus",
         "bus_amqp.bus"),
        ("webhook/delivery.py", "from bus_amqp.extension.notify.rules import Rule", "bus_amqp.extension.notify.rules"),
        ("webhook/delivery.py", "from bus_amqp.extension import notify", "bus_amqp.extension.notify"),
        ("webhook/delivery.py", "from bus_amqp.source.usage import UsageEvents", "bus_amqp.source.usage"),
        ("cloudstack/bridge.py", "from bus_amqp.admin.groups import Groups", "bus_amqp.admin.groups"),
    ],
)  # fmt: skip
def test_an_extension_that_goes_round_the_front_door_is_found(path: str, text: str, imported: str):
    """The rule bites, for imports in functions and for typing alone as well."""
    (place,) = beside_the_front_door(f"bus_amqp/extension/{path}", ast.parse(text))

    assert place.endswith(f"imports {imported}")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("webhook/delivery.py", "import json\nfrom bus_amqp import Event, EventTopic"),
        ("webhook/delivery.py", "import bus_amqp\nfrom bus_amqp.extension.webhook.history import History"),
        ("cloudstack/bridge.py", "from bus_amqp.source.state import StateMachine"),
        ("cloudstack.py", "from bus_amqp.source.state import StateMachine"),
        ("webhook/rules.py", "from bus_amqp.extension.toml_file import read"),
        ("webhook/rules.py", "from bus_amqp.extension import toml_file"),
        ("__init__.py", "import json"),
    ],
)
def test_what_a_user_may_do_an_extension_may(path: str, text: str):
    """Its own files, what all extensions share, the front door, and for CloudStack what it translates into."""
    shared = [f"{EXTENSIONS}.toml_file"]

    assert beside_the_front_door(f"bus_amqp/extension/{path}", ast.parse(text), shared) == []


def test_the_examples_use_the_front_door_alone():
    """They are there to be copied: what they import, a user can."""
    examples = trees(TOP / "docs")
    leant_on = {module for tree in examples.values() for _, module in modules_leant_on(tree)}

    assert len(examples) >= 3
    assert {module for module in leant_on if _is_within(module, "bus_amqp")} == {"bus_amqp"}
