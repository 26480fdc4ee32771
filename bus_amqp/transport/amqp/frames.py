"""Cut what the broker sends into frames; parse deliveries, confirms and returns in bulk.

Pure: no I/O, no clock.  Everything else comes out as raw frames for py-amqp.  Layout of a frame: type (1 byte),
channel (2), payload size (4), payload, 0xCE.  A content is a method frame, a header frame (class, weight, body
size, property flags and values) and body frames until that size is reached; contents of different channels may
be interleaved, frame by frame.

Rules: nothing is copied twice, whatever the sizes of the pieces that arrive; what cannot be a frame raises
``ConnectionLostError``, since after it no byte of the stream means anything.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from bus_amqp.errors import ConnectionLostError
from bus_amqp.transport.amqp.deliveries import DELIVER_FIELDS, AmqpDelivery, message_id_of

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8

_FRAME = struct.Struct(">BHI")
_HEADER = struct.Struct(">BHIIQH")  # frame header; class and weight, body size, property flags
_SETTLE_FIELDS = struct.Struct(">QB")
_DELIVER, _RETURN = b"\x00\x3c\x00\x3c", b"\x00\x3c\x00\x32"
_ACK, _NACK = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"
_END = 0xCE
_CACHED_NAMES = 256  # exchanges and content types; foreign ones could be many


class Delivered(NamedTuple):
    """All deliveries of one channel that one piece of the stream brought, in order."""

    channel: int
    deliveries: list[AmqpDelivery]


class Settled(NamedTuple):
    """A publisher confirm (``is_stored``) or its refusal."""

    channel: int
    sequence: int
    is_multiple: bool
    is_stored: bool


class Bounced(NamedTuple):
    """A mandatory message that matched no queue."""

    channel: int
    reason: str
    exchange: str
    routing_key: str
    message_id: str


class RawFrame(NamedTuple):
    """A frame that py-amqp understands."""

    kind: int
    channel: int
    payload: bytes


Item = Delivered | Settled | Bounced | RawFrame


class _Content:
    """A delivery or a return whose frames have not all arrived."""

    __slots__ = ("body_bytes", "chunks", "is_delivery", "missing_bytes", "payload", "property_list")

    def __init__(self, payload: bytes, *, is_delivery: bool) -> None:
        self.payload = payload  # of the method frame
        self.is_delivery = is_delivery
        self.property_list: bytes | None = None  # None: the header has not arrived
        self.body_bytes = 0
        self.missing_bytes = 0
        self.chunks: list[bytes] | None = []  # None: too large, the body is dropped as it streams by


class FrameParser:
    """Turns pieces of the byte stream into items.  Used by the connection's thread only.

    ``is_native`` False (the plain channels): every frame comes out raw.
    """

    def __init__(self, max_body_bytes: int, *, is_native: bool = True) -> None:
        self.frame_max = 131072  # until the handshake has negotiated another; RabbitMQ begins with less
        self._max_body_bytes = max_body_bytes
        self._is_native = is_native
        self._partial: list[bytes] = []  # the beginning of a frame, in the pieces in which it came
        self._partial_bytes = 0
        self._needed_bytes = 0  # how many make the next step possible
        self._contents: dict[int, _Content] = {}  # by channel
        self._names: dict[bytes, str] = {b"": ""}

    @property
    def unfinished(self) -> bytes:
        """What has arrived and is no whole frame."""
        return b"".join(self._partial)

    def forget(self, channel: int) -> None:
        """Drop what has begun on a channel that was closed."""
        self._contents.pop(channel, None)

    def feed(self, data: bytes) -> list[Item]:
        """Return what is complete now.  Raises ``ConnectionLostError`` for a stream that is not AMQP."""
        if self._partial:
            self._partial.append(data)
            self._partial_bytes += len(data)
            if self._partial_bytes < self._needed_bytes:
                return []
            data = b"".join(self._partial)
            self._partial.clear()
        items: list[Item] = []
        try:
            position = self._parse(data, items)
        except (LookupError, struct.error) as exc:
            raise ConnectionLostError(f"the broker sent a frame that breaks off: {exc}") from exc
        if position < len(data):
            self._partial.append(data[position:] if position else data)
            self._partial_bytes = len(data) - position
        return items

    def _parse(self, data: bytes, items: list[Item]) -> int:
        """Parse all complete frames; return where the first incomplete one begins."""
        size = len(data)
        frame_max = self.frame_max
        is_native = self._is_native
        contents = self._contents
        unpack_frame = _FRAME.unpack_from
        batches: dict[int, list[AmqpDelivery]] = {}
        position = 0
        while size - position >= 8:
            kind, channel, length = unpack_frame(data, position)
            if length > frame_max:
                raise ConnectionLostError(f"the broker sent a frame of {length} bytes, {frame_max} are allowed")
            end = position + 7 + length
            if end >= size:
                self._needed_bytes = length + 8
                return position
            if data[end] != _END:
                raise ConnectionLostError(f"the broker sent a frame that ends with {data[end]:#04x} instead of 0xce")
            delivery = None
            if not is_native:
                if kind != HEARTBEAT:
                    items.append(RawFrame(kind, channel, data[position + 7 : end]))
            elif kind == METHOD:
                method = data[position + 7 : position + 11]
                if method == _DELIVER:
                    fast = None if channel in contents else self._whole_delivery(data, position + 11, end, channel)
                    if fast is None:
                        self._begin(channel, data[position + 7 : end], is_delivery=True)
                    else:
                        delivery, end = fast
                elif method in (_ACK, _NACK):
                    sequence, bits = _SETTLE_FIELDS.unpack_from(data, position + 11)
                    items.append(Settled(channel, sequence, bits & 1 == 1, method == _ACK))
                elif method == _RETURN:
                    self._begin(channel, data[position + 7 : end], is_delivery=False)
                else:
                    items.append(RawFrame(kind, channel, data[position + 7 : end]))
            elif kind == HEARTBEAT:
                pass
            elif (content := contents.get(channel)) is None:
                items.append(RawFrame(kind, channel, data[position + 7 : end]))
            elif self._is_complete(content, kind, data[position + 7 : end]):
                del contents[channel]
                if content.is_delivery:
                    delivery = self._delivery_of(content)
                else:
                    items.append(self._bounced(channel, content))
            if delivery is not None:
                batch = batches.get(channel)
                if batch is None:
                    batch = batches[channel] = []
                    items.append(Delivered(channel, batch))
                batch.append(delivery)
            elif batches:
                batches.pop(channel, None)  # something else came between: a cancel must not overtake deliveries
            position = end + 1
        self._needed_bytes = 8
        return position

    def _whole_delivery(self, data: bytes, start: int, end: int, channel: int) -> tuple[AmqpDelivery, int] | None:
        """Parse a delivery whose three frames lie in ``data``, the usual case; return it and where it ends.

        ``start``: behind the method's number; ``end``: the method frame's last byte.  None: anything unusual.
        """
        size = len(data)
        header = end + 1
        if size - header < 22:
            return None
        kind, header_channel, length, _, body_bytes, flags = _HEADER.unpack_from(data, header)
        header_end = header + 7 + length
        body = header_end + 8
        last = body + body_bytes if body_bytes else header_end
        if (
            last >= size
            or kind != HEADER
            or length < 14
            or header_channel != channel
            or body_bytes > self._max_body_bytes
            or data[header_end] != _END
            or data[last] != _END
            or (body_bytes and _FRAME.unpack_from(data, header_end + 1) != (BODY, channel, body_bytes))
        ):
            return None
        at = start + 1 + data[start]  # behind the consumer tag
        tag, redelivered, exchange_bytes = DELIVER_FIELDS.unpack_from(data, at)
        at += 10 + exchange_bytes
        if at + 1 + data[at] != end:
            raise ConnectionLostError("the broker sent a basic.deliver that is not as long as its frame")
        names = self._names
        exchange = data[at - exchange_bytes : at]
        property_list = data[header + 19 : header_end]
        content_type = property_list[3 : 3 + property_list[2]] if flags & 0x8000 else b""
        return AmqpDelivery(
            tag,
            data[body:last] if body_bytes else b"",
            data[at + 1 : end].decode("utf-8", "replace"),
            names[exchange] if exchange in names else self._name(exchange),
            redelivered & 1 == 1,
            names[content_type] if content_type in names else self._name(content_type),
            body_bytes,
            property_list,
        ), last

    def _begin(self, channel: int, payload: bytes, *, is_delivery: bool) -> None:
        if channel in self._contents:
            raise ConnectionLostError(f"the broker began a message on channel {channel} inside another")
        self._contents[channel] = _Content(payload, is_delivery=is_delivery)

    def _is_complete(self, content: _Content, kind: int, payload: bytes) -> bool:
        """Add a header or body frame to a content; return whether it was the last."""
        if (kind == HEADER) != (content.property_list is None):
            raise ConnectionLostError(f"the broker sent a frame of type {kind} where the other kind was due")
        if kind == HEADER:
            content.body_bytes = content.missing_bytes = struct.unpack_from(">Q", payload, 4)[0]
            content.property_list = payload[12:]
            if content.body_bytes > self._max_body_bytes:
                content.chunks = None
            return content.missing_bytes == 0
        content.missing_bytes -= len(payload)
        if content.missing_bytes < 0:
            raise ConnectionLostError("the broker sent more of a message than its header announced")
        if payload and content.chunks is not None:  # empty frames could go on for ever
            content.chunks.append(payload)
        return content.missing_bytes == 0

    def _delivery_of(self, content: _Content) -> AmqpDelivery:
        payload = content.payload
        property_list = content.property_list or b""
        at = 5 + payload[4]
        tag, redelivered, exchange_bytes = DELIVER_FIELDS.unpack_from(payload, at)
        at += 10
        key = at + exchange_bytes
        if key + 1 + payload[key] != len(payload):
            raise ConnectionLostError("the broker sent a basic.deliver that is not as long as its frame")
        has_content_type = property_list[0] & 0x80
        content_type = property_list[3 : 3 + property_list[2]] if has_content_type else b""
        return AmqpDelivery(
            tag,
            None if content.chunks is None else b"".join(content.chunks),
            payload[key + 1 :].decode("utf-8", "replace"),
            self._name(payload[at:key]),
            redelivered & 1 == 1,
            self._name(content_type),
            content.body_bytes,
            property_list,
        )

    def _bounced(self, channel: int, content: _Content) -> Bounced:
        payload = content.payload
        texts = []
        at = 6  # behind the reply code
        for _ in range(3):
            length = payload[at]
            texts.append(payload[at + 1 : at + 1 + length].decode("utf-8", "replace"))
            at += 1 + length
        reason, exchange, routing_key = texts
        return Bounced(channel, reason, exchange, routing_key, message_id_of(content.property_list or b""))

    def _name(self, raw: bytes) -> str:
        """Return the text of a name that comes again and again.  Foreign publishers may send any bytes."""
        names = self._names
        name = names.get(raw)
        if name is None:
            if len(names) >= _CACHED_NAMES:
                names.clear()
            name = names[raw] = raw.decode("utf-8", "replace")
        return name
