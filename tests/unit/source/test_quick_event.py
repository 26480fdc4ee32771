"""``bus_amqp.source.quick_event``: what it makes is what ``Event`` makes, and what it cannot judge it leaves alone."""

import pickle
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.event import Event, recast
from bus_amqp.source.quick_event import quick_event
from bus_amqp.source.usage_details import UsageDetails
from bus_amqp.wire.codec import encode

WORDS = st.sampled_from(["", "VM.START", "6f2d", "Ü", "\ud800", 7, None])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "resource_type": WORDS,
    "resource_uuid": WORDS,
    "description": WORDS,
    "correlation_id": WORDS,
    "causation_id": st.sampled_from([None, UUID(int=7), "6f2d"]),
    "event_id": st.sampled_from([None, UUID(int=8), 7]),
    "nonsense": st.just(1),
}
DETAILS = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.sampled_from(
        ["x", 1, True, None, 1.5, float("nan"), 1 << 20_000, [1, {"c": None}], {"d": float("inf")}, object]
    ),
)


@given(st.fixed_dictionaries({}, optional=FIELDS), WORDS, DETAILS)
def test_it_makes_what_event_makes_or_nothing(fields: dict[str, Any], event_type: Any, details: dict[str, Any]) -> None:
    """A shortcut that lets something through would put events on the wire that no subscriber can read."""
    event = quick_event("ActionEvent", event_type, "management-server", details, fields)

    if event is not None:
        made = {"event_id": event.event_id, "event_time": event.event_time}
        checked = Event(
            event_category="ActionEvent", event_type=event_type, event_source="management-server", details=details,
            **{**fields, **made},
        )  # fmt: skip
        assert event == checked
        assert event.model_fields_set == set(Event.model_fields)
        ours, theirs = (encode(one, max_event_bytes=1 << 20) for one in (event, checked))
        assert (ours.body, ours.routing_key) == (theirs.body, theirs.routing_key)


def test_the_usual_event_takes_the_short_way() -> None:
    """Otherwise the above would prove nothing, and publishing through a source would cost twice as much."""
    fields = {"resource_uuid": "6f2d", "description": "starts", "causation_id": uuid4(), "correlation_id": "job-7"}

    assert quick_event("ActionEvent", "VM.START", "management-server", {"account": "acme", "count": 2}, fields)


@pytest.mark.parametrize("copy", [lambda event: event.model_copy(), lambda event: event.model_copy(deep=True)])
def test_it_is_an_event_like_any_other(copy: Any) -> None:
    """It is copied, compared, hashed and written like one; a copy that changes leaves the others alone."""
    event = quick_event("ActionEvent", "VM.START", "management-server", {}, {})
    assert event is not None

    again = copy(event)
    again.model_fields_set.clear()

    assert again == event
    assert hash(again) == hash(event)
    assert event.model_fields_set == set(Event.model_fields)
    assert Event.model_validate_json(event.model_dump_json()) == event
    with pytest.raises(ValueError, match="frozen"):
        event.event_type = "VM.STOP"  # type: ignore[misc]  # on purpose


def test_events_share_nothing_that_can_be_changed() -> None:
    """pydantic hands its set of fields out as it is: what one subscriber did to it would change all later events."""
    first = quick_event("ActionEvent", "VM.START", "management-server", {}, {})
    assert first is not None

    first.model_fields_set.clear()

    second = quick_event("ActionEvent", "VM.START", "management-server", {}, {})
    assert second is not None
    assert second.model_fields_set == set(Event.model_fields)


def test_it_goes_through_pickle_and_becomes_typed_like_any_other() -> None:
    """Event is generic: an event of a source is handed to another process, and read by whoever asks for its details."""
    event = quick_event("UsageEvent", "VM.START", "management-server", {"account": "acme"}, {})
    assert event is not None

    again = pickle.loads(pickle.dumps(event))
    typed = recast(event, Event[UsageDetails], UsageDetails(account="acme"))

    assert again == event
    assert again.__getstate__() == event.__getstate__()
    assert type(again) is Event
    assert pickle.loads(pickle.dumps(typed)) == typed
    assert typed.details.account == "acme"
    assert event.details == {"account": "acme"}
