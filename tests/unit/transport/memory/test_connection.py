"""What is particular to connections of ``memory://``; the seam itself is tested in tests/conformance."""

from __future__ import annotations

import threading

import pytest

from bus_amqp.errors import BusClosedError, ChannelLostError, ConnectionLostError
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.memory.broker import MemoryBroker
from bus_amqp.transport.memory.connection import MemoryConnector
from bus_amqp.transport.signals import ChannelClosed, Confirmed, Deliveries, Returned
from bus_amqp.wire.message import Message

PLAN = Plan((Exchange("bus", "topic"),), (Queue("q"),), (Binding("bus", "q", "#"),))
WAIT_SECONDS = 10.0


def test_a_cut_ends_a_turn_that_waits(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """A loop in a long turn must hear of the loss at once, and not when the turn's time is over."""
    connection = connector.connect("consumer")
    errors: list[Exception] = []

    def wait() -> None:
        try:
            connection.turn(WAIT_SECONDS)
        except ConnectionLostError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    broker.cut_connections()
    thread.join(WAIT_SECONDS / 2)

    assert not thread.is_alive()
    assert len(errors) == 1


def test_a_publisher_and_a_consumer_on_two_threads_lose_nothing(connector: MemoryConnector) -> None:
    """The only lock of the broker is between them: batches taken while others are written would lose messages."""
    count = 5000
    connector.connect("control").declare(PLAN)
    bodies: list[bytes | None] = []
    confirmed: list[int] = []

    def consume() -> None:
        connection = connector.connect("consumer")
        channel = connection.consume_channel("q", 50)
        while len(bodies) < count:
            for signal in connection.turn(WAIT_SECONDS):
                assert isinstance(signal, Deliveries)
                bodies.extend(delivery.body for delivery in signal.deliveries)
                channel.accept([delivery.tag for delivery in signal.deliveries])

    def publish() -> None:
        connection = connector.connect("publisher")
        channel = connection.publish_channel()
        for first in range(0, count, 10):
            channel.send([Message("k", str(number).encode()) for number in range(first, first + 10)])
            for signal in connection.turn(0):
                assert isinstance(signal, Confirmed)
                confirmed.append(signal.sequence)

    threads = [threading.Thread(target=target) for target in (consume, publish)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)

    assert bodies == [str(number).encode() for number in range(count)]
    assert confirmed[-1] == count


def test_a_batch_that_was_taken_does_not_grow(connector: MemoryConnector) -> None:
    """The owner walks over it while others publish."""
    connection = connector.connect("consumer")
    connection.declare(PLAN)
    connection.consume_channel("q", 10)
    channel = connector.connect("publisher").publish_channel()
    channel.send([Message("k", b"1")])
    signals = connection.turn(0)

    channel.send([Message("k", b"2")])

    assert len(signals) == 1
    assert isinstance(signals[0], Deliveries)
    assert [delivery.body for delivery in signals[0].deliveries] == [b"1"]


def test_messages_before_a_refused_one_are_stored(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """The broker reads in order: what came before the mistake is done, what comes after it is ignored."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    channel = connection.publish_channel()

    channel.send([Message("k", b"1"), Message("k", b"2", exchange="absent"), Message("k", b"3")])
    channel.send([Message("k", b"4")])  # the owner does not know yet

    confirmed, closed = connection.turn(0)
    assert confirmed == Confirmed(channel, 1, multiple=True)
    assert isinstance(closed, ChannelClosed)
    assert broker.bodies("q") == [b"1"]
    with pytest.raises(ChannelLostError):
        channel.send([Message("k", b"5")])


def test_a_return_comes_before_the_confirm_of_its_batch(connector: MemoryConnector) -> None:
    """Also when one confirm stands for the whole batch."""
    connection = connector.connect("publisher")
    connection.declare(Plan((Exchange("bus", "topic"),)))
    channel = connection.publish_channel()

    channel.send([Message("k", b"1", message_id="lost", mandatory=True), Message("k", b"2")])

    assert connection.turn(0) == [
        Returned(channel, "bus", "k", "lost", "NO_ROUTE"),
        Confirmed(channel, 2, multiple=True),
    ]


def test_settling_what_was_never_delivered_closes_the_channel(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """RabbitMQ does so: a bookkeeping mistake of ours must show with memory already."""
    connection = connector.connect("consumer")
    connection.declare(PLAN)
    connector.connect("publisher").publish_channel().send([Message("k", b"1")])
    channel = connection.consume_channel("q", 10)
    connection.turn(0)

    channel.accept([7])

    (closed,) = connection.turn(0)
    assert isinstance(closed, ChannelClosed)
    assert "7" in str(closed.error)
    assert broker.bodies("q") == [b"1"]


def test_redeliveries_are_counted_for_the_consumer(connector: MemoryConnector) -> None:
    """``x-delivery-count`` is RabbitMQ's header; a first delivery has none."""
    connection = connector.connect("consumer")
    connection.declare(PLAN)
    connector.connect("publisher").publish_channel().send([Message("k", b"1", headers={"own": 1})])

    headers = []
    for _ in range(3):
        channel = connection.consume_channel("q", 1)
        (signal,) = connection.turn(0)
        assert isinstance(signal, Deliveries)
        headers.append(signal.deliveries[0].properties.headers)
        channel.close()

    assert headers == [{"own": 1}, {"own": 1, "x-delivery-count": 1}, {"own": 1, "x-delivery-count": 2}]


def test_a_closed_connector_connects_no_more() -> None:
    """It holds no broker any longer: a connection would find an empty one and lose everything silently."""
    connector = MemoryConnector("closed")
    connector.close()
    connector.close()

    with pytest.raises(BusClosedError):
        connector.connect("publisher")


def test_everything_tells_its_state(connector: MemoryConnector) -> None:
    """A ``repr`` is what a person has when something hangs."""
    connection = connector.connect("consumer")
    connection.declare(PLAN)
    publishing, consuming = connection.publish_channel(), connection.consume_channel("q", 10)
    publishing.send([Message("k", b"1")])

    told = " ".join(map(repr, (connector, connector.memory_broker, connection, publishing, consuming)))

    for word in (connector.address, "consumer", "open", "2 channels", "1 sent", "1 unacked", "1 queues"):
        assert word in told
