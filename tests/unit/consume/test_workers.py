"""``bus_amqp.consume.workers``: threads and tasks that call subscribers."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.handler_watch import HandlerWatch
from bus_amqp.consume.handling import Handling, current_subscription
from bus_amqp.consume.workers import AsyncWorkers, ThreadWorkers, Workers
from bus_amqp.event import Event
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.topic import EventTopic
from tests.unit.consume.shift import NotingSettler, Shift
from tests.unit.fakes import WAIT_SECONDS, a_subscription_id, wait_until

Start = Callable[..., Shift]


def as_coroutine(handler: Callable[[Event], None]) -> Any:
    async def on_event(event: Event) -> None:
        await asyncio.sleep(0)
        handler(event)

    return on_event


@pytest.fixture(params=["threads", "tasks"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start workers of both kinds with the same handler, and end them."""
    async_loop = AsyncLoop() if request.param == "tasks" else None
    shifts: list[Shift] = []

    def start(handler: Callable[[Event], None], workers: int = 1) -> Shift:
        subscriber = handler if async_loop is None else as_coroutine(handler)
        shifts.append(Shift(subscriber, workers, async_loop))
        return shifts[-1]

    yield start

    for shift in shifts:
        assert shift.end()
    if async_loop is not None:
        async_loop.close(WAIT_SECONDS)


@pytest.mark.parametrize("workers", [1, 4])
def test_what_is_handled_is_accepted_exactly_once(workers: int, start: Start) -> None:
    """P2: no event without its acknowledgement, none with two."""
    seen: list[int] = []
    shift = start(lambda event: seen.append(int(event.description)), workers)

    shift.deliver(*range(100))
    wait_until(lambda: len(shift.settler.tags) == 100)

    assert sorted(seen) == sorted(shift.settler.tags) == list(range(1, 101))
    assert {session for session, _ in shift.settler.accepted} == {0}
    wait_until(lambda: sum(counts.handled for counts in shift.workers.counts) == 100)


@pytest.mark.usefixtures("restless_threads")
def test_one_resource_is_handled_in_order_and_one_at_a_time(start: Start) -> None:
    """P3, with more workers than resources."""
    running: dict[str, int] = {}
    seen: dict[str, list[int]] = {}
    faults: list[str] = []

    def handle(event: Event) -> None:
        resource = event.resource_uuid
        running[resource] = running.get(resource, 0) + 1
        if running[resource] > 1:
            faults.append(resource)
        seen.setdefault(resource, []).append(int(event.description))
        running[resource] -= 1

    shift = start(handle, 6)
    shift.deliver(*(tag % 3 for tag in range(300)))
    wait_until(lambda: len(shift.settler.tags) == 300)

    assert faults == []
    assert all(tags == sorted(tags) for tags in seen.values())
    assert sum(map(len, seen.values())) == 300


def test_a_slow_resource_does_not_hold_up_another() -> None:
    """P4: workers share what is ready; a batch in one hand would be one that no other can take."""
    other_is_handled = threading.Event()

    def handle(event: Event) -> None:
        if event.resource_uuid == "vm-1":
            other_is_handled.wait(WAIT_SECONDS)
        else:
            other_is_handled.set()

    shift = Shift(handle, 2, None)
    shift.deliver(1, 2)
    started = time.monotonic()
    wait_until(lambda: len(shift.settler.tags) == 2)

    assert time.monotonic() - started < WAIT_SECONDS / 2
    assert shift.end()


def test_a_raising_subscriber_costs_its_event_and_nothing_else(start: Start) -> None:
    """P4, P5: the failed event is dead-lettered, the others go on; filtered ones are acknowledged."""

    def handle(event: Event) -> None:
        if event.description == "2":
            raise ValueError("boom")

    shift = start(handle)
    shift.deliver(1, 2, 3)
    shift.deliver(4, first_tag=4, event_type="VOLUME.CREATE")
    wait_until(lambda: sum(counts.handled + counts.filtered for counts in shift.workers.counts) == 3)

    assert shift.end()
    assert sorted(shift.settler.tags) == [1, 3, 4]
    [(session, tag, letter)] = shift.settler.dead
    assert (session, tag, letter.explanation) == (0, 2, "ValueError: boom")


def test_a_handler_knows_its_subscription(start: Start) -> None:
    """P6: ending a subscription from inside its own callback must not wait for itself."""
    seen: list[object] = []
    shift = start(lambda event: seen.append(current_subscription.get()), 2)

    shift.deliver(1, 2)
    wait_until(lambda: len(seen) == 2)

    assert seen == [shift.subscription_id] * 2
    assert current_subscription.get() is None


def test_what_is_not_started_when_the_session_ends_is_left_to_the_broker() -> None:
    """P3: a worker with a batch in hand stops between two events, and settles what it has done."""
    begun, go = threading.Event(), threading.Event()
    seen: list[str] = []

    def handle(event: Event) -> None:
        seen.append(event.description)
        begun.set()
        go.wait(WAIT_SECONDS)

    shift = Shift(handle, 1, None)
    shift.deliver(1, 2, 3)
    assert begun.wait(WAIT_SECONDS)
    shift.dispatcher.begin_session()
    go.set()
    wait_until(lambda: shift.dispatcher.running == 0)

    assert seen == ["1"]
    assert shift.settler.accepted == [(0, 1)], "with the old session: the consumer drops it"
    assert shift.end()


