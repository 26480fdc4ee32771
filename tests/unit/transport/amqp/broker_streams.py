"""What a broker sends: strategies for streams written by py-amqp, and what py-amqp's own parser finds in them."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import amqp
from amqp import spec
from amqp.method_framing import frame_handler, frame_writer
from amqp.serialization import dumps, loads
from hypothesis import strategies as st

from bus_amqp.transport.amqp.deliveries import AmqpDelivery
from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME
from bus_amqp.transport.amqp.frames import Bounced, FrameParser, RawFrame, Settled

FRAME_MAX = 4096
MAX_BODY_BYTES = 3 * FRAME_MAX

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
bodies = st.binary(max_size=200) | st.integers(0, 5 * FRAME_MAX).map(lambda size: b"b" * size)
plain_values = st.none() | st.booleans() | st.integers(-99, 99) | text
properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": text,
        "content_encoding": text,
        "application_headers": st.dictionaries(text, plain_values, max_size=3),
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 9),
        "correlation_id": text,
        "reply_to": text,
        "message_id": text,
        "timestamp": st.integers(0, 2**64 - 1),
        "type": text,
        "app_id": text,
    },
)
contents = st.tuples(
    st.integers(1, 3),  # channel
    st.sampled_from([spec.Basic.Deliver, spec.Basic.Return]),
    text,  # consumer tag, or reply text
    st.integers(1, 2**63),
    st.booleans(),
    text,
    text,
    bodies,
    properties,
)
settlements = st.tuples(
    st.integers(1, 3), st.sampled_from([spec.Basic.Ack, spec.Basic.Nack]), st.integers(1, 2**63), st.booleans()
)
raw_methods = st.tuples(st.integers(0, 3), st.sampled_from([spec.Channel.Close, spec.Basic.Cancel, spec.Queue.BindOk]))


def frames_of(event: tuple) -> list[bytes]:
    """Let py-amqp write one thing; return its frames one by one."""
    written = bytearray()
    write = frame_writer(
        SimpleNamespace(frame_max=FRAME_MAX, bytes_sent=0), SimpleNamespace(write=lambda data: written.extend(data))
    )
    channel, signature, *fields = event
    if signature in (spec.Basic.Deliver, spec.Basic.Return):
        name, tag, redelivered, exchange, key, body, values = fields
        arguments = (
            dumps("sLbss", (name, tag, redelivered, exchange, key))
            if signature == spec.Basic.Deliver
            else dumps("Bsss", (312, name, exchange, key))
        )
        write(1, channel, signature, arguments, amqp.Message(body, **values))
    elif signature in (spec.Basic.Ack, spec.Basic.Nack):
        write(1, channel, signature, dumps("Lb", fields), None)
    else:
        write(1, channel, signature, b"rest", None)
    return cut_into_frames(bytes(written))


def cut_into_frames(stream: bytes) -> list[bytes]:
    frames = []
    while stream:
        size = struct.unpack_from(">I", stream, 3)[0] + 8
        frames.append(stream[:size])
        stream = stream[size:]
    return frames


@st.composite
def streams(draw):
    """Contents of several channels, interleaved frame by frame as AMQP allows, with heartbeats in between."""
    events = draw(st.lists(contents | settlements | raw_methods, max_size=5))
    queues: dict[int, list[bytes]] = {}
    for event in events:
        queues.setdefault(event[0], []).extend(frames_of(event))
    frames = []
    while queues:
        channel = draw(st.sampled_from(sorted(queues)))
        frames.append(queues[channel].pop(0))
        if not queues[channel]:
            del queues[channel]
        if draw(st.integers(0, 9)) == 0:
            frames.append(HEARTBEAT_FRAME)
    return b"".join(frames)


def seen(delivery: AmqpDelivery) -> tuple:
    found = delivery.properties
    return (
        delivery.tag, delivery.redelivered, delivery.exchange, delivery.routing_key, delivery.body,
        delivery.body_bytes, delivery.content_type, found.content_type, found.message_id, found.timestamp,
        found.type, found.app_id, dict(found.headers),
    )  # fmt: skip


def expected(stream: bytes) -> dict[int, list[object]]:
    """Return what py-amqp's own parser finds in the stream."""
    found: dict[int, list[object]] = {}

    def on_method(channel: int, signature: tuple[int, int], payload: bytes, message: amqp.Message) -> None:
        entries = found.setdefault(channel, [])
        if signature == spec.Basic.Deliver:
            (_, tag, redelivered, exchange, key), _ = loads("sLbss", payload, 4)
            values = message.properties
            body = message.body or b""
            entries.append((
                tag, redelivered, exchange, key, body if len(body) <= MAX_BODY_BYTES else None, len(body),
                values.get("content_type", ""), values.get("content_type", ""), values.get("message_id", ""),
                values.get("timestamp", 0), values.get("type", ""), values.get("app_id", ""),
                values.get("application_headers", {}),
            ))  # fmt: skip
        elif signature == spec.Basic.Return:
            (_, reason, exchange, key), _ = loads("Bsss", payload, 4)
            entries.append(Bounced(channel, reason, exchange, key, message.properties.get("message_id", "")))
        elif signature in (spec.Basic.Ack, spec.Basic.Nack):
            (tag, is_multiple), _ = loads("Lb", payload, 4)
            entries.append(Settled(channel, tag, is_multiple, signature == spec.Basic.Ack))
        else:
            entries.append(RawFrame(1, channel, payload))

    handle = frame_handler(SimpleNamespace(bytes_recv=0), on_method)
    for frame in cut_into_frames(stream):
        kind, channel, _ = struct.unpack_from(">BHI", frame)
        handle((kind, channel, frame[7:-1]))
    return found


def a_parser(**options) -> FrameParser:
    parser = FrameParser(MAX_BODY_BYTES, **options)
    parser.frame_max = FRAME_MAX
    return parser


def a_delivery(body: bytes, *, tag: int = 1, channel: int = 1, key: str = "key") -> bytes:
    event = (channel, spec.Basic.Deliver, "tag", tag, False, "bus.events", key, body, {"content_type": "text/plain"})
    return b"".join(frames_of(event))
