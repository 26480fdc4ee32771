"""``bus_amqp.source.state_table``: what a table refuses when it is made, and what it answers."""

from enum import Enum, StrEnum
from typing import Any

import pytest

from bus_amqp.errors import EventBusException, IllegalTransitionError, InvalidArgumentError
from bus_amqp.source.state_table import StateTable, Transition

DOOR = [(None, "Build", "Shut"), ("Shut", "Push", "Open"), ("Open", "Pull", "Shut"), ("Open", "Push", "Open")]


class Door(StrEnum):
    """A caller's own states."""

    OPEN = "Open"
    SHUT = "Shut"


class Plain(Enum):
    """No texts."""

    OPEN = "Open"


@pytest.fixture
def door() -> StateTable:
    return StateTable("Door", DOOR, initial="Shut")


def test_a_table_knows_its_states_its_events_and_what_is_allowed(door: StateTable) -> None:
    """An operator's page shows the buttons that work."""
    assert door.states == ("Shut", "Open")
    assert door.events == ("Build", "Push", "Pull")
    assert door.allowed("Open") == ("Pull", "Push")
    assert door.allowed(None) == ("Build",)
    assert door.transitions[1] == Transition("Shut", "Push", "Open")
    assert "2 states" in repr(door)


@pytest.mark.parametrize(("state", "event", "new_state"), DOOR)
def test_each_line_of_the_table_is_kept(door: StateTable, state: str | None, event: str, new_state: str) -> None:
    """A self transition and a beginning are lines like others."""
    assert door.target(state, event) == new_state


@pytest.mark.parametrize(
    ("state", "event", "told"),
    [
        ("Shut", "Pull", r"Door in state Shut does not take Pull \(allowed: Push\)"),
        ("Shut", "Pusch", r"no state of it has that event: did you mean Push\?"),
        ("Shutt", "Push", r"Door has no state 'Shutt': did you mean Shut\?"),
        (None, "Push", r"Door that does not exist yet does not take Push \(allowed: Build\)"),
        ("Shut", None, "does not take None"),
        ("Shut", [], "does not take"),
        ([], "Push", "has no state"),
    ],
)
def test_what_is_not_in_the_table_is_refused_with_what_is(door: StateTable, state: Any, event: Any, told: str) -> None:
    """Who reads the log at night learns state, event and what would have been allowed."""
    with pytest.raises(IllegalTransitionError, match=told) as caught:
        door.target(state, event)

    assert (caught.value.machine, caught.value.state, caught.value.event) == ("Door", state, event)
    assert caught.value.allowed == door.allowed(state)
    assert isinstance(caught.value, EventBusException)


def test_a_state_without_a_way_out_says_so() -> None:
    """An empty list of what is allowed would look like a fault of the message."""
    with pytest.raises(IllegalTransitionError, match="nothing is allowed there"):
        StateTable("Fuse", [("Whole", "Burn", "Burnt")], initial="Whole").target("Burnt", "Burn")


def test_members_of_a_str_enum_are_words_like_others() -> None:
    """Who has an enumeration for a column gets its members back."""
    table = StateTable("Door", [(Door.SHUT, "Push", Door.OPEN)], initial=Door.SHUT)

    assert table.target("Shut", "Push") is Door.OPEN
    assert table.target(Door.SHUT, "Push") is Door.OPEN


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"transitions": []}, "Door has no transition"),
        ({"initial": "Shutt"}, r"initial state 'Shutt' is in no transition: did you mean Shut\?"),
        ({"initial": None}, "initial state None"),
        ({"entries": ["Ajar"]}, "entry 'Ajar' is in no transition"),
        ({"transitions": [*DOOR, DOOR[1]]}, r"\('Shut', 'Push', 'Open'\) stands there twice"),
        ({"transitions": [*DOOR, ("Shut", "Push", "Shut")]}, "Push in state Shut leads to Open and to Shut: keep one"),
        ({"transitions": [*DOOR, ("Ajar", "Push", "Open")]}, "nothing leads to Ajar from Shut"),
        ({"transitions": [*DOOR, ("Shut", "Lock")]}, r"\('Shut', 'Lock'\) is not \(state, event, new state\)"),
        ({"transitions": [*DOOR, "Lock"]}, "'Lock' is not"),
        ({"transitions": [*DOOR, (Plain.OPEN, "Lock", "Shut")]}, "state in .* must be a text or a member of a StrEnum"),
        ({"transitions": [*DOOR, ("Shut", "", "Open")]}, "event in"),
        ({"transitions": [*DOOR, ("Shut", "Lock", None)]}, "new state in"),
        ({"name": ""}, "name must be a text"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_meant_is_refused_where_it_is_written(fields: dict[str, Any], told: str) -> None:
    """Not at the first event that needs the line, in the night."""
    given: dict[str, Any] = {"name": "Door", "transitions": DOOR, "initial": "Shut", **fields}

    with pytest.raises(InvalidArgumentError, match=told):
        StateTable(given.pop("name"), given.pop("transitions"), **given)


def test_what_others_set_is_an_entry() -> None:
    """A state that no event leads to is no mistake, if it is said."""
    table = StateTable("Door", [*DOOR, ("Ajar", "Push", "Open")], initial="Shut", entries=["Ajar"])

    assert table.target("Ajar", "Push") == "Open"
