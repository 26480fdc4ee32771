"""The bulk encoder against py-amqp's own writer: the same bytes for the same message."""

from __future__ import annotations

from types import SimpleNamespace

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME, PublishEncoder, encode_accepts, encode_rejects
from bus_amqp.wire.message import Message

FRAME_MAX = 4096  # the smallest that AMQP allows, so that bodies are split

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)  # at most 240 bytes: a short string
header_values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | text
messages = st.builds(
    Message,
    text,
    st.binary(max_size=300) | st.integers(0, 3 * FRAME_MAX).map(lambda size: b"b" * size),
    message_id=text,
    timestamp=st.integers(0, 2**64 - 1),
    type=text,
    app_id=text,
    content_type=text,
    headers=st.none() | st.dictionaries(text, header_values, max_size=4),
    exchange=st.none() | text,
    mandatory=st.booleans(),
    expiration_ms=st.integers(0, 2**40),
)


class Oracle:
    """Collects what py-amqp writes."""

    def __init__(self, frame_max: int, user_id: str = "") -> None:
        self._user_id = user_id
        self.written = bytearray()
        self._write_frame = frame_writer(SimpleNamespace(frame_max=frame_max, bytes_sent=0), self)

    def write(self, data: bytes | memoryview) -> None:
        self.written += data

    def method(self, channel: int, signature: tuple[int, int], form: str, values: tuple[object, ...]) -> None:
        self._write_frame(1, channel, signature, dumps(form, values), None)

    def publish(self, channel: int, message: Message, default_exchange: str) -> None:
        properties = {"delivery_mode": 2}
        for name in ("content_type", "message_id", "timestamp", "type", "app_id"):
            if value := getattr(message, name):
                properties[name] = value
        if self._user_id:
            properties["user_id"] = self._user_id
        if message.headers:
            properties["application_headers"] = message.headers
        if message.expiration_ms:
            properties["expiration"] = str(message.expiration_ms)
        exchange = default_exchange if message.exchange is None else message.exchange
        arguments = dumps("Bssbb", (0, exchange, message.routing_key, message.mandatory, False))
        content = amqp.Message(message.body, **properties)
        self._write_frame(1, channel, spec.Basic.Publish, arguments, content)


@given(
    batch=st.lists(messages, max_size=4),
    channel=st.integers(1, 65535),
    user_id=st.sampled_from(["", "guest", "ü" * 99]),
)
def test_publishes_are_the_bytes_that_py_amqp_writes(batch, channel, user_id):
    """Every broker reads py-amqp; a byte of difference would lose events or the connection."""
    oracle = Oracle(FRAME_MAX, user_id)
    for message in batch:
        oracle.publish(channel, message, "bus.events")

    assert PublishEncoder(channel, "bus.events", FRAME_MAX, user_id).encode(batch) == oracle.written


@given(batches=st.lists(st.lists(messages, max_size=3), max_size=4))
def test_what_an_encoder_has_encoded_before_changes_nothing(batches):
    """The encoder caches names and strings: a stale one would send an event to the wrong exchange."""
    encoder = PublishEncoder(1, "bus.events", FRAME_MAX)

    for batch in batches:
        assert encoder.encode(batch) == PublishEncoder(1, "bus.events", FRAME_MAX).encode(batch)


def test_the_cache_of_strings_is_bounded():
    """A publisher with endlessly many sources must not leak memory."""
    encoder = PublishEncoder(1, "bus.events", FRAME_MAX)

    for number in range(5000):
        encoder.encode([Message("key", b"", app_id=f"source-{number}", type=f"type-{number}")])

    assert len(encoder._strings) <= 1024
    assert len(encoder._kinds) <= 1024


@given(tags=st.lists(st.integers(1, 2**63), max_size=5), through=st.integers(0, 2**63))
def test_settlements_are_the_bytes_that_py_amqp_writes(tags, through):
    """A wrong tag or flag would acknowledge an event that nobody has handled."""
    accepts, rejects = Oracle(FRAME_MAX), Oracle(FRAME_MAX)
    if through:
        accepts.method(7, spec.Basic.Ack, "Lb", (through, True))
    for tag in tags:
        accepts.method(7, spec.Basic.Ack, "Lb", (tag, False))
        rejects.method(7, spec.Basic.Reject, "Lb", (tag, False))

    assert encode_accepts(7, through, tags) == accepts.written
    assert encode_rejects(7, tags) == rejects.written


def test_the_heartbeat_is_the_frame_that_py_amqp_writes():
    """A broker that does not recognise our heartbeats drops idle connections."""
    oracle = Oracle(FRAME_MAX)
    frame_writer(SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0), oracle)(8, 0, None, None, None)

    assert bytes(oracle.written).startswith(HEARTBEAT_FRAME[:7])
    assert oracle.written[-1] == HEARTBEAT_FRAME[-1]


@pytest.mark.parametrize("field", ["routing_key", "message_id", "type", "app_id", "content_type", "exchange"])
def test_a_text_too_long_for_amqp_is_refused_by_name_and_takes_the_batch_with_it(field):
    """Half a batch on the wire would shift every sequence number: confirms would settle other events."""
    message = Message("key", b"")
    setattr(message, field, "ü" * 128)

    with pytest.raises(InvalidArgumentError, match=f"{field} has more than 255 bytes"):
        PublishEncoder(1, "bus.events", FRAME_MAX).encode([Message("key", b"good"), message])


@pytest.mark.parametrize(
    "message",
    [
        Message("key", b"", headers={"key": object()}),  # type: ignore[dict-item]
        Message("key", b"", headers={"k" * 256: 1}),
        Message("key", b"", headers={"key": 2**70}),
        Message("key", b"", headers={"key": "x" * FRAME_MAX}),
        Message("\ud800", b""),
        Message("key", b"", timestamp=-1),
    ],
)
def test_what_amqp_cannot_carry_is_refused(message):
    """A frame that the broker cannot read costs the connection and everything on it."""
    with pytest.raises(InvalidArgumentError, match="cannot be sent over AMQP"):
        PublishEncoder(1, "bus.events", FRAME_MAX).encode([message])
