"""``bus_amqp.event``: what the constructor accepts, refuses and fills in."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from bus_amqp.event import MAX_DETAILS_DEPTH, Event, EventCategory, new_event_id
from tests.unit.fakes import an_event

SIX = {"event_category": "ActionEvent", "event_type": "VM.START", "event_source": "management-server"}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"deeper": value}
    return value


@pytest.mark.parametrize("field", ["event_category", "event_type", "event_source"])
@pytest.mark.parametrize("fault", ["missing", "", None, 7, ["VM"]])
def test_a_required_field_that_is_missing_empty_or_no_text_is_refused_by_name(field: str, fault: object) -> None:
    """Bad input: without these three an event could neither be routed nor understood."""
    fields = {**SIX, field: fault}
    if fault == "missing":
        del fields[field]

    with pytest.raises(ValidationError) as refused:
        Event(**fields)

    assert [one["loc"][0] for one in refused.value.errors()] == [field]
    assert f"\n{field}\n" in str(refused.value)


@pytest.mark.parametrize(
    ("field", "fault", "says"),
    [
        ("resource_type", 5, "valid string"),
        ("resource_uuid", ["x"], "valid string"),
        ("description", {}, "valid string"),
        ("event_id", "not an id", "valid UUID"),
        ("event_time", datetime(2026, 1, 1), "timezone"),  # noqa: DTZ001 -- the fault under test
        ("event_time", "yesterday", "valid datetime"),
        ("event_time", datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "year 9999"),
        ("event_time", datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "year 1"),
        ("details", [1, 2], "valid dictionary"),
        ("details", {"load": float("nan")}, "must be finite"),
        ("details", {"load": [float("inf")]}, "must be finite"),
        ("details", {"at": datetime(2026, 1, 1, tzinfo=UTC)}, "datetime is not a JSON value"),
        ("details", {"names": {1, 2}}, "set is not a JSON value"),
        ("details", {"deep": {5: "x"}}, "key 5 is not a string"),
        ("details", {"huge": 10**5000}, "no JSON reader"),
        ("details", nested(MAX_DETAILS_DEPTH + 1), "deeper than 64 levels"),
        ("correlation_id", 5, "valid string"),
        ("causation_id", "no", "valid UUID"),
    ],
)
def test_a_wrong_value_is_refused_at_construction_and_the_error_reads_well(
    field: str, fault: object, says: str
) -> None:
    """Bad input: what is wrong is known where it was written, not by a dead letter on another machine."""
    with pytest.raises(ValidationError) as refused:
        # huge integers cannot even be printed, so pydantic must not try to
        Event(**{**SIX, field: fault})

    errors = refused.value.errors(include_input=False)
    assert errors[0]["loc"][0] == field
    assert says in errors[0]["msg"]
    assert all("[" not in str(part) for error in errors for part in error["loc"]), "pydantic's inner names show"


def test_details_that_contain_themselves_are_refused() -> None:
    """Bad input: a loop would never end on its way to JSON."""
    details: dict[str, Any] = {}
    details["again"] = details

    with pytest.raises(ValidationError, match="deeper than 64 levels"):
        Event(**SIX, details=details)


@pytest.mark.parametrize("value", ["NaN", "1e999", "[" * 64 + "]" * 64], ids=["nan", "too large", "too deep"])
def test_pydantics_own_door_is_as_narrow(value: str) -> None:
    """What it let in could be handled, and then not be published: its JSON parser knows NaN and 200 levels."""
    text = json.dumps({**SIX, "details": {"x": "value"}}).replace('"value"', value)

    with pytest.raises(ValidationError, match="details"):
        Event.model_validate_json(text)
    assert Event.model_validate_json(text.replace(value, "1.5")).details == {"x": 1.5}


def test_details_of_exactly_the_allowed_depth_are_taken() -> None:
    """The limit is 64, not 63: the decoder counts the same way."""
    assert Event(**SIX, details=nested(MAX_DETAILS_DEPTH)).details == nested(MAX_DETAILS_DEPTH)


def test_an_unknown_argument_is_refused() -> None:
    """A typing error in an optional name would otherwise be a silent loss."""
    with pytest.raises(ValidationError, match="resource_uid"):
        Event(**SIX, resource_uid="vm-1")


def test_the_wire_names_are_no_arguments() -> None:
    """One way to write it in Python: camelCase belongs to the wire."""
    with pytest.raises(ValidationError, match="eventCategory"):
        Event(**SIX, eventCategory="ActionEvent")


def test_an_event_fills_in_its_envelope() -> None:
    """Design, section 3: id, time and empty defaults come by themselves."""
    before = datetime.now(UTC)

    event = Event(**SIX)

    assert (event.resource_type, event.resource_uuid, event.description, event.details) == ("", "", "", {})
    assert (event.correlation_id, event.causation_id) == (None, None)
    assert before <= event.event_time <= datetime.now(UTC)
    assert event.event_id.version == 7


def test_none_for_an_optional_field_is_its_default() -> None:
    """Callers pass on what they have; null means absent, in Python as on the wire."""
    names = ("resource_type", "resource_uuid", "description", "event_id", "event_time", "details")

    event = Event(**SIX, **dict.fromkeys(names))

    assert (event.resource_type, event.resource_uuid, event.description, event.details) == ("", "", "", {})
    assert event.event_id.version == 7
    assert event.event_time.tzinfo is UTC


def test_an_aware_time_is_kept_in_utc() -> None:
    """Readers compare times of many machines: one zone, the same instant."""
    local = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    event = Event(**SIX, event_time=local)

    assert event.event_time == local
    assert event.event_time.tzinfo is UTC
    assert event.event_time.hour == 6


def test_events_are_frozen_equal_by_their_fields_and_hashed_by_their_id() -> None:
    """Subscribers share one event among threads and keep ids in sets to drop duplicates."""
    event = an_event(1)
    copy = event.model_copy()

    with pytest.raises(ValidationError, match="frozen"):
        event.event_type = "VM.STOP"  # type: ignore[misc]  # the fault under test

    assert event == copy
    assert {event: 1}[copy] == 1
    assert event != an_event(1)


def test_default_details_are_not_shared() -> None:
    """A dict shared by all events would carry one event's details into the next."""
    first, second = Event(**SIX), Event(**SIX)

    first.details["touched"] = True

    assert second.details == {}


