"""``MemoryQueue``: messages in order, and the consumers that share them.  Guarded by the broker's lock.

No clock and no I/O of its own.  What leaves the queue for a dead-letter exchange is returned to the broker, who
knows the exchanges.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from bus_amqp.transport.memory.entry import Entry
from bus_amqp.wire.message import Message

Arguments = Mapping[str, str | int | bool]


class Consumer(Protocol):
    """A channel, as a queue sees it."""

    @property
    def has_credit(self) -> bool:
        """Whether it may hold one more message."""

    def deliver(self, entry: Entry) -> None:
        """Hold this message until it is settled."""

    def cancel(self) -> None:
        """Hear that the queue is gone."""


class MemoryQueue:
    """Ready messages and consumers.  Unsettled messages are held by the consumer that has them."""

    def __init__(self, name: str, arguments: Arguments, now: float, *, is_exclusive: bool = False) -> None:
        self.name = name
        self.is_exclusive = is_exclusive  # goes with its consumer
        self.arguments = dict(arguments)
        self.is_deleted = False
        self.unacked = 0
        self.stuck: list[tuple[Entry, str]] = []  # at-least-once dead letters that no queue took yet, with the reason
        self._ready: deque[Entry] = deque()
        self._consumers: deque[Consumer] = deque()
        self._next_position = 0
        self._unused_since = now
        self._is_single_active = bool(arguments.get("x-single-active-consumer"))
        expires = arguments.get("x-expires")
        self._expires_seconds = None if expires is None else int(expires) / 1000
        limit = arguments.get("x-delivery-limit")
        self._delivery_limit = None if limit is None else int(limit)
        ttl = arguments.get("x-message-ttl")
        self._ttl_seconds = math.inf if ttl is None else int(ttl) / 1000

    def __repr__(self) -> str:
        return f"<MemoryQueue {self.name!r} {self.ready} ready, {self.unacked} unacked, {self.consumers} consumers>"

    @property
    def ready(self) -> int:
        """How many messages wait."""
        return len(self._ready)

    @property
    def consumers(self) -> int:
        """How many consumers are attached, standing by or not."""
        return len(self._consumers)

    @property
    def can_expire(self) -> bool:
        """Whether it has ``x-expires``."""
        return self._expires_seconds is not None

    def bodies(self) -> list[bytes]:
        """Return the bodies of the ready messages, in order."""
        return [entry.message.body for entry in self._ready]

    def lifetime_of(self, message: Message) -> float:
        """Return how many seconds a message may wait here: the queue's bound or its own; mostly infinity."""
        if not message.expiration_ms:
            return self._ttl_seconds
        return min(self._ttl_seconds, message.expiration_ms / 1000)

    def put(self, message: Message, exchange: str, expires_at: float = math.inf) -> None:
        """Append a message; ``dispatch`` hands it on."""
        self._ready.append(Entry(self._next_position, message, exchange, expires_at))
        self._next_position += 1

    def take_expired(self, now: float) -> list[Entry]:
        """Remove what has expired: at the head only, as RabbitMQ does."""
        expired: list[Entry] = []
        while self._ready and self._ready[0].expires_at <= now:
            expired.append(self._ready.popleft())
        return expired

    @property
    def next_expiry(self) -> float:
        """When the head expires; infinity: never, or there is none."""
        return self._ready[0].expires_at if self._ready else math.inf

    def dispatch(self) -> None:
        """Hand ready messages to consumers with credit: in turn, or all to the single active one."""
        ready = self._ready
        while ready:
            consumer = self._next_consumer()
            if consumer is None:
                return
            self.unacked += 1
            consumer.deliver(ready.popleft())

    def settled(self, count: int) -> None:
        """Note that consumers hold ``count`` messages less."""
        self.unacked -= count

    def attach(self, consumer: Consumer) -> None:
        """Add a consumer, behind those that are there."""
        self._consumers.append(consumer)

    def detach(self, consumer: Consumer, now: float) -> None:
        """Remove a consumer; with ``x-single-active-consumer`` the next in line takes over."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)
        self._unused_since = now

    def give_back(self, entries: Iterable[Entry]) -> list[Entry]:
        """Put unsettled messages back to their old places.  Return those that came back too often."""
        returned: list[Entry] = []
        exhausted: list[Entry] = []
        for entry in entries:
            entry.returns += 1
            # RabbitMQ's count: a limit of 1 allows one redelivery, the second return ends it.
            is_over = self._delivery_limit is not None and entry.returns > self._delivery_limit
            (exhausted if is_over else returned).append(entry)
        self.unacked -= len(returned) + len(exhausted)
        if returned:
            # Others may have given back earlier messages before: only sorting finds the place again (it is
            # nearly sorted, so Timsort is linear).
            self._ready = deque(sorted((*returned, *self._ready), key=_position))
        return exhausted

    def renew(self, now: float) -> None:
        """Start the time of ``x-expires`` again, as a declare does."""
        self._unused_since = now

    def has_expired(self, now: float) -> bool:
        """Return whether it had no consumer for longer than ``x-expires``."""
        if self._expires_seconds is None or self._consumers:
            return False
        return now - self._unused_since >= self._expires_seconds

    def delete(self) -> None:
        """Drop the messages and tell the consumers."""
        self.is_deleted = True
        self._ready.clear()
        consumers, self._consumers = self._consumers, deque()
        for consumer in consumers:
            consumer.cancel()

    def _next_consumer(self) -> Consumer | None:
        consumers = self._consumers
        if self._is_single_active:
            return consumers[0] if consumers and consumers[0].has_credit else None
        for _ in range(len(consumers)):
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.has_credit:
                return consumer
        return None


def _position(entry: Entry) -> int:
    return entry.position
