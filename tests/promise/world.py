"""``World``: a broker, buses on it, and what may befall them; the same for every transport.

``MemoryWorld`` is here, ``AmqpWorld`` in a file of its own.  Used by the thread of one test.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bus_amqp import EventBus, EventBusException, Settings, connect
from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.sections import ConnectionSettings, ConsumerSettings, PublisherSettings
from bus_amqp.topology import names
from bus_amqp.topology.plan import Exchange, Plan, Queue
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.memory.registry import acquire_broker, release_broker
from bus_amqp.wire.message import Message
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

QUICK = {"reconnect_pause_seconds": 0.1}  # many faults in a row, and each test wants to end
CLOSE_SECONDS = min(10.0, TIMEOUT_SECONDS)


@dataclass(frozen=True)
class DeadLetterSeen:
    """One message of a dead-letter queue, looked at and left there."""

    body: bytes
    headers: Mapping[str, object] = field(default_factory=dict)
    content_type: str = ""


class World(ABC):
    """Owns the buses it has connected; ``close`` ends all that a test left open."""

    kind: str
    is_amqp: bool

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self._buses: list[EventBus] = []

    def connect(
        self,
        *,
        publisher: Mapping[str, Any] | None = None,
        consumer: Mapping[str, Any] | None = None,
        connection: Mapping[str, Any] | None = None,
        require_broker: bool = True,
        client_name: str = "test",
        **others: Any,
    ) -> EventBus:
        """Return a bus of its own, as another process would have."""
        settings = Settings(
            exchange=self.exchange,
            publisher=PublisherSettings(**(publisher or {})),
            consumer=ConsumerSettings(**(consumer or {})),
            connection=ConnectionSettings(**{**QUICK, **self._connection_settings(), **(connection or {})}),
        )
        bus = connect(self._url(), client_name=client_name, require_broker=require_broker, settings=settings, **others)
        self._buses.append(bus)
        return bus

    def close(self) -> None:
        """Close the buses, then the world."""
        self.bring_back()
        for bus in self._buses:
            with contextlib.suppress(EventBusException):  # a test that failed may leave what cannot be sent
                bus.close(CLOSE_SECONDS)
        self._end()

    def wait_dead_letters(self, count: int, group: str | None = None) -> list[DeadLetterSeen]:
        """Wait until a dead-letter queue holds that many, and no more."""
        queue = names.dead_queue(self.exchange, group)
        wait_until(lambda: (state := self.queue_state(queue)) and state.ready >= count, f"{count} dead letters")
        letters = self.dead_letters(group)
        assert len(letters) == count, letters
        return letters

    def _connection_settings(self) -> Mapping[str, Any]:
        return {}

    @abstractmethod
    def _url(self) -> str: ...

    @abstractmethod
    def _end(self) -> None: ...

    # --- what may befall it

    @abstractmethod
    def cut_connections(self) -> None:
        """Reset all connections; the broker takes new ones."""

    @abstractmethod
    def cut_consumer_of(self, bus: EventBus) -> None:
        """Reset the consumer's connection of one bus."""

    @abstractmethod
    def take_broker_away(self) -> None:
        """Reset all connections and answer no new ones; what is stored stays."""

    @abstractmethod
    def bring_back(self) -> None:
        """Answer again."""

    @abstractmethod
    def stall(self) -> None:
        """Take nothing more from publishers; their connections stay."""

    @abstractmethod
    def flow(self) -> None:
        """Take it again."""

    @abstractmethod
    def raise_alarm(self) -> None:
        """Have the broker block publishers, and say so."""

    @abstractmethod
    def end_alarm(self) -> None:
        """Have it unblock them."""

    @abstractmethod
    def crash_broker(self) -> None:
        """End the broker without warning."""

    @abstractmethod
    def start_broker(self) -> None:
        """Start it again with what it has stored."""

    # --- the operator

    @abstractmethod
    def delete_queue(self, queue: str) -> None:
        """Delete a queue behind the bus's back."""

    @abstractmethod
    def declare_otherwise(self, queue: str) -> None:
        """Delete a queue and make one of the same name with other arguments."""

    @abstractmethod
    def delete_exchange(self, name: str | None = None) -> None:
        """Delete an exchange (the bus's own, if not named), and with it all bindings."""

    @abstractmethod
    def declare_foreign_exchange(self, name: str) -> None:
        """Make a topic exchange that is none of the bus's."""

    @abstractmethod
    def bind(self, queue: str, routing_key: str) -> None:
        """Add a binding that no subscription asked for."""

    @abstractmethod
    def unbind(self, queue: str, routing_key: str, *, exchange: str | None = None) -> None:
        """Remove a binding (to the bus's own exchange, if not named) behind the bus's back."""

    @abstractmethod
    def publish_raw(
        self,
        body: bytes,
        *,
        routing_key: str = "A.B.C.D.E",
        content_type: str = "application/json",
        headers: Mapping[str, Any] | None = None,
        message_id: str = "",
        exchange: str | None = None,
    ) -> None:
        """Publish bytes as a foreign program would (``exchange`` None: the bus's)."""

    # --- a look inside

    @abstractmethod
    def dead_letters(self, group: str | None = None) -> list[DeadLetterSeen]:
        """Return what waits in a dead-letter queue, and leave it there."""

    @abstractmethod
    def queue_state(self, queue: str) -> QueueState | None:
        """Return how many messages wait in a queue and how many consumers it has.  None: there is no such queue."""

    @abstractmethod
    def open_connections(self) -> int:
        """Return how many connections of buses there are."""


