"""Encode the methods of the hot paths in bulk: ``basic.publish``, ``basic.ack`` and ``basic.reject``.

Pure: no I/O.  What py-amqp writes for the same arguments is the oracle of the tests.  Layout of a frame:
type (1 byte), channel (2), payload size (4), payload, 0xCE.  A message is a method frame, a content header
frame and as many body frames as the negotiated frame size asks for; an empty body has none.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from amqp.exceptions import AMQPError
from amqp.serialization import dumps

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.wire.message import HeaderValue, Message

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
FRAME_OVERHEAD = 8  # header and end mark, which frame_max includes

_LENGTHS = tuple(bytes((n,)) for n in range(256))  # of short strings
_METHOD_START = struct.Struct(">BHIHHH")  # frame header; class 60, method 40, reserved
_METHOD_END_HEADER_START = struct.Struct(">BBBHIHHQH")  # mandatory, 0xCE; frame header; class, weight, size, flags
_HEADER_END_BODY_START = struct.Struct(">BBHI")
_TIMESTAMP = struct.Struct(">Q")
_SETTLE = struct.Struct(">BHIHHQBB")

_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE = 0x8000, 0x2000, 0x1000
_EXPIRATION, _MESSAGE_ID, _TIMESTAMP_FLAG = 0x0100, 0x0080, 0x0040
_TYPE, _USER_ID, _APP_ID = 0x0020, 0x0010, 0x0008
_PERSISTENT = b"\x02"
_CACHED_STRINGS = 1024  # types, sources and content types have few values; a cache without bound would be a leak


class PublishEncoder:
    """Encodes messages for one channel.  Keeps the constant parts; used by the connection's thread only.

    ``user_id``: who every message says it is from; "": none says so.
    """

    def __init__(self, channel: int, default_exchange: str, frame_max: int, user_id: str = "") -> None:
        self._channel = channel
        self._default_exchange = default_exchange
        self._max_payload = frame_max - FRAME_OVERHEAD
        self._exchanges: dict[str | None, bytes] = {}  # encoded names, with the length in front
        self._strings: dict[str, bytes] = {"": b""}  # the same for property values
        self._user_id = self._string(user_id)
        self._flags = _DELIVERY_MODE | (_USER_ID if user_id else 0)
        # The user id follows the type on the wire: kept in one piece with it, it costs nothing per message.
        self._kinds: dict[str, bytes] = {"": self._user_id}

    def encode(self, messages: Sequence[Message]) -> bytes:
        """Return the frames of all messages, in order.

        Raises ``InvalidArgumentError`` for a message that AMQP cannot carry; then none of the batch is encoded.
        """
        pieces: list[bytes] = []
        append, strings, kinds, exchanges = pieces.append, self._strings, self._kinds, self._exchanges
        constant_flags = self._flags
        lengths, channel, max_payload = _LENGTHS, self._channel, self._max_payload
        pack_method, pack_header, pack_body = (
            _METHOD_START.pack, _METHOD_END_HEADER_START.pack, _HEADER_END_BODY_START.pack,
        )  # fmt: skip
        message = None
        try:
            for message in messages:
                exchange = exchanges.get(message.exchange) or self._exchange(message.exchange)
                key = message.routing_key.encode()
                append(pack_method(1, channel, 7 + len(exchange) + len(key) + 1, 60, 40, 0))
                append(exchange)
                append(lengths[len(key)])
                append(key)

                flags = constant_flags
                content_type = strings.get(message.content_type) or self._string(message.content_type)
                if content_type:
                    flags |= _CONTENT_TYPE
                headers = b""
                if message.headers:
                    flags |= _HEADERS
                    headers = _table(message.headers)
                message_id = message.message_id.encode()
                size = 15 + len(content_type) + len(headers)
                expiration = b""
                if message.expiration_ms:  # copies that wait; AMQP wants the number as a text
                    flags |= _EXPIRATION
                    digits = b"%d" % message.expiration_ms
                    expiration = lengths[len(digits)] + digits
                    size += len(expiration)
                if message_id:
                    flags |= _MESSAGE_ID
                    message_id = lengths[len(message_id)] + message_id
                    size += len(message_id)
                timestamp = b""
                if message.timestamp:
                    flags |= _TIMESTAMP_FLAG
                    timestamp = _TIMESTAMP.pack(message.timestamp)
                    size += 8
                kind = kinds.get(message.type) or self._kind(message.type)
                if message.type:
                    flags |= _TYPE
                size += len(kind)
                app_id = strings.get(message.app_id) or self._string(message.app_id)
                if app_id:
                    flags |= _APP_ID
                    size += len(app_id)
                if size > max_payload:
                    raise ValueError(f"its properties have {size} bytes, a frame takes {max_payload}")

                body = message.body
                body_bytes = len(body)
                append(pack_header(message.mandatory, 0xCE, 2, channel, size, 60, 0, body_bytes, flags))
                append(content_type)
                append(headers)
                append(_PERSISTENT)
                append(expiration)
                append(message_id)
                append(timestamp)
                append(kind)
                append(app_id)
                if 0 < body_bytes <= max_payload:
                    append(pack_body(0xCE, 3, channel, body_bytes))
                    append(body)
                else:
                    for start in range(0, body_bytes, max_payload):
                        part = body[start : start + max_payload]
                        append(pack_body(0xCE, 3, channel, len(part)))
                        append(part)
                append(b"\xce")
        except (AMQPError, AttributeError, LookupError, TypeError, ValueError, struct.error) as exc:
            raise InvalidArgumentError(f"{message!r} cannot be sent over AMQP: {_reason(message, exc)}") from exc
        return b"".join(pieces)

    def _exchange(self, name: str | None) -> bytes:
        encoded = (self._default_exchange if name is None else name).encode()
        self._exchanges[name] = short = _LENGTHS[len(encoded)] + encoded
        return short

    def _kind(self, value: str) -> bytes:
        """Return the type, and behind it the user id."""
        encoded = self._string(value) + self._user_id
        if len(self._kinds) >= _CACHED_STRINGS:
            self._kinds.clear()
        self._kinds[value] = encoded
        return encoded

    def _string(self, value: str) -> bytes:
        if not value:
            return b""
        encoded = value.encode()
        short = _LENGTHS[len(encoded)] + encoded
        if len(self._strings) >= _CACHED_STRINGS:
            self._strings.clear()
        self._strings[value] = short
        return short


def _table(headers: Mapping[str, HeaderValue]) -> bytes:
    table: bytes = dumps("F", (headers,))
    return table


def _reason(message: Message | None, exc: Exception) -> str:
    """Name the property that is too long for a short string, which is what goes wrong if anything does."""
    for name in ("exchange", "routing_key", "message_id", "content_type", "type", "app_id"):
        value = getattr(message, name, None)
        if isinstance(value, str) and len(value.encode(errors="replace")) > 255:
            return f"{name} has more than 255 bytes"
    return str(exc)


def encode_accepts(channel: int, through: int, tags: Sequence[int]) -> bytes:
    """Return one ``basic.ack multiple`` for all tags up to ``through`` (0: none) and single ones for ``tags``."""
    pack = _SETTLE.pack
    frames = [pack(1, channel, 13, 60, 80, tag, 0, 0xCE) for tag in tags]
    if through:
        frames.insert(0, pack(1, channel, 13, 60, 80, through, 1, 0xCE))
    return b"".join(frames)


def encode_rejects(channel: int, tags: Sequence[int]) -> bytes:
    """Return a ``basic.reject`` without requeue for each tag."""
    pack = _SETTLE.pack
    return b"".join([pack(1, channel, 13, 60, 90, tag, 0, 0xCE) for tag in tags])
