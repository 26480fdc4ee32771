"""Lifetimes of messages and alternate exchanges in ``memory://``, by a clock of the test's own."""

import threading

import pytest

from bus_amqp.errors import TopologyMismatchError
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue, rung_plan
from bus_amqp.transport.memory.broker import MemoryBroker
from bus_amqp.transport.memory.connection import MemoryConnection, MemoryConnector
from bus_amqp.transport.signals import Deliveries
from bus_amqp.wire.message import Message
from tests.unit.clock import Clock

RUNG = "bus.wait.5s"


@pytest.fixture
def connection(connector: MemoryConnector) -> MemoryConnection:
    """A connection, a rung of five seconds, and a queue ``home`` that it leads back to."""
    made = connector.connect("control")
    made.declare(rung_plan("bus", 5))
    made.declare(Plan(queues=(Queue("home"),), bindings=(Binding("bus.return", "home", "home"),)))
    return made


def put(connection: MemoryConnection, *expirations: int) -> None:
    channel = connection.publish_channel()
    channel.send([Message("home", b"%d" % n, exchange=RUNG, expiration_ms=n) for n in expirations])
    connection.turn(0)


def test_a_message_moves_on_when_its_time_is_up_and_not_before(
    connection: MemoryConnection, broker: MemoryBroker, clock: Clock
) -> None:
    """Of its own time and the queue's, the shorter one."""
    put(connection, 4000, 60_000)

    clock.now += 3.999
    assert (broker.depth(RUNG), broker.depth("home")) == (2, 0)
    clock.now += 0.001
    assert (broker.depth(RUNG), broker.depth("home")) == (1, 1)
    clock.now += 1
    assert (broker.depth(RUNG), broker.depth("home")) == (0, 2)
    assert broker.bodies("home") == [b"4000", b"60000"]


def test_only_the_head_of_a_queue_expires(connection: MemoryConnection, broker: MemoryBroker, clock: Clock) -> None:
    """As on RabbitMQ: what is behind a longer wait waits for it."""
    put(connection, 4000, 1000)

    clock.now += 2
    assert broker.depth("home") == 0
    clock.now += 2
    assert broker.bodies("home") == [b"4000", b"1000"]


def test_what_has_returned_waits_no_more(connection: MemoryConnection, broker: MemoryBroker, clock: Clock) -> None:
    """A broker takes the expiration away with the dead-lettering: kept, it would end the event in its own queue."""
    put(connection, 4000)
    clock.now += 4
    assert broker.depth("home") == 1

    clock.now += 3600

    assert broker.depth("home") == 1


def test_a_turn_that_waits_does_what_falls_due() -> None:
    """There is no timer thread: a consumer that waits for an hour gets what is due in a moment."""
    real = MemoryConnector("real-time", exchange="bus")
    try:
        connection = real.connect("consumer")
        connection.declare(rung_plan("bus", 1))
        connection.declare(Plan(queues=(Queue("home"),), bindings=(Binding("bus.return", "home", "home"),)))
        connection.consume_channel("home", 5)
        publishing = connection.publish_channel()
        publishing.send([Message("home", b"1", exchange="bus.wait.1s", expiration_ms=50)])
        connection.turn(0)
        came: list[object] = []
        thread = threading.Thread(target=lambda: came.extend(connection.turn(3600)))
        thread.start()
        thread.join(10)

        assert not thread.is_alive()
        assert any(isinstance(signal, Deliveries) for signal in came)
    finally:
        real.close()


def test_the_alternate_exchange_of_an_exchange_is_for_life(connection: MemoryConnection) -> None:
    """As its type is: a plan that wants another one must hear of it here as on RabbitMQ."""
    with pytest.raises(TopologyMismatchError, match="alternate-exchange"):
        connection.declare(Plan((Exchange("bus.return", "direct"),)))


def test_alternate_exchanges_in_a_circle_end(connection: MemoryConnection, broker: MemoryBroker) -> None:
    """Nothing is routed, and nobody hangs."""
    circle = (
        Exchange("a", "direct", {"alternate-exchange": "b"}),
        Exchange("b", "direct", {"alternate-exchange": "a"}),
        Exchange("c", "direct", {"alternate-exchange": "nowhere"}),
    )
    connection.declare(Plan(circle))

    with broker.lock:
        assert [broker.objects.store(Message("k", b""), name) for name in ("a", "b", "c")] == [False] * 3