class MemoryWorld(World):
    """A broker in this process."""

    kind = "memory"
    is_amqp = False

    def __init__(self, exchange: str) -> None:
        super().__init__(exchange)
        self.broker = acquire_broker(exchange)

    def _connection_settings(self) -> Mapping[str, Any]:
        return {"reconnect_pause_seconds": 0.02}  # as QUICK, where no other process needs time to recover

    def _url(self) -> str:
        return self.broker.address

    def _end(self) -> None:
        release_broker(self.broker)

    def cut_connections(self) -> None:
        self.broker.cut_connections()

    def cut_consumer_of(self, bus: EventBus) -> None:
        # The broker does not know which connection belongs to which bus; only here the test looks under the bonnet.
        connection = bus._consume_loop._connection  # type: ignore[attr-defined]
        with self.broker.lock:
            connection.lose("connection was cut")
            self.broker.leave(connection)
            self.broker.objects.dispatch()

    def take_broker_away(self) -> None:
        self.broker.stop()

    def bring_back(self) -> None:
        self.broker.unblock()
        self.broker.start()

    def stall(self) -> None:
        self.broker.block("stalled by a test")

    def flow(self) -> None:
        self.broker.unblock()

    def raise_alarm(self) -> None:
        self.broker.block("low on memory")

    def end_alarm(self) -> None:
        self.broker.unblock()

    def crash_broker(self) -> None:
        self.broker.stop()

    def start_broker(self) -> None:
        self.broker.start()

    def delete_queue(self, queue: str) -> None:
        self.broker.delete_queue(queue)

    def declare_otherwise(self, queue: str) -> None:
        with self.broker.lock:
            self.broker.objects.delete_queue(queue)
            self.broker.objects.declare(Plan(queues=(Queue(queue, {"x-queue-type": "classic"}),)))

    def delete_exchange(self, name: str | None = None) -> None:
        with self.broker.lock:
            del self.broker.objects.exchanges[name or self.exchange]

    def declare_foreign_exchange(self, name: str) -> None:
        self.broker.objects.declare(Plan(exchanges=(Exchange(name, "topic"),)))

    def bind(self, queue: str, routing_key: str) -> None:
        with self.broker.lock:
            objects = self.broker.objects
            objects.exchanges[self.exchange].bind(objects.existing_queue(queue), routing_key)

    def unbind(self, queue: str, routing_key: str, *, exchange: str | None = None) -> None:
        self.broker.unbind(exchange or self.exchange, queue)

    def publish_raw(
        self,
        body: bytes,
        *,
        routing_key: str = "A.B.C.D.E",
        content_type: str = "application/json",
        headers: Mapping[str, Any] | None = None,
        message_id: str = "",
        exchange: str | None = None,
    ) -> None:
        message = Message(routing_key, body, content_type=content_type, headers=headers, message_id=message_id)
        with self.broker.lock:
            assert self.broker.objects.store(message, self.exchange if exchange is None else exchange), "unroutable"
            self.broker.objects.dispatch()

    def dead_letters(self, group: str | None = None) -> list[DeadLetterSeen]:
        with self.broker.lock:
            entries = list(self.broker.objects.existing_queue(names.dead_queue(self.exchange, group))._ready)
        return [
            DeadLetterSeen(entry.message.body, dict(entry.message.headers or {}), entry.message.content_type)
            for entry in entries
        ]

    def queue_state(self, queue: str) -> QueueState | None:
        with self.broker.lock:
            try:
                found = self.broker.objects.existing_queue(queue)
            except NotFoundOnBrokerError:
                return None
            return QueueState(found.ready, found.consumers)

    def open_connections(self) -> int:
        return len(self.broker.roles())
