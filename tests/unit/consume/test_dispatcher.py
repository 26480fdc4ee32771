"""``bus_amqp.consume.dispatcher``: from the consumer thread to workers, with real threads."""

import random
import threading
from collections import defaultdict
from collections.abc import Callable

import pytest

from bus_amqp.consume.dispatcher import Batch, Dispatcher
from tests.unit.fakes import FakeDelivery, Running, wait_until, wait_until_blocked


def key(resource: int) -> str:
    return f"ActionEvent.VM-START.VirtualMachine.vm-{resource}.ms"


def deliveries(*resources: int, first_tag: int = 1) -> list[FakeDelivery]:
    return [FakeDelivery(first_tag + n, routing_key=key(resource)) for n, resource in enumerate(resources)]


def taken(dispatcher: Dispatcher, limit: int = 1) -> Batch:
    batch = dispatcher.take_now(limit)
    assert batch is not None
    return batch


def test_a_batch_carries_the_session_of_its_tags() -> None:
    """A tag of an older session is another message's tag now."""
    dispatcher = Dispatcher(is_keyed=True)
    dispatcher.submit(deliveries(1))
    first = taken(dispatcher)

    dispatcher.begin_session()
    assert dispatcher.session == 1
    dispatcher.submit(deliveries(2))
    second = taken(dispatcher)

    assert (first.session, second.session, dispatcher.session) == (0, 1, 1)


def test_what_is_in_hand_may_not_be_started_after_a_new_session() -> None:
    """P3: the broker delivers it again; started from here it would be handled twice, out of order."""
    dispatcher = Dispatcher(is_keyed=False)
    dispatcher.submit(deliveries(1, 2, 3))
    batch = taken(dispatcher, 2)
    assert dispatcher.may_start(batch)

    dispatcher.begin_session()

    assert not dispatcher.may_start(batch)
    assert dispatcher.waiting == 0
    assert dispatcher.running == 2
    dispatcher.done(batch)
    assert dispatcher.running == 0


def test_nothing_may_be_started_after_close() -> None:
    """P6: once ``unsubscribe`` has returned, no callback runs or will run."""
    dispatcher = Dispatcher(is_keyed=True)
    dispatcher.submit(deliveries(1, 2))
    batch = taken(dispatcher)

    dispatcher.close(lambda: None)
    dispatcher.submit(deliveries(3))

    assert not dispatcher.may_start(batch)
    assert dispatcher.take_now(5) is None
    assert dispatcher.take(5) is None
    assert dispatcher.is_closed


def test_idle_is_told_at_once_when_nothing_is_in_hand() -> None:
    """``unsubscribe`` of a quiet subscription returns without any worker's help."""
    dispatcher = Dispatcher(is_keyed=True)
    dispatcher.submit(deliveries(1))
    calls: list[str] = []

    dispatcher.close(lambda: calls.append("first"))
    dispatcher.close(lambda: calls.append("second"))

    assert calls == ["first"]


def test_idle_is_told_once_by_the_last_worker() -> None:
    """P8: the channel is closed when nothing is in hand any more, and not before."""
    dispatcher = Dispatcher(is_keyed=True)
    dispatcher.submit(deliveries(1, 2))
    first, second = taken(dispatcher), taken(dispatcher)
    calls: list[int] = []

    dispatcher.close(lambda: calls.append(dispatcher.running))
    dispatcher.done(second)
    assert calls == []
    dispatcher.done(first)

    assert calls == [0]


def test_closing_wakes_every_worker() -> None:
    """P8: no thread is left."""
    dispatcher = Dispatcher(is_keyed=True)
    workers = [Running(lambda: dispatcher.take(1)) for _ in range(3)]
    for worker in workers:
        wait_until_blocked(worker.thread)

    dispatcher.close(lambda: None)

    assert [worker.result() for worker in workers] == [None] * 3


def test_a_worker_that_waits_is_given_what_comes() -> None:
    """No poll: the delivery itself wakes the worker."""
    dispatcher = Dispatcher(is_keyed=True)
    worker = Running(lambda: dispatcher.take(1))
    wait_until_blocked(worker.thread)

    [delivery] = deliveries(1)
    dispatcher.submit([delivery])

    assert worker.result() == Batch(0, [delivery])


def test_a_delivery_behind_a_busy_lane_wakes_somebody_when_the_lane_is_free() -> None:
    """A wake that was spent while the lane was busy must be given again."""
    dispatcher = Dispatcher(is_keyed=True)
    first, second = deliveries(1, 1)
    dispatcher.submit([first])
    batch = taken(dispatcher)
    dispatcher.submit([second])  # nobody waits yet, so this wake is lost
    worker = Running(lambda: dispatcher.take(1))
    wait_until_blocked(worker.thread)

    dispatcher.done(batch)

    assert worker.result() == Batch(0, [second])


def test_an_event_loop_is_told_of_everything_that_may_be_taken() -> None:
    """Coroutine workers do not wait on the condition: a call that is missed is a task that sleeps on."""
    dispatcher = Dispatcher(is_keyed=True)
    calls: list[str] = []
    dispatcher.call_when_ready(lambda: calls.append("ready"))

    dispatcher.submit(deliveries(1, 1))
    batch = taken(dispatcher)
    assert calls == ["ready"]
    dispatcher.done(batch)
    assert calls == ["ready"] * 2
    dispatcher.done(taken(dispatcher))
    assert calls == ["ready"] * 2
    dispatcher.close(lambda: None)
    assert calls == ["ready"] * 3