def test_the_categories_of_the_design_document_are_known_and_others_allowed() -> None:
    """Categories are open strings; the five names are only a help."""
    assert [str(category) for category in EventCategory] == [
        "ActionEvent", "AlertEvent", "UsageEvent", "ResourceStateEvent", "AsyncJobEvent",
    ]  # fmt: skip
    assert an_event(event_category=EventCategory.USAGE).event_category == "UsageEvent"
    assert an_event(event_category="Gossip").event_category == "Gossip"


def test_ids_are_unique_uuids_of_version_7_with_the_time_in_front() -> None:
    """Receivers drop duplicates by id, and stores index by it: it must sort by time and never repeat."""
    earliest = time.time_ns() // 1_000_000
    ids = [new_event_id() for _ in range(2000)]
    latest = time.time_ns() // 1_000_000

    assert len(set(ids)) == len(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}
    milliseconds = [one.int >> 80 for one in ids]
    assert milliseconds == sorted(milliseconds)
    assert earliest <= milliseconds[0] <= milliseconds[-1] <= latest


def test_ids_of_later_milliseconds_sort_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random bits must not spill into the time."""
    moments = iter(range(1_800_000_000_000, 1_800_000_000_500))
    monkeypatch.setattr(time, "time_ns", lambda: next(moments) * 1_000_000)

    ids = [new_event_id() for _ in range(500)]

    assert ids == sorted(ids)
    assert ids[0] < UUID(int=ids[1].int)
