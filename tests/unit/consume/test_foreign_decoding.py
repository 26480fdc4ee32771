"""``bus_amqp.consume.foreign_decoding``: a delivery as its decoder sees it, and what the decoder may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from bus_amqp.consume.dead_letter import EXCHANGE, ROUTING_KEY
from bus_amqp.consume.foreign_decoding import ForeignDecoding, lanes_of_foreign
from bus_amqp.consume.handling import Handling, HandlingCounts
from bus_amqp.errors import UndecodableError
from bus_amqp.event import Event
from bus_amqp.foreign import Decode, ForeignMessage
from bus_amqp.retry import Discard
from bus_amqp.topic import EventTopic
from bus_amqp.wire.message import Properties
from tests.unit.fakes import FakeDelivery, an_event

EVENT = an_event()


def delivered(exchange: str = "theirs", *, key: str = "a.b", **options: object) -> FakeDelivery:
    delivery = FakeDelivery(body=b"said", routing_key=key, **options)  # type: ignore[arg-type]  # the fake's own
    delivery.exchange = exchange
    return delivery


def seen(delivery: FakeDelivery) -> ForeignMessage:
    """Return the message that a decoder is given."""
    messages: list[ForeignMessage] = []

    def decode(message: ForeignMessage) -> Event:
        messages.append(message)
        return EVENT

    assert ForeignDecoding(decode, return_exchange="bus.events.return")(delivery) is EVENT
    return messages[0]


def raising(error: BaseException) -> Decode:
    def decode(message: ForeignMessage) -> Event:
        raise error

    return decode


def test_a_decoder_is_given_what_amqp_carries():
    """What it leaves out, no format could be read from."""
    properties = Properties("text/plain", "m-1", 1_772_643_564, "VM.START", "app", {"x-a": 1})

    message = seen(delivered(properties=properties, content_type="text/plain"))

    assert (message.exchange, message.routing_key, message.body) == ("theirs", "a.b", b"said")
    assert (message.content_type, message.message_id, message.type, message.app_id) == (
        "text/plain", "m-1", "VM.START", "app",
    )  # fmt: skip
    assert message.timestamp == datetime(2026, 3, 4, 16, 59, 24, tzinfo=UTC)
    assert message.headers == {"x-a": 1}
    assert not message.is_repeated


@pytest.mark.parametrize("properties", [Properties(timestamp=2**62), UndecodableError("broken", reason="header")])
def test_properties_that_make_no_sense_are_absent(properties: Properties | Exception):
    """Anybody may have written them; the body may be fine."""
    message = seen(delivered(properties=properties))

    assert (message.timestamp, message.body) == (None, b"said")


@pytest.mark.parametrize("exchange", ["", "bus.events.return"])
def test_what_comes_back_has_the_key_and_the_exchange_of_its_first_time(exchange: str):
    """On its way back the key is the name of its queue: read as a key of theirs, it would be refused."""
    headers = {ROUTING_KEY: "a.b.c", EXCHANGE: "theirs"}

    message = seen(delivered(exchange, key="bus.events.bridge", properties=Properties(headers=headers)))

    assert (message.routing_key, message.exchange, message.is_repeated) == ("a.b.c", "theirs", True)


def test_headers_of_ours_that_others_have_written_mean_nothing():
    """Over their exchange, anybody could pass for a message of another key."""
    headers = {ROUTING_KEY: "forged", EXCHANGE: "forged"}

    message = seen(delivered(properties=Properties(headers=headers)))

    assert (message.routing_key, message.exchange, message.is_repeated) == ("a.b", "theirs", False)


def test_what_may_have_been_here_before_says_so():
    """Redelivered, or kept in hand for its next attempt: no decoder may take it for its own double."""
    kept = delivered()
    kept.noted = {}

    assert seen(delivered(redelivered=True)).is_repeated
    assert seen(kept).is_repeated


@pytest.mark.parametrize(
    ("decode", "reason"),
    [
        (raising(UndecodableError("no", reason="theirs")), "theirs"),
        (raising(ValueError("no")), "decoder"),
        (raising(SystemExit("no")), "decoder"),
        (lambda message: None, "decoder"),
        (lambda message: {"event_type": "x"}, "decoder"),
    ],
)
def test_whatever_a_decoder_does_its_message_has_a_fate(decode: Callable[[ForeignMessage], Event], reason: str):
    """P5: a fault in a decoder is its message's fate, never the worker's."""
    handling = Handling(
        (EventTopic(),), lambda event: None, "unit", read=ForeignDecoding(decode, return_exchange="bus.events.return")
    )

    letter = handling.admit(delivered())

    assert letter is not None
    assert not isinstance(letter, Event)
    assert letter.reason == reason
    assert handling.counts == HandlingCounts(dead_lettered=1)


def test_a_decoder_may_discard():
    """What it does not want is acknowledged and counted; it is no dead letter."""
    read = ForeignDecoding(raising(Discard("twin")), return_exchange="bus.events.return")
    handling = Handling((EventTopic(),), lambda event: None, "unit", read=read)

    assert handling.admit(delivered()) is None
    assert handling.counts == HandlingCounts(discarded=1)


def test_a_body_over_the_limit_is_no_message():
    """The transport has thrown it away: there is nothing to read."""
    delivery = FakeDelivery(body=None, body_bytes=5_000_000)

    with pytest.raises(UndecodableError, match="5000000 bytes") as refused:
        ForeignDecoding(lambda message: EVENT, return_exchange="")(delivery)
    assert refused.value.reason == "too-large"


def test_foreign_messages_have_the_lanes_of_their_own_function():
    """Our reading of a key, applied to theirs, would order by a word that means something else."""
    assert lanes_of_foreign(None)("a.b.c.d.e") is None
    assert lanes_of_foreign(lambda key: key.split(".")[-1])("a.b.c.d.e") == "e"


def test_a_fault_in_that_function_costs_the_order_and_nothing_else(caplog: pytest.LogCaptureFixture):
    """It is called on the consumer thread: what it raised there would end every subscription of the bus."""

    def broken(key: str) -> str:
        raise IndexError(key)

    assert lanes_of_foreign(broken)("a") is None
    assert "cannot be had" in caplog.text


def test_a_typed_event_of_a_decoder_is_handled_like_any_other():
    """A handler that asks for no type gets details as they travel, whoever made the event."""

    class Facts(BaseModel):
        account: str

    event = Event[Facts](event_category="A", event_type="B", event_source="c", details=Facts(account="acme"))

    read = ForeignDecoding(lambda message: event, return_exchange="")(delivered())

    assert read.details == {"account": "acme"}
    assert read.event_id == event.event_id
