"""P8, when it is hard: ``close`` from callbacks, twice, over handlers that hang, without a broker or a network."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from bus_amqp import (
    BusClosedError,
    BusState,
    DeadlineExceededError,
    Event,
    EventTopic,
    Receipt,
    UndeliveredError,
)
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import Gate, an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

HASTY = {"connect_timeout_seconds": 1.0}  # how long a dead network may hold up each connection's farewell


def test_p8_who_waits_in_flush_or_for_room_is_told_when_the_bus_closes(world: World) -> None:
    """Nothing will come any more: waiting on would be a hang with a time limit."""
    bus = world.connect(publisher={"outbox_events": 3, "publish_timeout_seconds": 60})
    world.take_broker_away()
    for event in events_of(3):
        bus.publish(event)
    errors: dict[str, BaseException] = {}
    entered = threading.Barrier(3)

    def call(name: str, function: Callable[[], object]) -> None:
        entered.wait()
        try:
            function()
        except BaseException as exc:
            errors[name] = exc

    callers = [
        threading.Thread(target=call, args=("flush", lambda: bus.flush(60))),
        threading.Thread(target=call, args=("publish", lambda: bus.publish(an_event()))),
    ]
    for caller in callers:
        caller.start()
    entered.wait()
    threading.Event().wait(0.1)  # so that both are inside; who is late is refused, which is as well
    with pytest.raises(UndeliveredError):
        bus.close(timeout_seconds=0.3)
    for caller in callers:
        caller.join(10)

    assert not any(caller.is_alive() for caller in callers)
    assert isinstance(errors["publish"], BusClosedError)
    assert isinstance(errors["flush"], UndeliveredError | BusClosedError)


def test_p8_a_handler_that_will_not_end_does_not_hold_close_for_ever(world: World) -> None:
    """The time is the caller's; the error names the queue, and everything but the handler's thread has ended."""
    bus = world.connect()
    gate = Gate()
    bus.subscribe(EventTopic(), gate, group="billing")
    bus.publish(an_event())
    gate.wait_entered()

    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="billing"):
        bus.close(timeout_seconds=0.2)

    assert time.monotonic() - started < 10
    left = _thread_names()
    assert len(left) == 1
    assert left[0].startswith("bus-worker-")
    gate.let_go()


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_p8_a_callback_may_close_the_bus(world: World, is_coroutine: bool) -> None:
    """No deadlock, and the bus is closed soon after the callback has returned."""
    bus = world.connect()
    returned = threading.Event()

    def close(event: Event) -> None:
        bus.publish(an_event(1, event_category="ActionEvent"))
        bus.close()
        returned.set()

    async def close_async(event: Event) -> None:
        close(event)

    bus.subscribe(EventTopic(event_category="UsageEvent"), close_async if is_coroutine else close)
    bus.publish(an_event(event_category="UsageEvent"))

    assert returned.wait(TIMEOUT_SECONDS)
    bus.close()
    assert bus.stats().confirmed == 2
    wait_until(lambda: _thread_names() == [], "all threads to end")


def test_p8_a_receipts_callback_may_close_the_bus(world: World) -> None:
    """It runs on the bus's own callback thread, which close must not wait for then."""
    bus = world.connect()
    returned = threading.Event()

    def close(receipt: Receipt) -> None:
        bus.close()
        returned.set()

    bus.publish(an_event()).add_done_callback(close)

    assert returned.wait(TIMEOUT_SECONDS)
    assert bus.state is BusState.CLOSED


def test_p8_every_close_returns_when_the_bus_has_ended(world: World) -> None:
    """The second caller, too, goes on to tear down what the callbacks use."""
    bus = world.connect(connection=HASTY)
    bus.subscribe(EventTopic(), Recorder(), group="billing")
    world.stall()
    bus.publish(an_event())
    left: list[list[str]] = []

    def close() -> None:
        bus.close()
        left.append(_thread_names())

    closers = [threading.Thread(target=close) for _ in range(3)]
    for closer in closers:
        closer.start()
    wait_until(lambda: bus.state is BusState.CLOSED, "closing to come to the publisher")
    threading.Event().wait(0.1)  # the broker takes nothing yet: whoever returns now returns too early
    assert left == []
    world.flow()
    for closer in closers:
        closer.join(TIMEOUT_SECONDS)

    assert left == [[], [], []]
    bus.close()


def test_p8_run_until_signal_waits_for_a_callbacks_close_to_end(world: World) -> None:
    """The last line of a script: what it returns from, the process ends with."""
    bus = world.connect(connection=HASTY)
    ready = threading.Event()

    def close(event: Event) -> None:
        world.stall()
        bus.publish(an_event(1, event_category="ActionEvent"))
        bus.close()
        ready.set()

    def let_flow() -> None:
        ready.wait(TIMEOUT_SECONDS)
        wait_until(lambda: bus.state is BusState.CLOSED, "closing to come to the publisher")
        threading.Event().wait(0.8)  # longer than run_until_signal takes to look
        world.flow()

    bus.subscribe(EventTopic(event_category="UsageEvent"), close, group="workflow")
    bus.publish(an_event(0, event_category="UsageEvent"))
    helper = threading.Thread(target=let_flow)
    helper.start()
    bus.run_until_signal()

    assert bus.stats().waiting == 0
    helper.join()


def test_p8_close_needs_no_broker(world: World) -> None:
    """With nothing left to send there is nothing to wait for."""
    bus = world.connect()
    bus.subscribe(EventTopic(), Recorder())
    bus.publish(an_event()).result(10)
    world.take_broker_away()
    wait_until(lambda: not bus.health(), "the loss to be seen")

    started = time.monotonic()
    bus.close()

    assert time.monotonic() - started < 10
    assert _thread_names() == []


def test_p8_a_dead_network_does_not_hold_close_for_ever(world: World) -> None:
    """Nothing is refused and nothing answers, as behind a firewall that forgot us: even then there is an end."""
    bus = world.connect(connection=HASTY)
    bus.subscribe(EventTopic(), Recorder())
    bus.publish(an_event()).result(10)
    world.stall()
    bus.publish(an_event())

    started = time.monotonic()
    with pytest.raises(UndeliveredError, match="1 events"):
        bus.close(timeout_seconds=0.5)

    assert time.monotonic() - started < 0.5 + 5
    assert _thread_names() == []


def test_p8_a_coroutine_that_would_not_end_is_cancelled_and_its_event_stays(world: World) -> None:
    """Cancelled is not handled: the next member gets it."""
    bus, successor = world.connect(), world.connect()
    inside, cancelled = threading.Event(), threading.Event()

    async def hang(event: Event) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    bus.subscribe(EventTopic(), hang, group="billing", workers=2)
    event = an_event()
    bus.publish(event)
    assert inside.wait(TIMEOUT_SECONDS)

    with pytest.raises(DeadlineExceededError):
        bus.close(timeout_seconds=0.2)

    assert cancelled.wait(TIMEOUT_SECONDS)
    recorder = Recorder()
    successor.subscribe(EventTopic(), recorder, group="billing")
    assert recorder.wait_for(1).ids == [event.event_id]
    assert world.dead_letters("billing") == []


def _thread_names() -> list[str]:
    """Return the names of the bus's threads; those of tests and proxies are their own affair."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("bus-"))
