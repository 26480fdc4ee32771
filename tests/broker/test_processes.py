"""Consumer processes on a real RabbitMQ, as an operator runs them: shared work, a kill, a restart, a clean end.

The promises prove the same of several buses in one process; here the processes are the system's, started by
``bus-amqp run``, and what they have handled is read from the ledgers that they write.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus_amqp import Event, EventBus, Settings, connect
from bus_amqp.process.supervisor import Child, Supervisor
from bus_amqp.sections import PublisherSettings
from bus_amqp.settings import child_environment
from bus_amqp.testing.broker import RealBroker
from tests.promise.subscribers import an_event, events_of, number_of
from tests.promise.waiting import wait_until

DEADLINE_SECONDS = 30
BUSY_SECONDS = 0.3
PREFETCH = 20
PUBLISH_PAUSE_SECONDS = 0.004

# An ordinary consumer module.  It takes a moment over each event, and over number `hold_at` as long as the test wants.
MODULE = """
import threading
from pathlib import Path

from bus_amqp import Event, EventTopic, Subscribers

subscribers = Subscribers()
pause = threading.Event()


@subscribers.on(EventTopic(), group="work", ordered={ordered}, workers={workers}, prefetch={prefetch})
def work(event: Event) -> None:
    pause.wait({seconds})
    if event.details["number"] == {hold_at}:
        Path("inside").touch()
        while not Path("go-on").exists():
            pause.wait(0.01)
"""


@dataclass(frozen=True, slots=True)
class Handled:
    """One line of a ledger."""

    event_id: str
    at: float
    by: str


class Processes:
    """Consumer processes of one group, and what they have written down."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._names: list[str] = []

    def write_module(
        self, *, ordered: bool = False, workers: int = 1, seconds: float = 0.001, hold_at: int | None = None
    ) -> None:
        """Write down what the processes started from now on do."""
        text = MODULE.format(ordered=ordered, workers=workers, prefetch=PREFETCH, seconds=seconds, hold_at=hold_at)
        (self._supervisor.directory / "worker.py").write_text(text)

    def start(self, name: str) -> Child:
        """Start one; return once it consumes."""
        ready = self._supervisor.directory / f"{name}.ready"
        arguments = ["--name", name, "--ready-file", str(ready), "--ledger", str(self._ledger(name))]
        child = self._supervisor.start(name, ["run", "worker:subscribers", *arguments])
        self._names.append(name)
        self._supervisor.wait_until_ready([ready], timeout_seconds=DEADLINE_SECONDS)
        return child

    def handled(self, *names: str) -> list[Handled]:
        """What the named processes (all, if none is named) have handled, in the order of time."""
        lines = [
            Handled(line["id"], line["at"], name)
            for name in names or self._names
            for line in map(json.loads, _whole_lines(self._ledger(name)))
        ]
        return sorted(lines, key=lambda one: one.at)

    def wait_for(self, events: list[Event]) -> None:
        """Wait until each of the events has been handled by somebody."""
        wanted = {str(event.event_id) for event in events}
        wait_until(
            lambda: wanted <= {one.event_id for one in self.handled()}, f"all {len(wanted)} events", DEADLINE_SECONDS
        )

    def wait_for_count(self, count: int) -> None:
        """Wait until so many events have been handled."""
        wait_until(lambda: len(self.handled()) >= count, f"{count} events", DEADLINE_SECONDS)

    def _ledger(self, name: str) -> Path:
        return self._supervisor.directory / f"{name}.jsonl"


def _whole_lines(ledger: Path) -> list[str]:
    # A line that crosses a page of memory can be seen, and at a kill be left, half written: it is not told yet.
    return ledger.read_text().rpartition("\n")[0].splitlines()


@pytest.fixture
def processes(rabbitmq_url: str, exchange: str, tmp_path: Path) -> Iterator[Processes]:
    """Processes that end with the test, on a broker and an exchange of its own."""
    with Supervisor(tmp_path, child_environment(url=rabbitmq_url, exchange=exchange)) as supervisor:
        yield Processes(supervisor)


@pytest.fixture
def bus(rabbitmq_url: str, exchange: str) -> Iterator[EventBus]:
    """The publisher; this process."""
    settings = Settings(exchange=exchange, publisher=PublisherSettings(publish_timeout_seconds=DEADLINE_SECONDS))
    with connect(rabbitmq_url, settings=settings) as bus:
        yield bus


