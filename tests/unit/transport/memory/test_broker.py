"""Faults and objects of the broker, through connections."""

from __future__ import annotations

import pytest

from bus_amqp.errors import ConnectionLostError, NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.memory.broker import MemoryBroker
from bus_amqp.transport.memory.connection import MemoryConnection, MemoryConnector
from bus_amqp.transport.signals import Blocked, Confirmed, Deliveries, Rejected, Unblocked
from bus_amqp.wire.message import Message
from tests.unit.clock import Clock

BUS = Exchange("bus", "topic")
QUEUE = Queue("q")
PLAN = Plan((BUS,), (QUEUE,), (Binding("bus", "q", "#"),))


def _messages(*numbers: int) -> list[Message]:
    return [Message("a.b", str(number).encode()) for number in numbers]


def _delivered(connection: MemoryConnection) -> list[bytes | None]:
    return [one.body for signal in connection.turn(0) if isinstance(signal, Deliveries) for one in signal.deliveries]


# --- faults ----------------------------------------------------------------------------------------------------


def test_a_cut_ends_all_connections_and_returns_what_was_in_hand(
    broker: MemoryBroker, connector: MemoryConnector
) -> None:
    """What tests of reconnecting lean on: nothing may be lost by the cut itself."""
    connections = [connector.connect("publisher"), connector.connect("consumer")]
    connections[0].declare(PLAN)
    connections[1].consume_channel("q", 10)
    connections[0].publish_channel().send(_messages(1, 2))
    assert (broker.depth("q"), broker.unacked("q")) == (0, 2)

    assert broker.cut_connections() == 2

    for connection in connections:
        with pytest.raises(ConnectionLostError, match="cut"):
            connection.turn(0)
    assert broker.roles() == []
    assert (broker.bodies("q"), broker.unacked("q"), broker.consumers("q")) == ([b"1", b"2"], 0, 0)


