"""How long a broker lives."""

from __future__ import annotations

from bus_amqp.topology.plan import Plan, Queue
from bus_amqp.transport.memory.connection import MemoryConnector
from bus_amqp.transport.memory.registry import acquire_broker, release_broker

PLAN = Plan(queues=(Queue("q"),))


def test_holders_of_one_name_share_a_broker() -> None:
    """Two buses in one program talk to each other through ``memory://``."""
    first, second, other = MemoryConnector("shared"), MemoryConnector("shared"), MemoryConnector("other")

    first.connect("control").declare(PLAN)

    assert second.memory_broker.queue_names() == ["q"]
    assert other.memory_broker.queue_names() == []
    for connector in (first, second, other):
        connector.close()


def test_a_broker_is_gone_with_its_last_holder() -> None:
    """Tests are isolated: the next one begins with nothing."""
    first, second = MemoryConnector("mortal"), MemoryConnector("mortal")
    first.connect("control").declare(PLAN)

    first.close()
    assert second.connect("control").queue_state("q") is not None
    later = MemoryConnector("mortal")
    assert later.memory_broker is second.memory_broker
    later.close()
    second.close()

    third = MemoryConnector("mortal")
    assert third.memory_broker.queue_names() == []
    third.close()


def test_a_lost_connection_does_not_lose_the_broker() -> None:
    """The holder is the connector: between two connections of a bus there is none."""
    connector = MemoryConnector("kept")
    connector.connect("control").declare(PLAN)

    connector.memory_broker.cut_connections()

    assert connector.connect("control").queue_state("q") is not None
    connector.close()


def test_a_test_may_hold_a_broker_itself() -> None:
    """So that it can make faults in a bus it did not build, and look at the queues after the bus has closed."""
    broker = acquire_broker("watched")
    connector = MemoryConnector("watched")
    connector.connect("control").declare(PLAN)

    connector.close()

    assert broker.queue_names() == ["q"]
    release_broker(broker)
    release_broker(broker)  # once too often: must not take it from somebody else
    again = acquire_broker("watched")
    assert again is not broker
    release_broker(broker)
    assert acquire_broker("watched") is again
    release_broker(again)
    release_broker(again)


def test_the_last_release_ends_connections_that_were_forgotten() -> None:
    """Otherwise they would go on with a broker that nobody else can reach."""
    connector = MemoryConnector("forgotten")
    connector.connect("consumer")

    connector.close()

    assert connector.memory_broker.roles() == []
