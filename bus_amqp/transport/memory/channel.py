"""The two kinds of channel of ``memory://``.  Used by the connection's thread, fed under the broker's lock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from bus_amqp.errors import ChannelLostError, EventBusException, NotFoundOnBrokerError
from bus_amqp.transport.memory.broker import Client, MemoryBroker
from bus_amqp.transport.memory.entry import Entry, MemoryDelivery
from bus_amqp.transport.memory.queue import MemoryQueue
from bus_amqp.transport.signals import Cancelled, ChannelClosed, Confirmed, Deliveries, Rejected, Returned
from bus_amqp.wire.message import Message


class Owner(Client, Protocol):
    """A connection, as its channels see it."""

    def check(self) -> None:
        """Raise ``ConnectionLostError`` if the connection is of no use any more."""

    def may_publish(self) -> bool:
        """Return whether the broker takes publishes of this connection now."""

    def drop(self, channel: MemoryPublishChannel | MemoryConsumeChannel) -> None:
        """Forget a channel that is closed."""


class MemoryPublishChannel:
    """A channel in confirm mode."""

    def __init__(self, owner: Owner, broker: MemoryBroker, exchange: str) -> None:
        self._owner = owner
        self._broker = broker
        self._exchange = exchange  # what Message.exchange None stands for
        self._is_open = True
        self._is_refused = False  # the broker closed it, which the owner may not know yet
        self._sequence = 0
        self._held: list[Message] = []  # sent while the broker takes no publishes
        self._held_bytes = 0

    def __repr__(self) -> str:
        return f"<MemoryPublishChannel {self._sequence} sent, {len(self._held)} held>"

    @property
    def unsent_bytes(self) -> int:
        """Bytes held because the broker takes no publishes."""
        return self._held_bytes

    def send(self, messages: Sequence[Message]) -> None:
        """Publish the batch, or hold it while the broker is blocked."""
        with self._broker.lock:
            self._owner.check()
            if self._is_refused:
                return  # as on a real broker, which ignores what it reads on a channel that it has closed
            if not self._is_open:
                raise ChannelLostError("publish channel is closed: open another one")
            if self._owner.may_publish():
                self._publish(messages)
            else:
                self._held.extend(messages)
                self._held_bytes += sum(len(message.body) for message in messages)

    def send_held(self) -> None:
        """Publish what was held.  Lock held."""
        held, self._held, self._held_bytes = self._held, [], 0
        if held and self._is_open:
            self._publish(held)

    def lose(self) -> None:
        """Be closed: nothing more is sent.  Lock held."""
        self._is_open = False
        self._held, self._held_bytes = [], 0

    def taken(self) -> None:
        """The turn has told the owner what there was to tell.  Lock held."""
        if self._is_refused:
            self._is_refused = False  # from now on it is the owner's fault to send here
            self.lose()
            self._owner.drop(self)

    def close(self) -> None:
        """Close the channel; what is held is lost."""
        with self._broker.lock:
            self.lose()
            self._owner.drop(self)

    def _publish(self, messages: Sequence[Message]) -> None:
        objects = self._broker.objects
        objects.drop_expired()
        stored = 0  # the last sequence that was stored
        refused: EventBusException | None = None
        for message in messages:
            self._sequence += 1
            if not self._broker.takes_next():
                self._broker.answer(self._owner, Rejected(self, self._sequence, multiple=False))
                continue
            exchange = self._exchange if message.exchange is None else message.exchange
            try:
                is_routed = objects.store(message, exchange)
            except NotFoundOnBrokerError as error:
                refused = error
                break
            stored = self._sequence
            if message.mandatory and not is_routed:
                self._owner.signal(Returned(self, exchange, message.routing_key, message.message_id, "NO_ROUTE"))
        if stored:
            # One answer for the batch, after its returns and rejections, as RabbitMQ does under load.
            self._broker.answer(self._owner, Confirmed(self, stored, multiple=True))
        objects.dispatch()
        if refused is not None:
            self._is_refused = True
            self._owner.signal(ChannelClosed(self, refused))


class MemoryConsumeChannel:
    """A channel with one consumer; holds what it was given until that is settled."""

    def __init__(self, owner: Owner, broker: MemoryBroker, queue: str, prefetch: int, max_body_bytes: int) -> None:
        self._owner = owner
        self._broker = broker
        self._prefetch = prefetch  # 0: no bound, as in AMQP
        self._max_body_bytes = max_body_bytes
        self._is_open = True
        self._last_tag = 0
        self._unacked: dict[int, Entry] = {}  # by tag, in the order of delivery
        self._batch: list[MemoryDelivery] | None = None  # what the next turn takes
        self._queue: MemoryQueue = broker.objects.attach(queue, self)

    def __repr__(self) -> str:
        return f"<MemoryConsumeChannel {self._queue.name!r} {len(self._unacked)} unacked>"

    @property
    def settled_at(self) -> float:
        """At once: there is no log."""
        return -math.inf

    @property
    def has_credit(self) -> bool:
        """Whether it may hold one more message."""
        return self._is_open and (len(self._unacked) < self._prefetch or not self._prefetch)

    def deliver(self, entry: Entry) -> None:
        """Hold this message and give it to the next turn.  Lock held."""
        self._last_tag += 1
        self._unacked[self._last_tag] = entry
        if self._batch is None:
            self._batch = []
            self._owner.signal(Deliveries(self, self._batch))
        self._batch.append(MemoryDelivery(self._last_tag, entry, self._max_body_bytes))

    def taken(self) -> None:
        """Begin another batch: the last one belongs to the connection's thread now.  Lock held."""
        self._batch = None

    def cancel(self) -> None:
        """Hear that the queue is gone.  Lock held."""
        self._owner.signal(Cancelled(self))

    def accept(self, tags: Sequence[int]) -> None:
        """Forget these deliveries."""
        self._settle(tags, discard=False)

    def discard(self, tags: Sequence[int]) -> None:
        """Send these deliveries to the dead letters."""
        self._settle(tags, discard=True)

    def lose(self) -> None:
        """Be closed: leave the queue and give back what is unsettled; the caller dispatches.  Lock held."""
        self._is_open = False
        self._batch = None
        unsettled, self._unacked = list(self._unacked.values()), {}
        self._broker.objects.detach(self._queue, self, unsettled)

    def stop(self) -> None:
        """End the consumer; what is unsettled stays in the hand."""
        with self._broker.lock:
            self._owner.check()
            if self._is_open:
                self._broker.objects.detach(self._queue, self, [])
                self._broker.objects.dispatch()

    def close(self) -> None:
        """Close the channel: what is unsettled goes back in order."""
        with self._broker.lock:
            if self._is_open:
                self.lose()
                self._owner.drop(self)
                self._broker.objects.dispatch()

    def _settle(self, tags: Sequence[int], *, discard: bool) -> None:
        with self._broker.lock:
            self._owner.check()
            if not self._is_open:
                return  # the broker has given everything to others: there is nothing left to settle
            # A tag that was settled before is left out, as in transport.amqp.
            entries = [entry for tag in tags if (entry := self._unacked.pop(tag, None)) is not None]
            self._broker.objects.settle(self._queue, entries, discard=discard)
            if tags and max(tags) > self._last_tag:  # RabbitMQ says PRECONDITION_FAILED: a bug shows here as there
                self.close()
                self._owner.signal(ChannelClosed(self, ChannelLostError(f"unknown delivery tag {max(tags)}")))
            self._broker.objects.dispatch()
