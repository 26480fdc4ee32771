"""What must hold for any bytes at all: one function for each way in, shared by hypothesis and atheris.

Each takes bytes, and returns if the code did what it promises: parsed them, or raised the one error that its callers
know.  Anything else comes out as it is, a finding.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.errors import (
    ConnectionLostError,
    InvalidArgumentError,
    RoutingKeyTooLongError,
    SettingsError,
    UndecodableError,
)
from bus_amqp.event import Event
from bus_amqp.extension.cloudstack.translation import translate
from bus_amqp.foreign import ForeignMessage
from bus_amqp.settings import Settings, load_settings, url_with_password, without_password
from bus_amqp.topic import EventTopic
from bus_amqp.transport.amqp.address import Address, parse_address
from bus_amqp.transport.amqp.deliveries import deliver_arguments, message_id_of, parse_properties
from bus_amqp.transport.amqp.encoding import PublishEncoder
from bus_amqp.transport.amqp.frames import Delivered, FrameParser, Item
from bus_amqp.transport.signals import Deliveries
from bus_amqp.wire.codec import decode, encode
from bus_amqp.wire.json_schema import topic_from_json
from bus_amqp.wire.key_words import MAX_KEY_BYTES, plain_word, type_word
from bus_amqp.wire.message import Delivery, Properties
from bus_amqp.wire.routing_key import binding_key, routing_key
from tests.fuzz.fuzzed_connection import FRAME_MAX, MAX_BODY_BYTES, FuzzedConnection
from tests.unit.fakes import FakeDelivery

REASONS = {"not-json", "not-an-event", "content-type", "too-large", "properties"}
SECRET = "s3cr3t"
CLOUDSTACK_REASONS = {"cloudstack-key", "cloudstack-body", "cloudstack-event", "not-json"}
_RECEIVED = datetime(2026, 3, 4, tzinfo=UTC)
_MANY_BYTES = 2**20
_FRAME_MAX = 2**17  # RabbitMQ's
_LETTER = DeadLetter("not-json", "found by a fuzzer")
_GRAVE = DeadLetterAddress("bus.events.dead", "billing", "bus.events.billing", "billing.on_event")


def frames(data: bytes) -> None:
    """The frame parser: the same items wherever TCP cuts; ``ConnectionLostError`` for all that is no AMQP."""
    size, stream = _cut_size(data)
    for is_native in (True, False):
        whole, fault = _parsed([stream], is_native=is_native)
        pieces, later_fault = _parsed(_pieces(stream, size), is_native=is_native)
        assert fault == later_fault, "where the stream is cut decides whether it is AMQP"
        if not fault:  # what came before a fault may be told or not: the connection is lost with it
            assert pieces == whole, "where the stream is cut decides what it says"


def connection(data: bytes) -> None:
    """A whole connection, bulk and plain: signals, or ``ConnectionLostError``.

    Its memory is bounded, and what it delivers can be set aside.
    """
    size, stream = _cut_size(data)
    for is_native in (True, False):
        with FuzzedConnection(is_native=is_native) as fuzzed:
            try:
                for piece in _pieces(stream, size):
                    for signal in fuzzed.hear(piece):
                        if isinstance(signal, Deliveries):
                            for delivery in signal.deliveries:
                                _check_delivery(delivery)
                    channels = len(fuzzed.parser._contents)
                    assert fuzzed.held_bytes <= FRAME_MAX + 8 + size + channels * MAX_BODY_BYTES, "memory without end"
            except ConnectionLostError as lost:
                assert "guest" not in str(lost)


def properties(data: bytes) -> None:
    """A property list: ``Properties`` of plain values, or ``UndecodableError``."""
    assert isinstance(message_id_of(data), str)
    try:
        found = parse_properties(data)
    except UndecodableError as error:
        assert error.reason == "properties"
        return
    texts = (found.content_type, found.message_id, found.type, found.app_id)
    assert all(isinstance(text, str) and text.encode() is not None for text in texts)
    assert isinstance(found.timestamp, int)
    for key, value in found.headers.items():
        assert isinstance(key, str)
        assert value is None or isinstance(value, str | int)
        if isinstance(value, str):
            value.encode()
        key.encode()


def delivery(data: bytes) -> None:
    """What a basic.deliver says: its five fields as text that can be written again, or the errors of the driver."""
    try:
        consumer_tag, _, _, exchange, key = deliver_arguments(data)
    except (LookupError, struct.error):  # the driver ends the connection over these two
        return
    for text in (consumer_tag, exchange, key):
        text.encode()


def body(data: bytes) -> None:
    """The decoder: ``UndecodableError`` with a reason we know, or an event that travels again unchanged."""
    try:
        event = decode(FakeDelivery(body=data, properties=Properties()))
    except UndecodableError as error:
        assert error.reason in REASONS
        str(error).encode()
        return
    try:
        message = encode(event, max_event_bytes=_MANY_BYTES)
    except RoutingKeyTooLongError:
        return
    assert decode(FakeDelivery(body=message.body, content_type=message.content_type)) == event
    assert Event(**event.model_dump()) == event, "the constructor takes what the decoder takes"
    json.loads(message.body, parse_constant=_no_json)


def model(data: bytes) -> None:
    """pydantic's own door to events: what it lets in can be published, and is what the decoder lets in."""
    try:
        event = Event.model_validate_json(data, by_alias=True, by_name=False, extra="ignore")
    except ValueError:
        return
    try:
        encode(event, max_event_bytes=_MANY_BYTES)
    except RoutingKeyTooLongError:
        return


