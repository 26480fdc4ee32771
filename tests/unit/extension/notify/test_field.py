"""``FieldPath``: what a name in a rule finds in an event."""

from uuid import UUID

import pytest

from bus_amqp import Event, InvalidArgumentError
from bus_amqp.extension.notify.field import MISSING, parse_field

EVENT = Event(
    event_category="AlertEvent",
    event_type="ALERT.MEMORY",
    event_source="management-server",
    event_id=UUID("0197f3c2-5b1e-7c44-9d2a-3f6b8e1d7a90"),
    details={"memory": {"percent": 91, "free": None}, "disks": [{"name": "a"}, "b"], "vm.name": {"x": 1}, "zero": 0},
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_type", "ALERT.MEMORY"),
        ("event_id", "0197f3c2-5b1e-7c44-9d2a-3f6b8e1d7a90"),
        ("resource_uuid", MISSING),
        ("correlation_id", MISSING),
        ("details.memory.percent", 91),
        ("details.memory", {"percent": 91, "free": None}),
        ("details.memory.free", MISSING),
        ("details.memory.percent.more", MISSING),
        ("details.disks.0.name", "a"),
        ("details.disks.1", "b"),
        ("details.disks.2", MISSING),
        ("details.disks.-1", MISSING),
        ("details.vm.name.x", 1),
        ("details.vm.nam", MISSING),
        ("details.zero", 0),
    ],
)
def test_a_name_finds_its_value(name: str, value: object) -> None:
    """A rule that looks into the wrong place is silent, and silence looks like peace."""
    assert parse_field(name).value_of(EVENT) == value
    assert str(parse_field(name)) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("detals.x", "no field detals: did you mean details?"),
        ("zzz", "there are event_category, event_type"),
        ("details", "'details' names nothing in the details"),
        ("details.a..b", "names nothing"),
        ("event_type.x", "only the details"),
        ("", "no field"),
    ],
)
def test_a_name_that_no_event_has_is_refused(name: str, fault: str) -> None:
    """A misspelt field would never be there, and its rule never speak."""
    with pytest.raises(InvalidArgumentError, match=fault):
        parse_field(name)
