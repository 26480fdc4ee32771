"""The bulk parser against py-amqp's own writer and parser, with the stream cut at arbitrary places."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import amqp
import pytest
from amqp import spec
from amqp.method_framing import frame_handler, frame_writer
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.errors import ConnectionLostError, UndecodableError
from bus_amqp.transport.amqp.deliveries import AmqpDelivery
from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME
from bus_amqp.transport.amqp.frames import Bounced, Delivered, FrameParser, RawFrame, Settled

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


def parse(parser: FrameParser, pieces: list[bytes]) -> dict[int, list[object]]:
    """Return what the parser found, by channel: the order between channels means nothing."""
    found: dict[int, list[object]] = {}
    for piece in pieces:
        for item in parser.feed(piece):
            entries = found.setdefault(item.channel, [])
            if isinstance(item, Delivered):
                entries += [seen(delivery) for delivery in item.deliveries]
            else:
                entries.append(item)
    return found


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


@given(stream=streams(), data=st.data())
def test_the_parser_finds_what_py_amqp_finds_wherever_the_stream_is_cut(stream, data):
    """TCP cuts anywhere: an event lost, doubled or mixed up at a cut would break at-least-once or order."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert parse(a_parser(), pieces) == expected(stream)


@given(stream=streams().filter(lambda stream: len(stream) < 2000))
def test_the_parser_finds_the_same_byte_by_byte(stream):
    """The slowest possible peer: one byte in each piece."""
    pieces = [stream[at : at + 1] for at in range(len(stream))]

    assert parse(a_parser(), pieces) == expected(stream)


@given(stream=streams())
def test_a_parser_that_is_not_native_passes_every_frame_on(stream):
    """The plain channels let py-amqp parse: a swallowed frame would be an event lost."""
    frames = []
    for item in a_parser(is_native=False).feed(stream):
        assert isinstance(item, RawFrame)
        frames.append(struct.pack(">BHI", item.kind, item.channel, len(item.payload)) + item.payload + b"\xce")

    assert frames == [frame for frame in cut_into_frames(stream) if frame != HEARTBEAT_FRAME]


def a_delivery(body: bytes, *, tag: int = 1, channel: int = 1, key: str = "key") -> bytes:
    event = (channel, spec.Basic.Deliver, "tag", tag, False, "bus.events", key, body, {"content_type": "text/plain"})
    return b"".join(frames_of(event))


def test_deliveries_of_one_piece_come_as_one_batch_for_each_channel():
    """Batches carry the throughput; and two subscriptions on one connection must not undo them."""
    stream = b"".join(a_delivery(b"x", tag=tag, channel=channel) for tag in (1, 2, 3) for channel in (1, 2))

    items = a_parser().feed(stream)

    assert [(item.channel, [one.tag for one in item.deliveries]) for item in items] == [(1, [1, 2, 3]), (2, [1, 2, 3])]


def test_an_oversized_body_is_dropped_while_it_streams_by():
    """One hostile message must not fill the memory of every consumer."""
    body_frame = struct.pack(">BHI", 3, 1, FRAME_MAX - 8) + b"b" * (FRAME_MAX - 8) + b"\xce"
    method, header, *_ = cut_into_frames(a_delivery(b""))
    count = 5000
    announced = (FRAME_MAX - 8) * count
    parser = a_parser()
    parser.feed(method + header[:11] + struct.pack(">Q", announced) + header[19:])

    kept = 0
    items = []
    for _ in range(count):
        items += parser.feed(body_frame[:1000])
        items += parser.feed(body_frame[1000:])
        kept = max(kept, sum(len(chunk) for content in parser._contents.values() for chunk in content.chunks or ()))

    (delivered,) = items
    (delivery,) = delivered.deliveries
    assert delivery.body is None
    assert delivery.body_bytes == announced
    assert kept == 0


def test_a_body_as_large_as_allowed_is_delivered():
    """The limit is inclusive, as max_event_bytes is for publishers."""
    (delivered,) = a_parser().feed(a_delivery(b"x" * MAX_BODY_BYTES))

    assert delivered.deliveries[0].body == b"x" * MAX_BODY_BYTES


