"""The same two channels over py-amqp's own encoding and parsing, chosen by ``use_bulk_frames=False``.

The fallback should a new py-amqp not suit the bulk channels, and the evidence that those do the same.  Both pass
one conformance suite.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import amqp
from amqp.exceptions import AMQPError, FrameSyntaxError

from bus_amqp.errors import ChannelLostError, InvalidArgumentError
from bus_amqp.transport.amqp.consume_channel import OpenTags
from bus_amqp.transport.amqp.deliveries import properties_from, readable
from bus_amqp.transport.amqp.driver import DriverChannel
from bus_amqp.transport.amqp.frames import Bounced
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.lingering import Lingering
from bus_amqp.transport.amqp.link import Link
from bus_amqp.wire.message import Delivery, Message, Properties


class PlainDelivery(Delivery):
    """A delivery around a message that py-amqp has parsed."""

    __slots__ = ("_values",)
    _values: dict[str, Any]

    @property
    def properties(self) -> Properties:
        """What py-amqp parsed."""
        return properties_from(self._values)


class PlainPublishChannel:
    """A channel in confirm mode; py-amqp encodes one message after another into the link's stream."""

    def __init__(
        self, channel: DriverChannel, link: Link, exchange: str, inbox: Inbox, close: Callable[[], None],
        user_id: str = "",
    ) -> None:  # fmt: skip
        self._channel = channel
        self._number: int = channel.channel_id
        self._link = link
        self._exchange = exchange
        self._inbox = inbox
        self._close = close
        self._user_id = user_id
        self._is_closed = False
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def __repr__(self) -> str:
        return f"<PlainPublishChannel {self._number}{' closed' if self._is_closed else ''}>"

    def send(self, messages: Sequence[Message]) -> None:
        """Publish one after another.  Raises as the bulk channel does, and then none of the batch is sent either."""
        if self._is_closed:
            raise ChannelLostError(f"publish channel {self._number} is closed")
        stream = self._link.stream
        kept_bytes = stream.unsent_bytes  # py-amqp only appends; the flush at the end is ours
        for message in messages:
            try:
                self._channel.basic_publish(
                    _amqp_message(message, self._user_id),
                    exchange=self._exchange if message.exchange is None else message.exchange,
                    routing_key=message.routing_key,
                    mandatory=message.mandatory,
                )
            except (FrameSyntaxError, TypeError, ValueError, struct.error) as exc:
                stream.take_back(kept_bytes)
                raise InvalidArgumentError(f"{message!r} cannot be sent over AMQP: {exc}") from exc
        stream.flush()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self._link.unsent_bytes

    def _on_ack(self, sequence: int, is_multiple: bool) -> None:
        self._inbox.settle(self._number, sequence, is_multiple=is_multiple, is_stored=True)

    def _on_nack(self, sequence: int, is_multiple: bool) -> None:
        self._inbox.settle(self._number, sequence, is_multiple=is_multiple, is_stored=False)

    def _on_return(self, error: AMQPError, exchange: str, routing_key: str, message: amqp.Message) -> None:
        message_id = message.properties.get("message_id", "")
        self._inbox.bounce(Bounced(self._number, error.reply_text or "", exchange, routing_key, message_id))

    def lost(self) -> None:
        """Note that the broker has closed the channel."""
        self._is_closed = True

    def close(self) -> None:
        """Close the channel."""
        if not self._is_closed:
            self._is_closed = True
            self._close()


def _amqp_message(message: Message, user_id: str) -> amqp.Message:
    properties: dict[str, Any] = {"delivery_mode": 2}
    for name in ("content_type", "message_id", "timestamp", "type", "app_id"):
        if value := getattr(message, name):
            properties[name] = value
    if user_id:
        properties["user_id"] = user_id
    if message.headers:
        properties["application_headers"] = dict(message.headers)
    if message.expiration_ms:
        properties["expiration"] = str(message.expiration_ms)
    return amqp.Message(message.body, **properties)


class PlainConsumeChannel:
    """A channel with one consumer; py-amqp calls back for each message."""

    def __init__(
        self, channel: DriverChannel, queue: str, link: Link, inbox: Inbox, max_body_bytes: int,
        close: Callable[[], None], stop: Callable[[], None],
    ) -> None:  # fmt: skip
        self._stop = stop
        self._channel = channel
        self._number: int = channel.channel_id
        self._queue = queue
        self._link = link
        self._inbox = inbox
        self._max_body_bytes = max_body_bytes
        self._close = close
        self._tags = OpenTags()
        self._lingering = Lingering()
        self._is_closed = False
        channel.auto_decode = False  # bodies stay bytes

    def __repr__(self) -> str:
        return f"<PlainConsumeChannel {self._number} on {self._queue!r}{' closed' if self._is_closed else ''}>"

    def on_message(self, message: amqp.Message) -> None:
        """Take a message from py-amqp."""
        found: Any = message.delivery_info
        body = message.body or b""  # py-amqp leaves an empty body as str
        delivery = PlainDelivery(
            found["delivery_tag"],
            body if len(body) <= self._max_body_bytes else None,
            routing_key=found["routing_key"],
            exchange=found["exchange"],
            redelivered=found["redelivered"],
            content_type=readable(message.properties.get("content_type", "")),
            body_bytes=len(body),
        )
        delivery._values = message.properties
        self._inbox.deliver(self._number, (delivery,))

    def accept(self, tags: Sequence[int]) -> None:
        """Acknowledge, as the bulk channel does."""
        through, others = self._tags.settle(tags)
        if self._is_closed:
            return
        if through:
            self._channel.basic_ack(through, multiple=True)
        for tag in others:
            self._channel.basic_ack(tag)
        self._link.stream.flush()
        self._lingering.note(bool(through) + len(others))

    def discard(self, tags: Sequence[int]) -> None:
        """Reject without requeue."""
        each = self._tags.settle_each(tags)
        if self._is_closed:
            return
        for tag in each:
            self._channel.basic_reject(tag, requeue=False)
        self._link.stream.flush()
        self._lingering.note(len(each))

    def lost(self) -> None:
        """Note that the broker has closed the channel."""
        self._is_closed = True

    def stop(self) -> None:
        """End the consumer; what is unsettled stays in the hand."""
        if not self._is_closed:
            self._stop()

    @property
    def settled_at(self) -> float:
        """When the broker has taken all of it."""
        return self._lingering.over_at

    def close(self) -> None:
        """Close the channel; not cancelled first, so that the broker requeues in order."""
        if not self._is_closed:
            self._is_closed = True
            self._close()
