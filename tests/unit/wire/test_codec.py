"""``bus_amqp.wire.codec``: an event to a message and back, and bare messages of others."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError, RoutingKeyTooLongError
from bus_amqp.event import Event
from bus_amqp.wire.codec import decode, encode
from bus_amqp.wire.message import Message, Properties
from tests.unit.fakes import FakeDelivery, an_event
from tests.unit.strategies import events
from tests.unit.wire.bodies import MIB, SIX, a_body, decode_body

FOREIGN_ID = UUID("0ba2b596-152e-5ac7-95f3-33ad53c9925d")


def delivered(message: Message) -> FakeDelivery:
    """Return what a consumer gets of a published message."""
    properties = Properties(
        message.content_type, message.message_id, message.timestamp, message.type, message.app_id, message.headers or {}
    )
    return FakeDelivery(body=message.body, routing_key=message.routing_key, properties=properties)


@settings(max_examples=80)
@given(events())
def test_what_the_constructor_accepts_comes_out_of_the_decoder_as_it_was(event: Event) -> None:
    """Never a message that our own decoder would refuse, and never one that means something else."""
    try:
        message = encode(event, max_event_bytes=MIB)
    except RoutingKeyTooLongError:
        return

    assert decode(delivered(message)) == event
    assert 0 <= message.timestamp < 2**64
    assert max(len(text.encode()) for text in (message.type, message.app_id, message.message_id)) <= 255


def test_the_json_has_the_design_documents_names() -> None:
    """Subscribers in other languages read these, and only these."""
    event = an_event(details={"cpu": 4, "none": None}, correlation_id="c", causation_id=uuid4())

    body = json.loads(encode(event, max_event_bytes=MIB).body)

    assert list(body) == [
        "eventCategory", "eventType", "eventSource", "resourceType", "resourceUUID", "description",
        "eventId", "eventTime", "details", "correlationId", "causationId",
    ]  # fmt: skip
    assert body["details"] == {"cpu": 4, "none": None}
    assert body["eventTime"].endswith("Z")


def test_the_properties_repeat_what_operators_look_for() -> None:
    """Design, section 3: id, time, type and source can be seen without opening the body."""
    event = an_event(event_time=datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC))

    message = encode(event, max_event_bytes=MIB)

    assert message.message_id == str(event.event_id)
    assert message.timestamp == int(datetime(2026, 3, 1, 12, 0, tzinfo=UTC).timestamp())
    assert (message.type, message.app_id) == ("VM.START", "management-server")
    assert message.content_type == "application/json"
    assert message.routing_key.count(".") == 4


def test_an_event_before_1970_has_no_timestamp_property_and_keeps_its_time() -> None:
    """AMQP's timestamp is unsigned: a negative one could not be sent at all."""
    event = an_event(event_time=datetime(1969, 7, 20, tzinfo=UTC))

    message = encode(event, max_event_bytes=MIB)

    assert message.timestamp == 0
    assert decode(delivered(message)).event_time == event.event_time


@pytest.mark.parametrize("value", ["{}", None, 5, {"event_type": "x"}, Event])
def test_only_an_event_can_be_published(value: Any) -> None:
    """Bad input: said at ``publish``, with what was given."""
    with pytest.raises(InvalidArgumentError, match=f"takes an Event, not {type(value).__name__}") as refused:
        encode(value, max_event_bytes=MIB)

    assert isinstance(refused.value, TypeError)


def test_an_event_over_the_limit_is_refused_with_both_numbers() -> None:
    """Bad input: refused at ``publish``, nothing sent; exactly the limit is taken."""
    event = an_event(description="x" * 2000)
    size_bytes = len(encode(event, max_event_bytes=MIB).body)

    encode(event, max_event_bytes=size_bytes)
    with pytest.raises(EventTooLargeError, match=rf"{size_bytes} bytes.*{size_bytes - 1}.*description or details"):
        encode(event, max_event_bytes=size_bytes - 1)


@pytest.mark.parametrize("value", [object(), {1, 2} | {object()}, b"\xff\xfe", "\ud800", lambda: None])
def test_details_that_were_changed_to_something_unwritable_are_refused(value: Any) -> None:
    """``details`` is a dict that a caller may still hold: what it became must not end the publisher."""
    event = an_event(details={"fine": 1})
    event.details["changed"] = value

    with pytest.raises(InvalidArgumentError, match="cannot be written as JSON"):
        encode(event, max_event_bytes=MIB)


def test_details_that_were_made_to_contain_themselves_are_refused() -> None:
    """The same, for the change that would recurse for ever."""
    event = an_event(details={"fine": 1})
    event.details["changed"] = event.details

    with pytest.raises(InvalidArgumentError):
        encode(event, max_event_bytes=MIB)


