"""The broker's own patience: RabbitMQ closes a channel whose delivery nobody settles, after 30 minutes by default.

Lowered here to a second.  A handler that hangs for longer meets it again and again.
"""

import logging
from collections.abc import Iterator

import pytest

from bus_amqp import EventTopic, Settings, connect
from bus_amqp.sections import ConnectionSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.topology import names
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate, an_event
from tests.promise.waiting import wait_until

DEADLINE_SECONDS = 60
SHORT = "application:set_env(rabbit, consumer_timeout, 1000), application:set_env(rabbit, channel_tick_interval, 300)."
USUAL = (
    "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000)."
)


@pytest.fixture
def impatient(rabbitmq: RealBroker) -> Iterator[RealBroker]:
    """A broker that waits a second for an acknowledgement; channels ask for that number when they open."""
    rabbitmq.rabbitmqctl("eval", SHORT)
    yield rabbitmq
    rabbitmq.rabbitmqctl("eval", USUAL)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "resource"), [(1, "r-0"), (3, "r-0"), (3, "")])
def test_a_handler_that_outlasts_the_brokers_patience_is_called_once(
    impatient: RealBroker, exchange: str, workers: int, resource: str, caplog: pytest.LogCaptureFixture
) -> None:
    """P2, P4: each closed channel has the event delivered again; beside its running handler it would be done twice."""
    gate = Gate()
    settings = Settings(exchange=exchange, connection=ConnectionSettings(reconnect_pause_seconds=0.1))
    world = AmqpWorld(exchange, impatient, use_bulk_frames=True)
    with connect(impatient.url, settings=settings) as bus, caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        bus.subscribe(EventTopic(), gate, group="work", workers=workers)
        bus.publish(an_event(0, resource))
        gate.wait_entered()

        wait_until(lambda: caplog.text.count("PRECONDITION_FAILED") >= 2, "two closed channels", DEADLINE_SECONDS)
        wait_until(lambda: bus.health(), "it to consume again", DEADLINE_SECONDS)
        gate.let_go()

        def is_settled() -> bool:
            [stats] = bus.stats().subscriptions.values()
            return stats.spared >= 1 and not bus.health().subscriptions[0].running

        wait_until(is_settled, "the redelivered event to be acknowledged", DEADLINE_SECONDS)
        assert len(gate.started) == len(gate.finished) == 1
        assert bus.stats().reconnects == 0, "one channel's trouble is not the connection's"
    queue = names.group_queue(exchange, "work")
    wait_until(lambda: (state := world.queue_state(queue)) and state.ready == 0, "an empty queue")
    assert world.queue_state(names.dead_queue(exchange, "work")).ready == 0  # type: ignore[union-attr]