def test_what_began_on_a_closed_channel_does_not_meet_the_next_channel_of_that_number():
    """Channel numbers are used again: the rest of an old message would be taken for an error of the broker."""
    parser = a_parser()
    method, *_ = cut_into_frames(a_delivery(b"old"))
    parser.feed(method)

    parser.forget(1)

    (delivered,) = parser.feed(a_delivery(b"new"))
    assert delivered.deliveries[0].body == b"new"


def test_a_routing_key_that_is_not_utf8_is_delivered_all_the_same():
    """Anybody can publish anything: a foreign message must not take the connection with it, again and again."""
    stream = a_delivery(b"body", key="kXy").replace(b"kXy", b"k\xffy")

    (delivered,) = a_parser().feed(stream)

    assert delivered.deliveries[0].routing_key == "k\ufffdy"


@pytest.mark.parametrize(
    "cut",
    [
        lambda s: s[:-1] + b"\x00",
        lambda s: struct.pack(">BHI", 1, 1, FRAME_MAX + 1) + s,
        lambda s: b"HTTP/1.1 400 Bad Request\r\n",
        lambda s: b"AMQP\x00\x00\x09\x01",
        lambda s: cut_into_frames(s)[0] * 2,
        lambda s: cut_into_frames(s)[0] + cut_into_frames(s)[2],
        lambda s: b"".join(cut_into_frames(s)[:2]) + cut_into_frames(a_delivery(b"longer"))[2],
    ],
    ids=["bad frame end", "absurd size", "http", "other protocol version", "nested", "no header", "body too long"],
)
def test_a_stream_that_is_not_amqp_ends_the_connection(cut):
    """After such bytes nothing can be trusted: the bus reconnects, and nobody sees a struct.error."""
    parser = a_parser()

    with pytest.raises(ConnectionLostError):
        parser.feed(cut(a_delivery(b"body")))


def fault_of(delivery: AmqpDelivery) -> str:
    """Return the reason for which the properties cannot be read, nothing if they can."""
    try:
        delivery.properties  # noqa: B018 -- the access parses
    except UndecodableError as error:
        return error.reason
    return ""


@given(garbage=st.binary(max_size=400))
def test_garbage_raises_nothing_but_our_error(garbage):
    """A broken or hostile peer must end in a reconnect, not in a dead thread."""
    parser = a_parser()
    try:
        items = parser.feed(garbage)
        items += parser.feed(garbage)
    except ConnectionLostError:
        return
    for item in items:
        assert isinstance(item, Delivered | Settled | Bounced | RawFrame)


@given(stream=streams().filter(bool), data=st.data())
def test_a_flipped_byte_raises_nothing_but_our_errors(stream, data):
    """As above, close to the real thing: most of the stream is right."""
    at = data.draw(st.integers(0, len(stream) - 1))
    damaged = stream[:at] + bytes([stream[at] ^ data.draw(st.integers(1, 255))]) + stream[at + 1 :]
    try:
        items = a_parser().feed(damaged)
    except ConnectionLostError:
        return
    for item in items:
        for delivery in item.deliveries if isinstance(item, Delivered) else ():
            assert fault_of(delivery) in ("", "properties")


@given(property_list=st.binary(max_size=200))
def test_malformed_properties_are_undecodable(property_list):
    """They are dead-lettered with that reason (P5); anything else would kill a worker."""
    delivery = AmqpDelivery(1, b"", "key", "", False, "", 0, property_list)

    assert fault_of(delivery) in ("", "properties")


def test_tables_nested_to_the_bottom_are_undecodable():
    """py-amqp's parser recurses: a hostile header table must not end in a RecursionError."""
    table = b""
    for _ in range(5000):
        table = b"\x01kF" + struct.pack(">I", len(table)) + table
    delivery = AmqpDelivery(1, b"", "k", "", False, "", 0, b"\x20\x00" + struct.pack(">I", len(table)) + table)

    with pytest.raises(UndecodableError):
        delivery.properties  # noqa: B018 -- the access parses


def test_header_values_of_other_types_are_left_out():
    """Properties promise plain values: x-death, a list of tables, must not surprise who copies headers."""
    headers = {"x-death": [{"count": 1}], "float": 1.5, "kept": "yes", "flag": True, "none": None}
    event = (1, spec.Basic.Deliver, "t", 1, True, "e", "k", b"body", {"application_headers": headers})
    stream = b"".join(frames_of(event))

    (delivered,) = a_parser().feed(stream)

    assert dict(delivered.deliveries[0].properties.headers) == {"kept": "yes", "flag": True, "none": None}