def test_a_cut_may_hit_one_role_only(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """A test of the publisher's reconnect should not disturb the consumer."""
    publisher, consumer = connector.connect("publisher"), connector.connect("consumer")

    assert broker.cut_connections("publisher") == 1

    assert not consumer.turn(0)
    with pytest.raises(ConnectionLostError):
        publisher.turn(0)


def test_a_cut_of_all_costs_a_message_one_delivery(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """What the first gives back must not be handed to the next that goes: it would use up the delivery limit."""
    plan = Plan((BUS,), (Queue("q", {"x-delivery-limit": 1}),), PLAN.bindings)
    for _ in range(5):
        connection = connector.connect("consumer")
        connection.declare(plan)
        connection.consume_channel("q", 10)
    connector.connect("publisher").publish_channel().send(_messages(1))

    broker.cut_connections()

    assert broker.bodies("q") == [b"1"]


def test_a_stopped_broker_refuses_and_keeps_its_contents(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """A restart of RabbitMQ, as the bus sees it."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    connection.publish_channel().send(_messages(1))

    broker.stop()
    with pytest.raises(ConnectionLostError, match="stopped"):
        connection.turn(0)
    with pytest.raises(ConnectionLostError, match="stopped"):
        connector.connect("publisher")
    broker.start()
    again = connector.connect("consumer")
    again.consume_channel("q", 10)

    assert _delivered(again) == [b"1"]


def test_a_blocked_connection_holds_its_publishes(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """As under a memory alarm: nothing is stored or confirmed, and all of it is, in order, when the alarm ends."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    channel = connection.publish_channel()
    channel.send(_messages(1))
    connection.turn(0)

    broker.block("low on memory")
    assert connection.turn(0) == [Blocked("low on memory")]
    channel.send(_messages(2, 3))
    assert not connection.turn(0)
    assert channel.unsent_bytes == 2
    assert broker.bodies("q") == [b"1"]
    broker.unblock()

    assert connection.turn(0) == [Unblocked(), Confirmed(channel, 3, multiple=True)]
    assert channel.unsent_bytes == 0
    assert broker.bodies("q") == [b"1", b"2", b"3"]


def test_only_connections_that_publish_are_blocked(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """RabbitMQ tells a connection when it publishes: consumers must go on and drain the broker."""
    consumer, publisher = connector.connect("consumer"), connector.connect("publisher")
    consumer.declare(PLAN)
    channel = publisher.publish_channel()

    broker.block("low on disk")
    assert not consumer.turn(0)
    assert not publisher.turn(0)
    channel.send(_messages(1))

    assert publisher.turn(0) == [Blocked("low on disk")]
    assert broker.depth("q") == 0
    broker.unblock()
    assert broker.depth("q") == 1


def test_held_confirms_come_later_and_in_order(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """Tests of the window and of ``flush`` need events that are stored and not confirmed."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    channel = connection.publish_channel()

    broker.hold_confirms()
    channel.send(_messages(1))
    channel.send(_messages(2))
    assert not connection.turn(0)
    assert broker.depth("q") == 2
    broker.release_confirms()

    assert connection.turn(0) == [Confirmed(channel, 1, multiple=True), Confirmed(channel, 2, multiple=True)]


def test_held_confirms_of_a_lost_connection_are_lost(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """The case that at-least-once is made for: stored, unconfirmed, sent again."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    broker.hold_confirms()
    connection.publish_channel().send(_messages(1))

    broker.cut_connections()
    again = connector.connect("publisher")
    broker.release_confirms()

    assert not again.turn(0)
    assert broker.depth("q") == 1


def test_rejected_messages_are_stored_nowhere(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """A basic.nack means *not stored*; the messages around it are confirmed."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)
    channel = connection.publish_channel()
    channel.send(_messages(0))
    connection.turn(0)

    broker.reject_next(2)
    channel.send(_messages(1, 2, 3))

    assert connection.turn(0) == [
        Rejected(channel, 2, multiple=False),
        Rejected(channel, 3, multiple=False),
        Confirmed(channel, 4, multiple=True),
    ]
    assert broker.bodies("q") == [b"0", b"3"]


def test_bindings_can_be_removed_behind_the_back_of_the_bus(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """P7: the audit finds what an operator removed."""
    connection = connector.connect("publisher")
    connection.declare(PLAN)

    broker.unbind("bus", "q")
    connection.publish_channel().send(_messages(1))

    assert broker.bindings("bus") == []
    assert broker.depth("q") == 0


# --- objects ---------------------------------------------------------------------------------------------------


def test_an_unused_queue_is_gone_at_the_next_look(
    broker: MemoryBroker, connector: MemoryConnector, clock: Clock
) -> None:
    """``x-expires`` without a timer thread: everybody who looks must find the queue gone."""
    connection = connector.connect("control")
    connection.declare(Plan((BUS,), (Queue("q", {"x-expires": 60_000}),), PLAN.bindings))
    channel = connection.publish_channel()

    clock.now += 59
    channel.send(_messages(1))
    assert broker.depth("q") == 1
    clock.now += 1
    channel.send(_messages(2))

    assert broker.bindings("bus") == []
    assert broker.queue_names() == []


def test_every_way_of_looking_finds_an_expired_queue_gone(connector: MemoryConnector, clock: Clock) -> None:
    """Each is the first look after the time is over: none may bring the queue back to life."""
    connection = connector.connect("control")
    queue = Queue("q", {"x-expires": 60_000})

    connection.declare(Plan(queues=(queue,)))
    clock.now += 60
    assert connection.queue_state("q") is None

    connection.declare(Plan(queues=(queue,)))
    clock.now += 60
    with pytest.raises(NotFoundOnBrokerError):
        connection.consume_channel("q", 1)

    connection.declare(Plan(queues=(queue,)))
    clock.now += 60
    connection.declare(Plan(queues=(Queue("q"),)))  # no mismatch: the old one is gone


def test_looking_and_declaring_keep_a_queue_alive(
    broker: MemoryBroker, connector: MemoryConnector, clock: Clock
) -> None:
    """RabbitMQ counts both as use."""
    connection = connector.connect("control")
    queue = Queue("q", {"x-expires": 60_000})
    connection.declare(Plan(queues=(queue,)))
    connection.publish_channel().send([Message("q", b"1", exchange="")])

    for _ in range(3):
        clock.now += 40
        assert connection.queue_state("q") is not None
        clock.now += 40
        connection.declare(Plan(queues=(queue,)))

    assert broker.bodies("q") == [b"1"]


def test_a_mismatch_names_both_values_and_the_way_out(connector: MemoryConnector) -> None:
    """An operator reads it at night."""
    connection = connector.connect("control")
    connection.declare(Plan(queues=(Queue("q", {"x-expires": 1000}),)))

    with pytest.raises(TopologyMismatchError, match=r"'q'.*x-expires.*1000.*None.*delete the queue"):
        connection.declare(Plan(queues=(Queue("q"),)))


def test_an_unknown_type_of_exchange_is_refused(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """Routing by guesswork would be worse than an error."""
    with pytest.raises(TopologyMismatchError, match="headers"):
        connector.connect("control").declare(Plan(exchanges=(Exchange("x", "headers"),)))

    assert broker.exchange_names() == []


def test_at_least_once_dead_letters_wait_for_a_way_out(broker: MemoryBroker, connector: MemoryConnector) -> None:
    """P5: with the group's dead-letter queue deleted, its dead letters are kept until it is declared again."""
    arguments = {"x-dead-letter-exchange": "dead", "x-dead-letter-strategy": "at-least-once"}
    connection = connector.connect("consumer")
    connection.declare(Plan((BUS,), (Queue("q", arguments),), PLAN.bindings))
    connection.publish_channel().send(_messages(1))
    channel = connection.consume_channel("q", 1)

    channel.discard([1])
    connection.declare(Plan((Exchange("dead", "fanout"),)))
    connection.declare(Plan(queues=(Queue("letters"),), bindings=(Binding("dead", "letters", ""),)))

    assert broker.bodies("letters") == [b"1"]


def test_without_a_dead_letter_exchange_a_discarded_message_is_gone(
    broker: MemoryBroker, connector: MemoryConnector
) -> None:
    """The same as on RabbitMQ, so that a forgotten argument is found with memory, too."""
    connection = connector.connect("consumer")
    connection.declare(PLAN)
    connection.publish_channel().send(_messages(1))

    connection.consume_channel("q", 1).discard([1])

    assert (broker.depth("q"), broker.unacked("q")) == (0, 0)


def test_looking_at_an_absent_queue_says_so(broker: MemoryBroker) -> None:
    """A misspelt name in an assertion must not pass for an empty queue."""
    with pytest.raises(NotFoundOnBrokerError, match="misspelt"):
        broker.depth("misspelt")
