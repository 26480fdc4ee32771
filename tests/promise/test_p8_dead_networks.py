"""P8: ``close`` keeps its time when nobody answers, whatever the threads of the bus wait for."""

import threading
import time
from collections.abc import Callable

import pytest

from bus_amqp import EventBus, EventTopic, UndeliveredError
from bus_amqp.errors import EventBusException
from bus_amqp.testing.recorder import Recorder
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate, an_event
from tests.promise.waiting import wait_until

CLOSE_SECONDS = 1.0
OVER_SECONDS = 2.0  # what a busy machine takes to end a handful of threads
PATIENT = {"connect_timeout_seconds": 60, "heartbeat_seconds": 60}  # so that nothing but the end ends a wait


def _silent(world: AmqpWorld, bus: EventBus) -> None:
    world.stall()


def _connecting(world: AmqpWorld, bus: EventBus) -> None:
    """Every connection is lost, and every new one meets a peer that takes it and says nothing."""
    world.stall()
    world.cut_connections()
    wait_until(lambda: bus.health().publisher.reason, "the loss to be seen")


@pytest.mark.parametrize("fall_silent", [_silent, _connecting])
def test_p8_close_keeps_its_time_on_a_dead_network(
    amqp_world: AmqpWorld, fall_silent: Callable[[AmqpWorld, EventBus], None]
) -> None:
    """A connect timeout for each of three connections would be three minutes here; no thread is left of it either."""
    bus = amqp_world.connect(connection=PATIENT)
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder)
    bus.subscribe(EventTopic(), recorder, group="billing")
    bus.publish(an_event(0))
    wait_until(lambda: len(recorder.ids) == 2, "both to have it")
    fall_silent(amqp_world, bus)
    bus.publish(an_event(1))

    started = time.monotonic()
    with pytest.raises(UndeliveredError):
        bus.close(CLOSE_SECONDS)

    assert time.monotonic() - started < CLOSE_SECONDS + OVER_SECONDS
    left = {thread.name for thread in threading.enumerate()}
    assert not left & {"bus-publisher", "bus-consumer", "bus-control"}


def test_p8_what_was_handled_is_acknowledged_when_another_handler_outlasts_close(amqp_world: AmqpWorld) -> None:
    """The end in a hurry is no excuse: the neighbour of the one that hangs has done its work."""
    bus = amqp_world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(event_category="UsageEvent"), gate, group="hanging")
    bus.subscribe(EventTopic(event_category="AlertEvent"), recorder, group="working")
    bus.publish(an_event(0, event_category="UsageEvent"))
    gate.wait_entered()
    for number in range(20):
        bus.publish(an_event(number, event_category="AlertEvent"))
    recorder.wait_for(20)

    with pytest.raises(EventBusException, match="still in hand"):
        bus.close(0.2)
    gate.let_go()

    queue = f"{amqp_world.exchange}.working"
    wait_until(lambda: (state := amqp_world.queue_state(queue)) and state.consumers == 0, "its consumer to be gone")
    state = amqp_world.queue_state(queue)
    assert state is not None
    assert state.ready == 0