@contextmanager
def traffic(bus: EventBus) -> Iterator[list[Event]]:
    """Publish at an even rate while the block runs; the list has all of them once it has ended.

    What a pause of this process has delayed is made up for: on a busy machine too, more comes than is handled.
    """
    published: list[Event] = []
    is_over = threading.Event()
    started = time.monotonic()

    def publish() -> None:
        while not is_over.wait(PUBLISH_PAUSE_SECONDS):
            for number in range(len(published), int((time.monotonic() - started) / PUBLISH_PAUSE_SECONDS)):
                event = an_event(number // 3, f"r-{number % 3}")
                bus.publish(event)
                published.append(event)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield published
    finally:
        is_over.set()
        thread.join(DEADLINE_SECONDS)
    bus.flush(DEADLINE_SECONDS)


def assert_first_handlings_in_order(handled: list[Handled], events: list[Event]) -> None:
    """Each resource's events were first handled in the order in which they were published."""
    event_of = {str(event.event_id): event for event in events}
    numbers: dict[str, list[int]] = defaultdict(list)
    for event_id in dict.fromkeys(one.event_id for one in handled):
        numbers[event_of[event_id].resource_uuid].append(number_of(event_of[event_id]))
    for resource, came in numbers.items():
        assert came == sorted(came), f"{resource} out of order"


def test_two_processes_of_one_group_share_the_work(processes: Processes, bus: EventBus) -> None:
    """Start it twice to work twice as fast: an event for both of them would be billed twice."""
    processes.write_module()
    for name in ("one", "two"):
        processes.start(name)
    events = events_of(400)

    bus.publish_many(events)

    processes.wait_for(events)
    assert sorted(one.event_id for one in processes.handled()) == sorted(str(event.event_id) for event in events)
    assert processes.handled("one")
    assert processes.handled("two")


def test_the_next_of_an_ordered_group_takes_over_from_a_killed_process(processes: Processes, bus: EventBus) -> None:
    """A crash costs no event and no order: what was in hand comes again, and nothing but that."""
    processes.write_module(ordered=True, workers=4, seconds=0.02)
    active = processes.start("active")
    processes.start("standby")

    with traffic(bus) as events:
        wait_until(lambda: len(events) > len(processes.handled()) + 2 * PREFETCH, "its hands to be full")
        assert not processes.handled("standby")
        os.kill(active.process.pid, signal.SIGKILL)
        active.process.wait(DEADLINE_SECONDS)
        wait_until(lambda: len(processes.handled("standby")) > 100, "the other to take over", DEADLINE_SECONDS)

    processes.wait_for(events)
    handled = processes.handled()
    assert_first_handlings_in_order(handled, events)
    assert len(handled) - len(events) <= PREFETCH


def _restart(broker: RealBroker) -> None:
    broker.restart()


def _close_all_connections(broker: RealBroker) -> None:
    broker.rabbitmqctl("close_all_connections", "an operator closes them")


@pytest.mark.slow
@pytest.mark.parametrize("disturb", [_restart, _close_all_connections])
def test_nothing_is_lost_when_an_operator_disturbs_both_sides(
    rabbitmq: RealBroker, processes: Processes, bus: EventBus, disturb: Callable[[RealBroker], None]
) -> None:
    """Publisher and consumer lose their connections in the middle of the traffic, and neither needs a restart."""
    processes.write_module(ordered=True)
    child = processes.start("only")

    with traffic(bus) as events:
        processes.wait_for_count(50)
        disturb(rabbitmq)
        before = len(processes.handled())
        processes.wait_for_count(before + 100)

    processes.wait_for(events)
    assert bus.stats().reconnects > 0
    assert "CONNECTION_FORCED" in child.log.read_text()
    assert child.process.poll() is None
    assert_first_handlings_in_order(processes.handled(), events)


def test_a_process_that_is_told_to_end_finishes_what_is_in_hand(
    processes: Processes, bus: EventBus, tmp_path: Path
) -> None:
    """A rolling restart: one event is in its handler, those behind it go unstarted, in order, to the next process."""
    processes.write_module(ordered=True, hold_at=5)
    leaving = processes.start("leaving")
    processes.start("next")
    events = [an_event(number) for number in range(2 * PREFETCH)]
    ids = [str(event.event_id) for event in events]

    bus.publish_many(events)
    wait_until((tmp_path / "inside").exists, "the process to be busy", DEADLINE_SECONDS)
    leaving.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        leaving.process.wait(BUSY_SECONDS)
    (tmp_path / "go-on").touch()

    assert leaving.process.wait(DEADLINE_SECONDS) == 0
    processes.wait_for(events)
    assert [one.event_id for one in processes.handled("leaving")] == ids[:6]
    assert [one.event_id for one in processes.handled("next")] == ids[6:]
