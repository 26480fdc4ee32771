"""P4: a slow, hanging or raising subscriber is its own affair."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable

import pytest

from bus_amqp import NO_RETRY, DeadlineExceededError, Event, EventTopic
from bus_amqp.testing.recorder import Recorder
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate, an_event, events_of, number_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import MemoryWorld, World


def test_p4_hanging_and_raising_subscribers_hold_nobody_up(world: World) -> None:
    """One bus, four subscribers: only those that misbehave may suffer."""
    bus = world.connect(publisher={"outbox_events": 50_000, "publish_timeout_seconds": 0.0})
    gate, recorder, other = Gate(), Recorder(), Recorder()

    def raise_always(event: Event) -> None:
        raise RuntimeError("this subscriber always fails")

    bus.subscribe(EventTopic(), gate, prefetch=10)
    bus.subscribe(EventTopic(), raise_always, retry=NO_RETRY)
    bus.subscribe(EventTopic(), recorder)
    bus.subscribe(EventTopic(), other, group="billing", workers=2)
    events = events_of(300)

    for event in events:
        bus.publish(event)

    bus.flush(TIMEOUT_SECONDS)
    recorder.wait_for(300)
    other.wait_for(300)
    assert recorder.ids == [event.event_id for event in events]
    gate.wait_entered()  # its thread may be the last of all to get the processor
    assert len(gate.started) == 1
    world.wait_dead_letters(300)
    gate.let_go()


def test_p4_a_hanging_coroutine_holds_nobody_up(world: World) -> None:
    """All coroutine subscribers share one event loop, and nothing else."""
    bus = world.connect()
    recorder = Recorder()
    inside = threading.Event()

    async def hang(event: Event) -> None:
        inside.set()
        await asyncio.Event().wait()  # for good: ended by the bus, which cancels it

    async def record(event: Event) -> None:
        recorder.on_event(event)

    hanging = bus.subscribe(EventTopic(), hang)
    bus.subscribe(EventTopic(), record, workers=4)
    for event in events_of(100):
        bus.publish(event)

    assert inside.wait(TIMEOUT_SECONDS)
    recorder.wait_for(100)
    gc.collect()  # event loops hold their tasks weakly: one that waits for what nobody else knows could be collected
    assert bus.stats().subscriptions[hanging].handled == 0
    with pytest.raises(DeadlineExceededError):
        bus.close(timeout_seconds=0.2)


def _cancel_itself(loop: asyncio.AbstractEventLoop) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def _leave_an_exit(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(sys.exit)


@pytest.mark.parametrize("harm", [_cancel_itself, _cancel_all, asyncio.AbstractEventLoop.stop, _leave_an_exit])
def test_p4_a_coroutine_that_harms_its_event_loop_ends_no_subscription(
    memory_world: MemoryWorld, harm: Callable[[asyncio.AbstractEventLoop], None]
) -> None:
    """A worker that went with a cancelled task would leave a ghost: consuming, well, and nothing handled any more."""
    bus = memory_world.connect()
    seen, recorder = Recorder(), Recorder()

    async def misbehave(event: Event) -> None:
        seen.on_event(event)
        harm(asyncio.get_running_loop())
        await asyncio.sleep(0)

    async def record(event: Event) -> None:
        recorder.on_event(event)

    bus.subscribe(EventTopic(), misbehave, retry=NO_RETRY)
    bus.subscribe(EventTopic(), record, workers=3)
    for number in range(20):
        bus.publish(an_event(number))

    seen.wait_for(20)
    recorder.wait_for(20)
    bus.close(TIMEOUT_SECONDS)  # the loop and its tasks end as ever


def test_p4_heartbeats_go_on_while_a_handler_runs(amqp_world: AmqpWorld) -> None:
    """A handler of four heartbeats' length must not cost the connection: brokers cut off who is silent for two."""
    bus = amqp_world.connect(connection={"heartbeat_seconds": 1})
    recorder = Recorder()
    never, inside = threading.Event(), threading.Event()

    def take_long(event: Event) -> None:
        inside.set()
        never.wait(4 if number_of(event) == 0 else 0)
        recorder.on_event(event)

    bus.subscribe(EventTopic(), take_long)
    bus.publish(an_event())
    assert inside.wait(TIMEOUT_SECONDS)
    recorder.wait_for(1, 20)

    assert bus.stats().reconnects == 0
    assert bus.health()
    bus.publish(an_event(1)).result(10)
    recorder.wait_for(2)


def test_p4_a_fast_subscriber_is_not_slowed_by_the_prefetch_of_a_slow_one(world: World) -> None:
    """Two subscriptions of one bus share a connection; the slow one's unsettled events must not fill it."""
    bus = world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(event_category="UsageEvent"), gate, prefetch=1)
    bus.subscribe(EventTopic(event_category="AlertEvent"), recorder)

    for number in range(500):
        bus.publish(an_event(number, event_category="UsageEvent"))
        bus.publish(an_event(number, event_category="AlertEvent"))

    recorder.wait_for(500)
    gate.wait_entered()  # its thread may be the last of all to get the processor
    assert len(gate.started) == 1
    gate.let_go()
    wait_until(lambda: len(gate.finished) == 500, "the slow one to catch up")
