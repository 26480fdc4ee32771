"""``Entry``: a message in one queue, and ``MemoryDelivery``: an entry on its way to a consumer."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bus_amqp.wire.message import Delivery, HeaderValue, Message, Properties


class Entry:
    """One message in one queue.  Guarded by the broker's lock; a plain class because one is built per message.

    ``position`` is for life, so what is given back finds its old place.  ``returns`` counts how often it was.
    ``expires_at``: on the broker's clock; infinity where it may wait for ever.
    """

    __slots__ = ("exchange", "expires_at", "message", "position", "returns")

    def __init__(self, position: int, message: Message, exchange: str, expires_at: float = math.inf) -> None:
        self.position = position
        self.message = message
        self.exchange = exchange
        self.returns = 0
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"<Entry {self.position} returned {self.returns} times {self.message!r}>"


class MemoryDelivery(Delivery):
    """A delivery that shares the publisher's message: nothing is copied before ``properties`` are asked for."""

    __slots__ = ("_message", "_returns")

    def __init__(self, tag: int, entry: Entry, max_body_bytes: int) -> None:
        message = entry.message
        size_bytes = len(message.body)
        # Written out and not through super().__init__: this is the hottest constructor of the transport.
        self.tag = tag
        self.body = message.body if size_bytes <= max_body_bytes else None
        self.routing_key = message.routing_key
        self.exchange = entry.exchange
        self.redelivered = entry.returns > 0
        self.content_type = message.content_type
        self.body_bytes = size_bytes
        self._message = message
        self._returns = entry.returns  # the entry's own count moves on after this delivery

    @property
    def properties(self) -> Properties:
        """The publisher's properties; ``x-delivery-count`` tells how often the message was given back."""
        message = self._message
        headers = dict(message.headers or ())
        if self._returns:
            headers["x-delivery-count"] = self._returns
        return Properties(
            content_type=message.content_type,
            message_id=message.message_id,
            timestamp=message.timestamp,
            type=message.type,
            app_id=message.app_id,
            headers=headers,
        )


def dead_letter_of(entry: Entry, *, queue: str, routing_key: str, reason: str) -> Message:
    """Return the copy that goes to the dead-letter exchange; its headers tell where and why it died first."""
    message = entry.message
    given: Mapping[str, HeaderValue] = message.headers or {}
    death: dict[str, HeaderValue] = {
        "x-first-death-exchange": entry.exchange,
        "x-first-death-queue": queue,
        "x-first-death-reason": reason,
    }
    return Message(
        routing_key,
        message.body,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
        content_type=message.content_type,
        headers={**death, **given},  # the first death stays the first
    )