def test_closing_starts_nothing_more_and_waits_for_what_runs(start: Start) -> None:
    """P6, P8: what is in hand is finished and settled, the rest is left in its queue."""
    begun, seen = threading.Event(), []
    shift: Shift

    def handle(event: Event) -> None:
        seen.append(event.description)
        begun.set()
        wait_until(lambda: shift.dispatcher.is_closed)

    shift = start(handle)
    shift.deliver(*range(10))
    assert begun.wait(WAIT_SECONDS)

    assert shift.end()

    assert seen == ["1"]
    assert shift.settler.tags == [1]


def test_a_handler_that_does_not_end_is_reported_in_time() -> None:
    """P8: ``close`` has a deadline, whatever a subscriber does."""
    begun, go = threading.Event(), threading.Event()

    def handle(event: Event) -> None:
        begun.set()
        go.wait(WAIT_SECONDS)

    shift = Shift(handle, 2, None)
    shift.deliver(1)
    assert begun.wait(WAIT_SECONDS)  # taken is not begun: what is closed in between is given back, and not waited for
    shift.dispatcher.close(lambda: None)

    assert not shift.workers.join(time.monotonic() + 0.02)
    go.set()
    assert shift.workers.join(time.monotonic() + WAIT_SECONDS)


def test_a_worker_may_join_its_own_shift(start: Start) -> None:
    """P6: ``unsubscribe`` from inside a callback returns at once."""
    outcome: list[bool] = []
    shift: Shift

    def handle(event: Event) -> None:
        shift.dispatcher.close(lambda: None)
        started = time.monotonic()
        shift.workers.join(started + 0.05)
        outcome.append(time.monotonic() - started < 1)

    shift = start(handle)
    shift.deliver(1)
    wait_until(lambda: outcome)

    assert outcome == [True]


def test_quick_handlers_share_acknowledgements_and_slow_ones_do_not() -> None:
    """Speed for the quick; but what a slow one has done is not kept back: a crash would have it handled again."""
    slow = threading.Event()
    quick = Shift(lambda event: None, 1, None)
    held = Shift(lambda event: slow.wait(0.01), 1, None)

    quick.deliver(*range(64))
    held.deliver(1, 2, 3)
    wait_until(lambda: len(quick.settler.tags) == 64 and len(held.settler.tags) == 3)

    wait_until(lambda: quick.settler.asked_soon[-1:] == [64] and held.settler.asked_soon[-1:] == [3])

    assert held.settler.asked_soon[:3] == [1, 2, 3]
    assert len(quick.settler.asked_soon) < 64
    assert quick.end()
    assert held.end()


def test_no_more_coroutines_run_at_once_than_there_are_workers() -> None:
    """``workers`` bounds what a coroutine subscriber has in hand."""
    running, most = 0, 0

    async def handle(event: Event) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1

    async_loop = AsyncLoop()
    shift = Shift(handle, 3, async_loop)
    shift.deliver(*range(30))
    wait_until(lambda: len(shift.settler.tags) == 30)

    assert most == 3
    assert shift.end()
    async_loop.close(WAIT_SECONDS)


def test_joining_workers_that_never_started_returns() -> None:
    """A ``subscribe`` that failed before its workers existed is undone without a wait."""
    dispatcher = Dispatcher(is_keyed=True)
    handling = Handling((EventTopic(),), lambda event: None, "unit")
    both: list[Workers] = [
        ThreadWorkers(a_subscription_id(), 2, dispatcher, handling, NotingSettler(), HandlerWatch()),
        AsyncWorkers(a_subscription_id(), 2, dispatcher, handling, NotingSettler(), AsyncLoop(), HandlerWatch()),
    ]

    assert [workers.join(time.monotonic() + WAIT_SECONDS) for workers in both] == [True, True]


def test_a_redelivered_event_that_has_been_handled_is_only_acknowledged(start: Start) -> None:
    """P2: its acknowledgement died with its session; the subscriber has done its work."""
    seen: list[str] = []
    shift = start(lambda event: seen.append(event.description))
    shift.settler.handled_before = {1, 2, 3}

    shift.deliver(0, 1)  # not redelivered: a tag means nothing
    wait_until(lambda: shift.settler.tags == [1, 2])
    shift.deliver(0, 1, first_tag=3, redelivered=True)
    wait_until(lambda: shift.settler.tags == [1, 2, 3, 4])

    assert seen == ["1", "2", "4"]
    assert sum(counts.spared for counts in shift.workers.counts) == 1
    assert sum(counts.handled for counts in shift.workers.counts) == 3


def test_the_watch_sees_which_event_a_worker_has_in_hand(start: Start) -> None:
    """P4: a slow handler is told with its event, and an idle worker is never slow."""
    go_on = threading.Event()

    def handle(event: Event) -> None:
        while not go_on.wait(0.001):
            pass

    shift = start(handle, 2)
    assert [shift.watch.look(now) for now in (0.0, 100.0)] == [[], []]
    shift.deliver(0)
    wait_until(lambda: any(slot.event for slot in shift.watch._slots))
    [slow] = [event for now in (200.0, 300.0) for event in shift.watch.look(now)]
    assert slow.description == "1"
    go_on.set()
    wait_until(lambda: shift.settler.tags == [1])
    wait_until(lambda: all(slot.event is None for slot in shift.watch._slots))