def test_it_calls_out_without_its_lock() -> None:
    """Decide under the lock, act outside it: who is called may ask back."""
    dispatcher = Dispatcher(is_keyed=True)
    seen: list[int] = []
    dispatcher.call_when_ready(lambda: seen.append(Running(lambda: dispatcher.waiting).result()))  # type: ignore[arg-type]  # an int

    dispatcher.submit(deliveries(1))
    dispatcher.close(lambda: seen.append(Running(lambda: dispatcher.waiting).result()))  # type: ignore[arg-type]  # an int

    assert seen == [1, 1, 1]


class Shift:
    """Workers on a dispatcher; every start is checked against the promises."""

    def __init__(self, workers: int, resources: int) -> None:
        self.dispatcher = Dispatcher(is_keyed=True)
        self.resources = resources
        self.lock = threading.Lock()
        self.running: defaultdict[str, int] = defaultdict(int)
        self.started: list[tuple[int, int, str]] = []  # session, tag, resource
        self.faults: list[str] = []
        self.workers = [Running(self._work) for _ in range(workers)]

    def _work(self) -> None:
        while (batch := self.dispatcher.take(1)) is not None:
            for delivery in batch.deliveries:
                self._handle(batch, delivery.tag, delivery.routing_key)
            self.dispatcher.done(batch)

    def _handle(self, batch: Batch, tag: int, resource: str) -> None:
        with self.lock:
            if not self.dispatcher.may_start(batch):
                return
            self.running[resource] += 1
            if self.running[resource] > 1:
                self.faults.append(f"two of {resource} at once")
            self.started.append((batch.session, tag, resource))
        for _ in range(random.randrange(50)):  # how long it takes varies
            pass
        with self.lock:
            self.running[resource] -= 1

    def check_order(self) -> None:
        last: dict[tuple[int, str], int] = {}
        for session, tag, resource in self.started:
            if last.get((session, resource), 0) >= tag:
                self.faults.append(f"{resource}: {tag} after {last[(session, resource)]}")
            last[(session, resource)] = tag

    def end(self) -> list[int]:
        """Close; return how many were in hand each time that idle was told."""
        idle: list[int] = []
        self.dispatcher.close(lambda: idle.append(self.dispatcher.running))
        for worker in self.workers:
            worker.result()
        return idle


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("seed", range(3))
def test_workers_start_everything_once_and_in_order(seed: int) -> None:
    """P3 with eight workers and three resources: one at a time, in queue order, nothing lost."""
    chance = random.Random(seed)
    shift = Shift(workers=8, resources=3)
    tag, total = 1, 600
    while tag <= total:
        size = min(chance.randint(1, 9), total - tag + 1)
        batch = deliveries(*(chance.randrange(3) for _ in range(size)), first_tag=tag)
        shift.dispatcher.submit(batch)
        tag += len(batch)

    wait_until(lambda: len(shift.started) == total, "the last delivery")
    idle = shift.end()
    shift.check_order()

    assert shift.faults == []
    assert sorted(tag for _, tag, _ in shift.started) == list(range(1, total + 1))
    assert idle == [0]


@pytest.mark.usefixtures("restless_threads")
@pytest.mark.parametrize("seed", range(3))
def test_sessions_that_end_under_load_keep_the_promises(seed: int) -> None:
    """P3 across reconnects: never two of a resource, not even one of each session; nothing of an old one starts."""
    chance = random.Random(seed)
    shift = Shift(workers=6, resources=2)
    session = 0
    for turn in range(60):
        resources = [chance.randrange(2) for _ in range(chance.randint(1, 12))]
        shift.dispatcher.submit(deliveries(*resources, first_tag=1 + 12 * turn))
        if chance.random() < 0.7:
            with shift.lock:  # no start can be between its check and its note
                shift.dispatcher.begin_session()
                session = shift.dispatcher.session
                before = len(shift.started)
            with shift.lock:
                assert all(number == session for number, _, _ in shift.started[before:])

    last = deliveries(0, 1, 0, first_tag=1000)
    shift.dispatcher.begin_session()
    shift.dispatcher.submit(last)
    wait_until(lambda: sum(number == session + 1 for number, _, _ in shift.started) == 3, "the last session")
    idle = shift.end()
    shift.check_order()

    assert shift.faults == []
    assert [number for number, _, _ in shift.started] == sorted(number for number, _, _ in shift.started)
    assert idle == [0]


@pytest.mark.usefixtures("restless_threads")
def test_closing_under_load_tells_idle_exactly_once() -> None:
    """P6, P8: told twice, a queue would be deleted twice; never, ``unsubscribe`` would hang."""
    outcomes: list[list[int]] = []
    make: Callable[[], Shift] = lambda: Shift(workers=4, resources=2)  # noqa: E731 -- one line says it
    for round_number in range(25):
        shift = make()
        shift.dispatcher.submit(deliveries(*(n % 2 for n in range(round_number * 4))))
        outcomes.append(shift.end())
        assert shift.faults == []

    assert outcomes == [[0]] * 25
