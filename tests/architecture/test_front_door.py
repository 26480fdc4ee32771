"""What importing the package costs and shows, seen from a fresh interpreter."""

import ast
import subprocess
import sys
from functools import cache

import pytest

from tests.architecture.source_files import trees

NAMES_OF_THE_DESIGN = (
    "connect",
    "Event",
    "EventTopic",
    "EventCategory",
    "Subscribers",
    "EventBus",
    "EventBusException",
    # What users catch, annotate and build with, met in review.
    "NotFoundOnBrokerError",
    "ChannelLostError",
    "Gap",
    "SubscriptionHealth",
    "SubscriptionStats",
    "PublisherHealth",
    "load_settings",
)


@cache
def imported_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after the statement."""
    told = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("unwanted", ["kombu", "amqp", "pydantic_settings", "typer", "rich"])
def test_importing_what_events_need_loads_neither_kombu_nor_settings(unwanted: str):
    """A script that only builds events must not wait for libraries it does not use (pydantic-settings: 200 ms)."""
    assert unwanted not in imported_by("from bus_amqp import Event, EventTopic, connect")


def test_importing_the_package_alone_loads_none_of_its_files():
    """The shortcut of `publish --spool` comes through this door, and has no time for pydantic."""
    assert {name for name in imported_by("import bus_amqp") if name.startswith(("bus_amqp.", "pydantic"))} == set()


@pytest.mark.parametrize("name", NAMES_OF_THE_DESIGN)
def test_the_front_door_has_the_names_of_the_design(name: str):
    """Users import from the package root and from nowhere else."""
    import bus_amqp

    assert hasattr(bus_amqp, name)
    assert name in bus_amqp.__all__


def test_every_name_of_the_front_door_is_there():
    """A name that `__all__` promises and nobody defines breaks the first user who imports it."""
    import bus_amqp

    assert [name for name in bus_amqp.__all__ if not hasattr(bus_amqp, name)] == []


def test_table_imports_and_list_of_the_front_door_agree():
    """Programs go by the table, type checkers by the imports, `import *` by the list: all must mean the same names."""
    import bus_amqp

    [for_checkers] = [
        node
        for node in trees()["bus_amqp/__init__.py"].body
        if isinstance(node, ast.If) and node.orelse == [] and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    imported = {
        alias.name: node.module
        for node in for_checkers.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == bus_amqp._HOME_OF
    assert sorted(imported) == sorted(bus_amqp.__all__)
    assert set(imported) <= set(dir(bus_amqp))


def test_each_name_is_the_one_of_the_file_that_defines_it():
    """A second class of one name would not be caught by an `except` of the first."""
    import bus_amqp

    for name, module in bus_amqp._HOME_OF.items():
        assert getattr(bus_amqp, name) is getattr(sys.modules[module], name), name


def test_a_misspelt_name_is_told():
    """Loading late must not mean to learn late: the name is refused where it is asked for, with the nearest one."""
    told = subprocess.run([sys.executable, "-c", "import bus_amqp\nbus_amqp.Evnt"], capture_output=True, text=True)

    assert "module 'bus_amqp' has no attribute 'Evnt'. Did you mean: 'Event'?" in told.stderr
    with pytest.raises(ImportError, match="cannot import name 'Evnt' from 'bus_amqp'"):
        exec("from bus_amqp import Evnt")


def test_files_of_the_vocabulary_are_reached_through_the_package():
    """`import bus_amqp` has always brought `bus_amqp.errors` and its neighbours; programs that lean on it go on."""
    program = "import bus_amqp; print(bus_amqp.errors.OutboxFullError.__name__, bus_amqp.settings.Settings.__name__)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout == "OutboxFullError Settings\n"


def test_a_bus_needs_no_name_that_is_not_loaded_yet():
    """A thread, or a child forked while another thread imports, could wait for that import for ever."""
    import bus_amqp

    assert set(bus_amqp._HOME_OF.values()) <= imported_by(
        "import bus_amqp.engine.brokered_bus, bus_amqp.engine.connect"
    )
