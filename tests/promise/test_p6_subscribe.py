"""P6: ``subscribe`` returns consuming or raises in time, and each queue lives as long as it should."""

import random
import threading
import time
from collections.abc import Callable
from uuid import UUID

import pytest

from bus_amqp import (
    ConnectionLostError,
    Event,
    EventBus,
    EventTopic,
    TopologyMismatchError,
)
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World


def _by_unsubscribe(bus: EventBus, subscription_id: UUID) -> None:
    bus.unsubscribe(subscription_id)


def _by_close(bus: EventBus, subscription_id: UUID) -> None:
    bus.close()


@pytest.mark.parametrize("group", [None, "billing"])
def test_p6_an_event_published_right_after_subscribe_arrives(world: World, group: str | None) -> None:
    """``subscribe`` that returned before the binding was there would lose the events of that moment."""
    publisher, bus = world.connect(), world.connect()

    for round_number in range(10):
        recorder = Recorder()
        event = an_event(round_number)
        subscription_id = bus.subscribe(EventTopic(), recorder, group=group and f"{group}-{round_number}")
        publisher.publish(event)

        assert recorder.wait_for(1).ids == [event.event_id]
        assert bus.health()
        bus.unsubscribe(subscription_id)


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_p6_subscribe_raises_in_time_when_the_broker_is_away(world: World, is_coroutine: bool) -> None:
    """It must not hang, nor leave half a subscription that wakes up with the broker."""
    recorder = Recorder()

    async def on_event(event: Event) -> None:
        recorder.on_event(event)

    world.take_broker_away()
    bus = world.connect(require_broker=False, connection={"connect_timeout_seconds": 0.4})
    started = time.monotonic()
    with pytest.raises(ConnectionLostError):
        bus.subscribe(EventTopic(), on_event if is_coroutine else recorder, group="billing", workers=3)
    assert time.monotonic() - started < 0.4 + 2  # two for a busy machine

    assert bus.health().subscriptions == ()
    assert bus.stats().subscriptions == {}
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("bus-worker")] == []
    world.bring_back()
    bus.publish(an_event()).result(TIMEOUT_SECONDS)
    assert world.queue_state(names.group_queue(world.exchange, "billing")) is None
    wait_until(lambda: bus.health(), "the bus to be well")


def test_p6_a_refused_subscription_raises_at_once_and_leaves_nothing(world: World) -> None:
    """``ordered`` is a queue argument, for life: a second member that disagrees is told, the first is not disturbed."""
    bus, other = world.connect(), world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, group="workflow", ordered=True)

    with pytest.raises(TopologyMismatchError, match="x-single-active-consumer"):
        other.subscribe(EventTopic(), Recorder(), group="workflow")

    assert other.health().subscriptions == ()
    assert bus.stats().reconnects == 0
    other.publish(an_event())
    recorder.wait_for(1)


@pytest.mark.parametrize("end", [_by_unsubscribe, _by_close])
def test_p6_a_temporary_queue_goes_with_its_subscription(world: World, end: Callable[[EventBus, UUID], None]) -> None:
    """A queue that nobody will ever read fills the broker."""
    bus = world.connect()
    subscription_id = bus.subscribe(EventTopic(), Recorder())
    queue = bus.health().subscriptions[0].queue
    assert world.queue_state(queue) is not None

    end(bus, subscription_id)

    if end is _by_unsubscribe:
        wait_until(lambda: world.queue_state(queue) is None, "the queue to be deleted")
    assert world.queue_state(queue) is None


@pytest.mark.parametrize("end", [_by_unsubscribe, _by_close])
def test_p6_a_groups_queue_stays_and_keeps_its_events(world: World, end: Callable[[EventBus, UUID], None]) -> None:
    """The group is more than its present members."""
    publisher, bus, successor = world.connect(), world.connect(), world.connect()
    subscription_id = bus.subscribe(EventTopic(), Recorder(), group="billing")

    end(bus, subscription_id)
    events = events_of(10)
    for event in events:
        publisher.publish(event)
    publisher.flush()

    recorder = Recorder()
    successor.subscribe(EventTopic(), recorder, group="billing")
    assert recorder.wait_for(10).ids == [event.event_id for event in events]


def test_p6_subscribing_and_unsubscribing_succeed_while_connections_break(world: World) -> None:
    """The moment of a lost connection is the moment at which services restart: nothing may hang or be left behind."""
    bus = world.connect(publisher={"publish_timeout_seconds": TIMEOUT_SECONDS})
    moments = random.Random(1)
    queues = []

    for round_number in range(10):
        recorder = Recorder()
        for call in ("subscribe", "unsubscribe"):
            cut = threading.Timer(moments.uniform(0, 0.02), world.cut_connections)
            cut.start()
            if call == "subscribe":
                subscription_id = bus.subscribe(EventTopic(), recorder, workers=2)
                queues.append(bus.health().subscriptions[0].queue)
            else:
                bus.unsubscribe(subscription_id)
            cut.join()
            if call == "subscribe":
                bus.publish(an_event(round_number))
                recorder.wait_for(1, TIMEOUT_SECONDS)

    bus.close()
    assert [queue for queue in queues if world.queue_state(queue) is not None] == []
