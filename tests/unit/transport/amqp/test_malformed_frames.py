"""Streams and properties that are not what AMQP says: only our own errors come out."""

from __future__ import annotations

import contextlib
import struct
from types import SimpleNamespace

import pytest
from amqp import spec
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.errors import ConnectionLostError, UndecodableError
from bus_amqp.transport.amqp.deliveries import AmqpDelivery, deliver_arguments
from bus_amqp.transport.amqp.driver import forgiving_frame_handler
from bus_amqp.transport.amqp.frames import Bounced, Delivered, RawFrame, Settled
from tests.unit.transport.amqp.broker_streams import (
    FRAME_MAX,
    a_delivery,
    a_parser,
    cut_into_frames,
    frames_of,
    streams,
)


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


def test_a_content_type_ends_with_its_header():
    """Found by the fuzzer: one that announced more was read on into the body, if all came in one piece."""
    method, header, body = cut_into_frames(a_delivery(b"body"))
    announcing = header[:21] + b"\x60" + header[22:]

    (whole,) = a_parser().feed(method + announcing + body)
    pieces = a_parser()
    (cut,) = [item for piece in (method, announcing, body) for item in pieces.feed(piece)]

    assert [item.deliveries[0].content_type for item in (whole, cut)] == ["text/plain"] * 2


@pytest.mark.parametrize("size", [11, 12])
def test_a_header_that_is_too_short_ends_the_connection(size: int):
    """Found by the fuzzer: what follows was taken for its flags and more, if all came in one piece."""
    method, header, _ = cut_into_frames(a_delivery(b"body"))
    too_short = header[:3] + struct.pack(">I", size) + header[7:11] + b"\x00" * (size - 4) + b"\xce"
    body_bytes = 0xCE  # which is what the end of a header of 11 bytes says, read as the end of the body's size
    body = struct.pack(">BHI", 3, 1, body_bytes) + b"b" * body_bytes + b"\xce"

    with pytest.raises(ConnectionLostError, match="breaks off"):
        a_parser().feed(method + too_short + body)


def test_empty_body_frames_cost_no_memory():
    """They bring a message no nearer to its end: a peer could send them for ever."""
    method, header, _ = cut_into_frames(a_delivery(b"body"))
    parser = a_parser()

    for piece in (method, header, struct.pack(">BHIB", 3, 1, 0, 0xCE) * 100):
        assert parser.feed(piece) == []

    assert [content.chunks for content in parser._contents.values()] == [[]]


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


def test_half_a_character_in_a_property_can_be_written_again():
    """Found by the fuzzer: py-amqp lets half a surrogate pair through, and the copy for the dead letters would fail."""
    values = {"application_headers": {"\ud800": "a\udc00"}, "message_id": "m\ud800", "app_id": "\ud800"}
    event = (1, spec.Basic.Deliver, "t", 1, True, "e", "k", b"body", values)

    (delivered,) = a_parser().feed(b"".join(frames_of(event)))

    found = delivered.deliveries[0].properties
    assert (found.message_id, found.app_id, dict(found.headers)) == ("m?", "?", {"?": "a?"})


def test_the_plain_channels_deliver_a_message_whose_properties_they_cannot_read():
    """py-amqp raises over a Latin-1 property: the connection would be lost, and the message would come again."""
    event = (1, spec.Basic.Deliver, "t", 1, False, "e", "k", b"body", {"app_id": "kXy"})
    stream = b"".join(frames_of(event)).replace(b"kXy", b"k\xffy")
    found = []
    handle = forgiving_frame_handler(SimpleNamespace(bytes_recv=0), lambda *method: found.append(method))

    for frame in a_parser(is_native=False).feed(stream):
        handle(frame)

    ((_, _, _, message),) = found
    assert message.body == b"body"
    assert message.properties == {}


def test_a_key_that_is_not_text_means_the_same_to_both_kinds_of_channel():
    """py-amqp would raise over the key: the connection would be lost, and the message would come again."""
    stream = a_delivery(b"body", key="A.kXy.Xz").replace(b"A.kXy.Xz", b"A.k\xffy.\xc3z")
    method, *_ = cut_into_frames(stream)

    (delivered,) = a_parser().feed(stream)

    consumer_tag, tag, redelivered, exchange, key = deliver_arguments(method[7:-1])
    (bulk,) = delivered.deliveries
    assert consumer_tag == "tag"
    assert (tag, redelivered, exchange, key) == (bulk.tag, bulk.redelivered, bulk.exchange, bulk.routing_key)
    assert key == "A.k\ufffdy.\ufffdz"


@given(payload=st.binary(max_size=80) | st.integers(0, 24).map(lambda end: cut_into_frames(a_delivery(b""))[0][7:end]))
def test_a_delivery_that_breaks_off_is_no_other_error(payload: bytes):
    """The plain channels' driver knows these two kinds; another would end the thread."""
    with contextlib.suppress(LookupError, struct.error):
        deliver_arguments(payload)
