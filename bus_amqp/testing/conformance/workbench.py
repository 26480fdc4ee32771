"""``Workbench``: connections and queues for one conformance test, and waiting without sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from bus_amqp.errors import ChannelLostError, EventBusException
from bus_amqp.testing.conformance.harness import TransportHarness
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.base import Connection, Connector
from bus_amqp.transport.channel import PublishChannel
from bus_amqp.transport.signals import Confirmed, Deliveries, Signal
from bus_amqp.wire.message import Delivery, Message

TIMEOUT_SECONDS = 10.0
Arguments = Mapping[str, str | int | bool]
CLASSIC: Arguments = {"x-queue-type": "classic"}
QUORUM: Arguments = {"x-queue-type": "quorum"}

both_kinds_of_queue = pytest.mark.parametrize("arguments", [CLASSIC, QUORUM], ids=["classic", "quorum"])


class Workbench:
    """Opens what a test needs, and closes and deletes it afterwards."""

    def __init__(self, harness: TransportHarness) -> None:
        self.harness = harness
        self.exchange = harness.exchange
        self._connectors: dict[str, Connector] = {}
        self._connections: list[Connection] = []
        self._queues: list[str] = []

    def connect(self, role: str = "control") -> Connection:
        """Open a connection."""
        if role not in self._connectors:
            self._connectors[role] = self.harness.connector(role)
        connection = self._connectors[role].connect(role)
        self._connections.append(connection)
        return connection

    def declare_queue(
        self,
        connection: Connection,
        *keys: str,
        name: str = "queue",
        arguments: Arguments = CLASSIC,
    ) -> str:
        """Declare a queue and bind it with these keys; return its full name."""
        full_name = f"{self.exchange}.{name}"
        connection.declare(
            Plan(
                exchanges=(Exchange(self.exchange, "topic"),),
                queues=(Queue(full_name, arguments),),
                bindings=tuple(Binding(self.exchange, full_name, key) for key in keys),
            )
        )
        if full_name not in self._queues:
            self._queues.append(full_name)
        return full_name

    def declare_dead_letters(self, connection: Connection) -> str:
        """Declare an exchange and a queue for dead letters; return the queue's full name."""
        exchange, queue = f"{self.exchange}.dead", f"{self.exchange}.letters"
        connection.declare(
            Plan((Exchange(exchange, "direct"),), (Queue(queue, CLASSIC),), (Binding(exchange, queue, "letter"),))
        )
        self._queues.append(queue)
        return queue

    def dead_lettering(self) -> dict[str, str | int | bool]:
        """Return the arguments that send dead letters to ``declare_dead_letters``' queue."""
        return {"x-dead-letter-exchange": f"{self.exchange}.dead", "x-dead-letter-routing-key": "letter"}

    def publish(self, connection: Connection, *messages: Message, channel: PublishChannel | None = None) -> None:
        """Publish on a fresh channel of the connection (or this one) and wait until all is confirmed."""
        channel = channel or connection.publish_channel()
        channel.send(messages)
        collect(connection, lambda signals: confirmed_sequences(signals, channel) >= len(messages))

    def wait_ready(self, connection: Connection, queue: str, count: int) -> None:
        """Wait until this many messages are ready, or fail."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        state = connection.queue_state(queue)
        while state is None or state.ready != count:
            assert time.monotonic() < deadline, f"{queue} should have {count} messages ready, it is {state}"
            connection.turn(0.02)
            state = connection.queue_state(queue)

    def wait_gone(self, connection: Connection, queue: str) -> None:
        """Wait until there is no such queue; one that is locked is there."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self._is_there(connection, queue):
            assert time.monotonic() < deadline, f"{queue} is still there"
            connection.turn(0.01)

    def _is_there(self, connection: Connection, queue: str) -> bool:
        try:
            return connection.queue_state(queue) is not None
        except ChannelLostError:
            return True

    def clean_up(self) -> None:
        """Close the connections and delete the queues.  Exchanges stay: the seam has no way to delete them."""
        for connection in self._connections:
            connection.close()
        if self._queues:
            connection = self.harness.connector("control").connect("control")
            for queue in self._queues:
                connection.delete_queue(queue)
            connection.close()


class Conformance:
    """What the test classes share."""

    @pytest.fixture
    def bench(self, harness: TransportHarness) -> Iterator[Workbench]:
        """A workbench on the transport under test."""
        workbench = Workbench(harness)
        yield workbench
        workbench.clean_up()


def numbered(number: int, key: str = "c.t.r.u.s") -> Message:
    """Return a message that can be told from others."""
    return Message(key, str(number).encode(), message_id=f"message-{number}")


def collect(
    connection: Connection, is_enough: Callable[[list[Signal]], bool], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> list[Signal]:
    """Take turns until the signals are enough; fail with what came if they never are."""
    signals: list[Signal] = []
    deadline = time.monotonic() + timeout_seconds
    while not is_enough(signals):
        remaining = deadline - time.monotonic()
        assert remaining > 0, f"not enough within {timeout_seconds} s: {signals!r}"
        signals.extend(connection.turn(min(remaining, 1.0)))
    return signals


def collect_one(connection: Connection, kind: type[Signal]) -> Signal:
    """Take turns until a signal of this kind comes; return it."""
    signals = collect(connection, lambda signals: any(isinstance(signal, kind) for signal in signals))
    return next(signal for signal in signals if isinstance(signal, kind))


def collect_deliveries(connection: Connection, count: int) -> list[Delivery]:
    """Take turns until this many messages came; fail if it were more."""
    signals = collect(connection, lambda signals: len(deliveries_in(signals)) >= count)
    deliveries = deliveries_in(signals)
    assert len(deliveries) == count, f"{len(deliveries)} deliveries came, {count} were due: {deliveries!r}"
    return deliveries


def deliveries_in(signals: Sequence[Signal], channel: object = None) -> list[Delivery]:
    """Return the deliveries (of one channel) in the order in which they came."""
    return [
        delivery
        for signal in signals
        if isinstance(signal, Deliveries) and channel in (None, signal.channel)
        for delivery in signal.deliveries
    ]


def confirmed_sequences(signals: Sequence[Signal], channel: object) -> int:
    """Return how many messages of a channel were confirmed; fail if one is confirmed twice."""
    confirmed: set[int] = set()
    for signal in signals:
        if isinstance(signal, Confirmed) and signal.channel is channel:
            told = set(range(1, signal.sequence + 1)) - confirmed if signal.multiple else {signal.sequence}
            assert told - confirmed == told != set(), f"{signal!r} confirms nothing new"
            confirmed |= told
    return len(confirmed)


def turn_until_lost(connection: Connection) -> EventBusException:
    """Take turns until the connection says that it is lost; fail if it never does."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            connection.turn(0.5)
        except EventBusException as error:
            return error
    raise AssertionError(f"the connection was cut {TIMEOUT_SECONDS} s ago and turn() has not said so")