def key(data: bytes) -> None:
    """Routing keys: five words within AMQP's bytes, or the error that says what to shorten."""
    fields = data.decode("utf-8", "ignore").split("\n", 4)
    category, event_type, resource_type, uuid, source = fields + ["x"] * (5 - len(fields))
    try:
        event = Event(
            event_category=category,
            event_type=event_type,
            event_source=source,
            resource_type=resource_type,
            resource_uuid=uuid,
        )
    except ValueError:
        return
    words = [plain_word(category), type_word(event_type), *map(plain_word, (resource_type, uuid, source))]
    try:
        made = routing_key(event)
    except RoutingKeyTooLongError:
        assert len(".".join(words).encode()) > MAX_KEY_BYTES
        return
    assert made.split(".") == words
    assert not any(sign in "*#" or sign.isspace() for sign in made)


def topic(data: bytes) -> None:
    """A topic that somebody has written down: ``InvalidArgumentError``, or one that can be bound and asked."""
    try:
        wanted = topic_from_json(data)
        binding = binding_key(wanted)
    except InvalidArgumentError as error:
        str(error).encode("utf-8", "backslashreplace")
        return
    assert binding.count(".") == 4
    wanted.matches(Event(event_category="a", event_type="b.c", event_source="d"))
    assert EventTopic().matches(Event(event_category="a", event_type="b.c", event_source="d"))


def url(data: bytes) -> None:
    """A broker's url: an ``Address`` or a ``SettingsError``, and never the password in a text."""
    text = data.decode("utf-8", "surrogatepass" if data.isascii() else "replace").replace(SECRET, "")
    before, at, after = text.partition("@")
    given = f"{before}:{SECRET}{at or '@'}{after}"
    told = [without_password(given)]
    for parse in (parse_address, lambda one: load_settings(url=one), _with_new_password):
        try:
            parse(given)
        except SettingsError as error:
            told.append(str(error))
            assert error.__cause__ is None
    found = _address_of(given)
    if found is not None and found.user and "@" in given.partition("://")[2].partition("/")[0]:
        told += [str(found), repr(found)]
        again = parse_address(_with_new_password(given))
        assert again == replace(found, password=SECRET), "another password, another place"
    assert not any(SECRET in line for line in told), told


def cloudstack(data: bytes) -> None:
    """A message on CloudStack's exchange, the key in its first line: an event that can be published, or a refusal."""
    first, _, body = data.partition(b"\n")
    message = ForeignMessage(routing_key=first.decode(errors="replace"), body=body, received_at=_RECEIVED)
    try:
        event = translate(message)
    except UndecodableError as exc:
        assert exc.reason in CLOUDSTACK_REASONS
        return
    assert translate(message) == event, "one message is one event"
    with suppress(RoutingKeyTooLongError):
        encode(event, max_event_bytes=_MANY_BYTES)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (frames, connection, properties, delivery, body, model, key, topic, url, cloudstack)
}


def _cut_size(data: bytes) -> tuple[int, bytes]:
    """Take from the first byte how long the pieces are."""
    return (data[0] + 1, data[1:]) if data else (1, b"")


def _pieces(stream: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(stream), size):
        yield stream[start : start + size]


def _parsed(pieces: Iterator[bytes] | list[bytes], *, is_native: bool) -> tuple[dict[int, list[object]], str]:
    parser = FrameParser(MAX_BODY_BYTES, is_native=is_native)
    parser.frame_max = FRAME_MAX
    found: dict[int, list[object]] = {}
    try:
        for piece in pieces:
            for item in parser.feed(piece):
                found.setdefault(item.channel, []).extend(_told(item))
    except ConnectionLostError:
        return {}, "no AMQP"
    return found, ""


def _told(item: Item) -> list[object]:
    if not isinstance(item, Delivered):
        return [item]
    names = ("tag", "body", "routing_key", "exchange", "redelivered", "content_type", "body_bytes")
    return [tuple(getattr(one, name) for name in names) for one in item.deliveries]


def _check_delivery(one: Delivery) -> None:
    assert one.body is None or len(one.body) == one.body_bytes <= MAX_BODY_BYTES
    one.routing_key.encode()
    PublishEncoder(1, "bus.events", _FRAME_MAX).encode([dead_letter_message(one, _LETTER, _GRAVE)])
    try:
        one.properties  # noqa: B018 -- the access parses
    except UndecodableError as error:
        assert error.reason == "properties"


def _no_json(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def _with_new_password(given: str) -> str:
    return url_with_password(given, Settings(password=lambda: SECRET))


def _address_of(given: str) -> Address | None:
    try:
        return parse_address(given)
    except SettingsError:
        return None
