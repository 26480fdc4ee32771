"""P6, P8: what a callback may call, on its own bus and on others, also while the bus is closing."""

import threading
import time
from uuid import UUID

import pytest

from bus_amqp import BusState, DeadlineExceededError, Event, EventTopic, InvalidArgumentError, Receipt, Subscribers
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import Gate, an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World


def test_p8_a_handler_that_is_finishing_may_flush_publish_and_unsubscribe(world: World) -> None:
    """An orderly close must not turn what is in hand into dead letters."""
    bus = world.connect()
    errors: list[BaseException] = []
    entered, closing = threading.Event(), threading.Event()
    ids: list[UUID] = []

    def handle(event: Event) -> None:
        entered.set()
        closing.wait(TIMEOUT_SECONDS)
        try:
            bus.publish(an_event(1, event_type="VM.STOP"))
            bus.flush(5)
            bus.unsubscribe(ids[0])
        except BaseException as exc:
            errors.append(exc)
            raise

    ids.append(bus.subscribe(EventTopic(event_type="VM.START"), handle, group="billing"))
    bus.publish(an_event(0, event_type="VM.START"))
    assert entered.wait(TIMEOUT_SECONDS)
    closer = threading.Thread(target=bus.close)
    closer.start()
    wait_until(lambda: not bus.health().subscriptions, "the closing to begin")
    closing.set()
    closer.join(TIMEOUT_SECONDS)

    assert errors == []
    assert not closer.is_alive()
    state = world.queue_state(f"{world.exchange}.billing.dead")
    assert state is None or state.ready == 0


def test_p8_close_waits_for_a_subscription_that_ended_itself(world: World) -> None:
    """It is not in the list any more, and its callback still runs."""
    bus = world.connect()
    ended, go = threading.Event(), threading.Event()
    ids: list[UUID] = []

    def handle(event: Event) -> None:
        bus.unsubscribe(ids[0])
        ended.set()
        go.wait(TIMEOUT_SECONDS)

    ids.append(bus.subscribe(EventTopic(), handle))
    bus.publish(an_event())
    assert ended.wait(TIMEOUT_SECONDS)

    with pytest.raises(DeadlineExceededError, match="still in hand"):
        bus.close(timeout_seconds=0.3)
    go.set()


def test_p8_a_handler_may_close_another_bus(world: World) -> None:
    """A bridge: what it published there is sent when the with-block ends, not some time later."""
    source = world.connect()
    waiting: list[int] = []
    states: list[BusState] = []

    def bridge(event: Event) -> None:
        with world.connect() as target:
            target.publish(an_event(1, event_type="VM.STOP"))
        waiting.append(target.stats().waiting)
        states.append(target.state)

    source.subscribe(EventTopic(event_type="VM.START"), bridge)
    source.publish(an_event(0, event_type="VM.START"))
    wait_until(lambda: states, "the handler to end")

    assert (waiting, states) == ([0], [BusState.CLOSED])


def test_p6_a_coroutine_may_end_another_subscription(world: World) -> None:
    """Both run on one event loop: waiting for the other would stop it, and everybody else."""
    bus = world.connect()
    entered, go = threading.Event(), threading.Event()
    took: list[float] = []

    async def hold(event: Event) -> None:
        entered.set()
        loop_wait = threading.Event()
        while not go.is_set():
            await asyncio_sleep()
        loop_wait.set()

    other = bus.subscribe(EventTopic(event_type="VM.START"), hold)

    async def end(event: Event) -> None:
        started = time.monotonic()
        bus.unsubscribe(other)
        took.append(time.monotonic() - started)
        go.set()

    bus.subscribe(EventTopic(event_type="VM.STOP"), end)
    bus.publish(an_event(0, event_type="VM.START"))
    assert entered.wait(TIMEOUT_SECONDS)
    bus.publish(an_event(1, event_type="VM.STOP"))
    wait_until(lambda: took, "the coroutine to go on")

    assert took[0] < 5


async def asyncio_sleep() -> None:
    """Let the event loop's other tasks run."""
    import asyncio

    await asyncio.sleep(0.005)


def test_on_failed_hears_of_events_and_not_of_copies(world: World) -> None:
    """A dead letter that found no queue is the bus's own business; an event lost at close is its publisher's."""
    bus = world.connect()
    heard: list[Receipt] = []
    bus.on_failed(heard.append)
    gate = Gate()
    bus.subscribe(EventTopic(), gate)
    refused = an_event(0, event_category="Unheard")
    world.delete_exchange(f"{world.exchange}.dead")
    receipt = bus.publish(refused, mandatory=True)
    gate.wait_entered()
    gate.let_go()
    receipt.result(TIMEOUT_SECONDS)
    world.take_broker_away()
    lost = an_event(2)
    bus.publish(lost)

    with pytest.raises(Exception, match="1 events"):
        bus.close(timeout_seconds=0.2)

    assert [one.event_id for one in heard] == [lost.event_id]


def test_subscribe_all_subscribes_nothing_when_one_line_is_wrong(world: World) -> None:
    """All or none: half a program must not run."""
    bus = world.connect()
    subscribers = Subscribers()
    subscribers.on(EventTopic())(Recorder())
    subscribers.on(EventTopic(), workers=0)(Recorder())

    with pytest.raises(InvalidArgumentError, match="workers"):
        bus.subscribe_all(subscribers)

    assert bus.health().subscriptions == ()
