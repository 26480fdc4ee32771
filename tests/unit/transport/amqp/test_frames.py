"""The bulk parser against py-amqp's own writer and parser, with the stream cut at arbitrary places."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME
from bus_amqp.transport.amqp.frames import Delivered, FrameParser, RawFrame
from tests.unit.transport.amqp.broker_streams import (
    FRAME_MAX,
    MAX_BODY_BYTES,
    a_delivery,
    a_parser,
    cut_into_frames,
    expected,
    seen,
    streams,
)


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