@pytest.mark.parametrize("content_type", ["", "application/json", "application/json; charset=utf-8", "text/plain"])
def test_a_bare_message_with_the_six_fields_is_an_event(content_type: str) -> None:
    """The design document's first implementation publishes this, and people do by hand."""
    before = datetime.now(UTC)

    event = decode(FakeDelivery(body=a_body(), content_type=content_type, properties=Properties()))

    assert (event.event_type, event.resource_uuid, event.description) == ("VM.START", "vm-1", "started")
    assert before <= event.event_time <= datetime.now(UTC)


def test_only_the_three_required_fields_are_required() -> None:
    """Everything else has a default, on the wire as in Python."""
    body = json.dumps({name: SIX[name] for name in ("eventCategory", "eventType", "eventSource")}).encode()

    event = decode_body(body)

    assert (event.resource_type, event.resource_uuid, event.description) == ("", "", "")


def test_nulls_are_defaults_and_unknown_keys_are_ignored() -> None:
    """Other languages write null for absent, and newer versions write keys that we do not know yet."""
    names = (
        "resourceType",
        "resourceUUID",
        "description",
        "eventId",
        "eventTime",
        "details",
        "correlationId",
        "causationId",
    )

    event = decode_body(a_body(**dict.fromkeys(names), colour="red", event_type="ours"), timestamp=1_700_000_000)

    assert (event.resource_type, event.resource_uuid, event.description) == ("", "", "")
    assert event.event_type == "VM.START"
    assert event.event_time == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (event.correlation_id, event.causation_id) == (None, None)


def test_a_null_inside_the_details_changes_nothing_else() -> None:
    """The second look that a null costs must not lose the id and the time that the body has."""
    event = an_event(details={"null": None, "text": "null"})

    assert decode(delivered(encode(event, max_event_bytes=MIB))) == event


def test_the_id_comes_from_a_message_id_that_is_a_uuid() -> None:
    """The same in every copy, so that receivers can drop duplicates."""
    message_id = uuid4()

    assert decode_body(a_body(), message_id=str(message_id)).event_id == message_id
    assert decode_body(a_body(eventId=None), message_id=str(message_id)).event_id == message_id


def test_a_foreign_message_id_becomes_a_stable_uuid() -> None:
    """A redelivery has the same id, another application's message 17 another one."""
    first = decode_body(a_body(), message_id="17", app_id="billing")
    again = decode_body(a_body(description="changed"), message_id="17", app_id="billing")
    other = decode_body(a_body(), message_id="17", app_id="monitoring")

    assert first.event_id == again.event_id == FOREIGN_ID  # for ever: stores of older runs hold it
    assert other.event_id != first.event_id
    assert "busEventIdIsRandom" not in first.details


def test_without_any_id_it_is_random_and_marked() -> None:
    """A random id changes with each redelivery: receivers must be able to see that it is no help against duplicates."""
    first, again = decode_body(a_body(details={"cpu": 1})), decode_body(a_body(details={"cpu": 1}))

    assert first.event_id != again.event_id
    assert first.details == {"cpu": 1, "busEventIdIsRandom": True}


def test_an_id_in_the_body_wins_over_the_message_id() -> None:
    """A bridge may give copies message ids of their own."""
    event_id = uuid4()

    event = decode_body(a_body(eventId=str(event_id)), message_id=str(uuid4()))

    assert event.event_id == event_id
    assert event.details == {}


@pytest.mark.parametrize("timestamp", [0, 2**63, 2**64 - 1, 10**12, -1 * 10**15])
def test_without_a_usable_time_it_is_the_time_of_receipt(timestamp: int) -> None:
    """64 bits of seconds (or somebody's milliseconds) reach further than a calendar does."""
    received = datetime(2026, 5, 1, tzinfo=UTC)
    delivery = FakeDelivery(body=a_body(), properties=Properties(timestamp=timestamp))

    assert decode(delivery, received=received).event_time == received


def test_a_time_in_the_body_wins_over_the_timestamp() -> None:
    """The property has whole seconds only, and means the publish."""
    event = decode_body(a_body(eventTime="2026-03-01T12:00:00.25+02:00"), timestamp=1)

    assert event.event_time == datetime(2026, 3, 1, 10, 0, 0, 250_000, tzinfo=UTC)


def test_the_routing_key_is_not_looked_at() -> None:
    """Bad input: a key of other than five words with a fine body is fine; the event travels whole in the body."""
    assert decode(FakeDelivery(body=a_body(), routing_key="whatever")).event_type == "VM.START"
