"""``Objects``: the exchanges and queues of one broker, and how messages go through them.

Knows no connection and no lock: ``MemoryBroker`` calls it with its own lock held.  ``x-expires`` and message
lifetimes have no timer thread: what is due is done when somebody looks, by the clock that was passed in; a
connection's turn looks in time (``seconds_until_due``).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bus_amqp.errors import NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.memory.entry import Entry, dead_letter_of
from bus_amqp.transport.memory.exchange import KINDS, MemoryExchange
from bus_amqp.transport.memory.queue import Consumer, MemoryQueue
from bus_amqp.wire.message import Message


class Objects:
    """What exists on a broker."""

    def __init__(self, address: str, clock: Callable[[], float]) -> None:
        self.exchanges: dict[str, MemoryExchange] = {}
        self.queues: dict[str, MemoryQueue] = {}
        self._address = address  # for errors only
        self._clock = clock
        self._expiring: list[MemoryQueue] = []
        self._with_lifetimes: dict[MemoryQueue, None] = {}  # hold, or held, messages that may not wait for ever
        self._touched: dict[MemoryQueue, None] = {}  # messages came or credit did, and nothing was handed on yet

    def __repr__(self) -> str:
        return f"<Objects {len(self.exchanges)} exchanges, {len(self.queues)} queues>"

    def declare(self, plan: Plan) -> None:
        """Make the plan's objects exist.  Raises ``TopologyMismatchError``, ``NotFoundOnBrokerError``."""
        self.drop_expired()
        for exchange in plan.exchanges:
            self._declare_exchange(exchange)
        for queue in plan.queues:
            self._declare_queue(queue)
        for binding in plan.bindings:
            self._bind(binding)
        self._retry_dead_letters()

    def find_queue(self, name: str) -> MemoryQueue | None:
        """Look for a queue and renew its ``x-expires``, as RabbitMQ's passive declare does."""
        self.drop_expired()
        queue = self.queues.get(name)
        if queue is not None:
            queue.renew(self._clock())
        return queue

    def existing_queue(self, name: str) -> MemoryQueue:
        """Return a queue.  Raises ``NotFoundOnBrokerError``."""
        self.drop_expired()
        queue = self.queues.get(name)
        if queue is None:
            raise NotFoundOnBrokerError(f"no queue {name!r} at {self._address}: declare it first")
        return queue

    def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages; its consumers are cancelled.  Absent is no error."""
        queue = self.queues.pop(name, None)
        if queue is None:
            return
        for exchange in self.exchanges.values():
            exchange.unbind_all(queue)
        if queue in self._expiring:
            self._expiring.remove(queue)
        queue.delete()

    def attach(self, name: str, consumer: Consumer) -> MemoryQueue:
        """Add a consumer; ``dispatch`` starts it.  Raises ``NotFoundOnBrokerError``."""
        queue = self.existing_queue(name)
        queue.attach(consumer)
        self._touched[queue] = None
        return queue

    def detach(self, queue: MemoryQueue, consumer: Consumer, unsettled: list[Entry]) -> None:
        """Remove a consumer; what it did not settle goes back to its place, or to the dead letters."""
        queue.detach(consumer, self._clock())
        if queue.is_exclusive and not queue.consumers:
            self.delete_queue(queue.name)
            return
        for entry in queue.give_back(unsettled):
            self._dead_letter(queue, entry, "delivery_limit")
        self._touched[queue] = None

    def settle(self, queue: MemoryQueue, entries: list[Entry], *, discard: bool) -> None:
        """Forget messages that a consumer is through with, or send them to the dead letters."""
        queue.settled(len(entries))
        self._touched[queue] = None
        if discard:
            for entry in entries:
                self._dead_letter(queue, entry, "rejected")

    def store(self, message: Message, exchange: str) -> bool:
        """Route one message; return whether a queue took it.  Raises ``NotFoundOnBrokerError``: no such exchange."""
        queues = self._queues_for(message.routing_key, exchange)
        for queue in queues:
            lifetime = queue.lifetime_of(message)
            if lifetime == math.inf:
                queue.put(message, exchange)
            else:
                queue.put(message, exchange, self._clock() + lifetime)
                self._with_lifetimes[queue] = None
            self._touched[queue] = None
        return bool(queues)

    def _queues_for(self, routing_key: str, exchange: str) -> tuple[MemoryQueue, ...]:
        if not exchange:  # AMQP's default exchange leads to the queue of that name
            queue = self.queues.get(routing_key)
            return () if queue is None else (queue,)
        found = self.exchanges.get(exchange)
        if found is None:
            raise self._no_exchange(exchange)
        queues = found.queues_for(routing_key)
        tried = {exchange}
        while not queues and (alternate := found.alternate) is not None and alternate not in tried:
            tried.add(alternate)
            if (following := self.exchanges.get(alternate)) is None:
                break
            found, queues = following, following.queues_for(routing_key)
        return queues

    def dispatch(self) -> None:
        """Hand on what the other calls left: once for a batch, not for each message."""
        while self._touched:
            queue, _ = self._touched.popitem()
            queue.dispatch()

    def drop_expired(self) -> None:
        """Delete the queues that nobody has consumed for their ``x-expires``; move on the messages whose time is up."""
        if self._with_lifetimes:
            self._move_expired(self._clock())
        if not self._expiring:
            return
        now = self._clock()
        for queue in [queue for queue in self._expiring if queue.has_expired(now)]:
            self.delete_queue(queue.name)

    def seconds_until_due(self) -> float:
        """Return when the next message expires; infinity: none ever will."""
        if not self._with_lifetimes:
            return math.inf
        return min(queue.next_expiry for queue in self._with_lifetimes) - self._clock()

    def _move_expired(self, now: float) -> None:
        for queue in tuple(self._with_lifetimes):
            for entry in queue.take_expired(now):
                self._dead_letter(queue, entry, "expired")
            if not queue.ready and not queue.unacked:
                del self._with_lifetimes[queue]
        self.dispatch()

    def _declare_exchange(self, exchange: Exchange) -> None:
        if exchange.kind not in KINDS:
            raise TopologyMismatchError(
                f"exchange {exchange.name!r}: memory:// has no type {exchange.kind!r}, use one of {', '.join(KINDS)}"
            )
        there = self.exchanges.setdefault(
            exchange.name, MemoryExchange(exchange.name, exchange.kind, exchange.arguments)
        )
        for argument in sorted({*there.arguments, *exchange.arguments}):
            was, wanted = there.arguments.get(argument), exchange.arguments.get(argument)
            if there.kind == exchange.kind and was != wanted:
                raise TopologyMismatchError(
                    f"exchange {exchange.name!r}: argument {argument} is {was!r} on the broker and declared as "
                    f"{wanted!r}: arguments are for life; use another exchange name, or delete it there"
                )
        if there.kind != exchange.kind:
            raise TopologyMismatchError(
                f"exchange {exchange.name!r} is of type {there.kind!r} on the broker and declared as "
                f"{exchange.kind!r}: the type is for life; use another exchange name, or delete it there"
            )

    def _declare_queue(self, queue: Queue) -> None:
        there = self.queues.get(queue.name)
        if there is None:
            there = self.queues[queue.name] = MemoryQueue(
                queue.name, queue.arguments, self._clock(), is_exclusive=queue.is_exclusive
            )
            if there.can_expire:
                self._expiring.append(there)
            return
        for argument in sorted({*there.arguments, *queue.arguments}):
            was, wanted = there.arguments.get(argument), queue.arguments.get(argument)
            if was != wanted:
                raise TopologyMismatchError(
                    f"queue {queue.name!r}: argument {argument} is {was!r} on the broker and declared as {wanted!r}: "
                    "arguments are for life; use another name, or delete the queue there with what is in it"
                )
        there.renew(self._clock())

    def _bind(self, binding: Binding) -> None:
        exchange = self.exchanges.get(binding.exchange)
        if exchange is None:
            raise self._no_exchange(binding.exchange)
        exchange.bind(self.existing_queue(binding.queue), binding.key)

    def _no_exchange(self, name: str) -> NotFoundOnBrokerError:
        return NotFoundOnBrokerError(f"no exchange {name!r} at {self._address}: declare it first", exchange=name)

    def _dead_letter(self, queue: MemoryQueue, entry: Entry, reason: str) -> None:
        exchange = queue.arguments.get("x-dead-letter-exchange")
        if exchange is None or queue.is_deleted:
            return  # dropped, as on RabbitMQ
        key = str(queue.arguments.get("x-dead-letter-routing-key", entry.message.routing_key))
        letter = dead_letter_of(entry, queue=queue.name, routing_key=key, reason=reason)
        is_stored = str(exchange) in self.exchanges and self.store(letter, str(exchange))
        if not is_stored and queue.arguments.get("x-dead-letter-strategy") == "at-least-once":
            queue.stuck.append((entry, reason))

    def _retry_dead_letters(self) -> None:
        # RabbitMQ tries again by a timer; here a way out can only appear with a declare.
        for queue in self.queues.values():
            if queue.stuck:
                stuck, queue.stuck = queue.stuck, []
                for entry, reason in stuck:
                    self._dead_letter(queue, entry, reason)
        self.dispatch()
