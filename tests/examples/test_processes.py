"""The examples as their users start them: consumer processes of ``bus-amqp run``, beside a real broker."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from bus_amqp import Event, EventBus, EventTopic, connect
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.settings import child_environment
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from docs.examples.billing import METERS, Books
from tests.demo.processes import SECONDS, started
from tests.promise.waiting import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
MONTH = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def bus(rabbitmq_4: RealBroker, exchange: str) -> Iterator[EventBus]:
    with connect(rabbitmq_4.url, exchange=exchange) as opened:
        yield opened


class Parties:
    """Processes of ``bus-amqp run docs.examples.NAME:subscribers``, started in the checkout."""

    def __init__(self, url: str, exchange: str, directory: Path, stack: ExitStack) -> None:
        self._about = {"url": url, "exchange": exchange, "cwd": CHECKOUT}
        self._directory = directory
        self._stack = stack
        self._count = 0

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start one and wait until it consumes."""
        self._count += 1
        ready = self._directory / f"ready-{self._count}"
        arguments = ["run", f"docs.examples.{name}:subscribers", "--ready-file", str(ready)]
        process = self._stack.enter_context(started(*arguments, **self._about))
        wait_until(lambda: ready.exists() or process.poll() is not None, f"{name} consumes", SECONDS)
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        return process


@pytest.fixture
def parties(rabbitmq_4: RealBroker, exchange: str, tmp_path: Path) -> Iterator[Parties]:
    with ExitStack() as stack:
        yield Parties(rabbitmq_4.url, exchange, tmp_path, stack)


def end(process: subprocess.Popen[str]) -> str:
    """End it as a service manager does, and return what it wrote to stdout."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out


def told_by(name: str, *arguments: str) -> list[list[str]]:
    """Run the example's own command, and return the words of its lines."""
    command = [sys.executable, "-m", f"docs.examples.{name}", *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, check=True)
    return [line.split() for line in ended.stdout.splitlines()]


def test_billing_processes_share_a_database_and_one_of_them_dies(
    bus: EventBus, parties: Parties, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bill at the end is that of a single process without a fault, though events came twice and in any order."""
    monkeypatch.setenv("BILLING_DATABASE_URL", database_url)
    metered = {event_type for start, stop, _ in METERS.values() for event_type in (start, stop)}
    stream = [event for event in islice(Cloud(9).events(), 4000) if event.event_category == "UsageEvent"]
    alone = Books("sqlite://")
    for event in stream:
        if event.event_type in metered:
            alone.on_event(event)
    truth = alone.charges(*MONTH)
    alone.close()
    doomed, *others = [parties.start("billing") for _ in range(3)]

    bus.publish_many(stream[: len(stream) // 2])
    books = Books(database_url)
    wait_until(lambda: books.charges(*MONTH), "something is charged")
    doomed.kill()
    bus.publish_many(stream[len(stream) // 2 :])
    bus.publish_many(stream[::7])  # what a publisher sends twice, under the same ids

    wait_until(lambda: books.charges(*MONTH) == truth, "everything is charged", SECONDS)
    for process in others:
        end(process)
    assert books.charges(*MONTH) == truth
    books.close()
    *lines, total = told_by("billing", "report", "--since", "2026-01-01", "--until", "2026-02-01")
    assert len(lines) == len(truth)
    assert total == ["all", f"{sum(one.hours for one in truth):,.2f}", "h", f"{sum(one.amount for one in truth):,.2f}"]


def test_the_workflow_opens_and_closes_a_follow_up(
    bus: EventBus, parties: Parties, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others hear of it on the bus, with what it was caused by; a person sees it in the list."""
    monkeypatch.setenv("WORKFLOW_FILE", str(tmp_path / "workflow.sqlite"))
    heard = Recorder()
    bus.subscribe(EventTopic(event_category="WorkflowEvent"), heard)
    process = parties.start("workflow")
    failed = Event(
        event_category="ActionEvent",
        event_type="VM.START",
        event_source="management-server",
        resource_type="VirtualMachine",
        resource_uuid="vm-1",
        description="no capacity",
        details={"status": "Failed", "account": "acme"},
    )

    bus.publish(failed)

    (opened,) = heard.wait_for(1, SECONDS).events
    assert (opened.event_type, opened.causation_id) == ("FOLLOWUP.OPEN", failed.event_id)
    wait_until(lambda: told_by("workflow", "list"), "it is in the list", SECONDS)
    (line,) = told_by("workflow", "list")
    assert line[1:] == ["VM.START", "VirtualMachine", "vm-1", "of", "acme:", "no", "capacity"]

    completed = {
        "event_id": Event(event_category="A", event_type="B", event_source="C").event_id,
        "event_time": failed.event_time + timedelta(seconds=1),
        "details": {"status": "Completed", "account": "acme"},
    }
    bus.publish(failed.model_copy(update=completed))

    assert [event.event_type for event in heard.wait_for(2, SECONDS).events] == ["FOLLOWUP.OPEN", "FOLLOWUP.CLOSE"]
    assert told_by("workflow", "list") == []
    end(process)


ALERT = Event(event_category="AlertEvent", event_type="ALERT.CPU", event_source="test", description="hot")


def test_the_monitor_writes_lines_where_there_is_no_terminal(bus: EventBus, parties: Parties) -> None:
    """Under a service manager: what it saw, and that it sees."""
    process = parties.start("monitoring")
    assert process.stdout is not None
    assert "no event yet | bus open, broker RabbitMQ 4" in process.stdout.readline()

    bus.publish(ALERT)
    bus.flush()

    assert process.stdout.readline().endswith("ALERT.CPU hot\n")
    assert "AlertEvent" in process.stdout.readline()
    assert "bus closed" in end(process)


def test_the_monitor_ends_when_nobody_reads_any_more(parties: Parties) -> None:
    """`| head` must not leave a process behind that consumes for nobody."""
    process = parties.start("monitoring")
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(SECONDS) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_the_monitor_draws_on_a_terminal(bus: EventBus, rabbitmq_4: RealBroker, exchange: str, tmp_path: Path) -> None:
    """The table is for people: it stays in place, shows the alert, and gives the terminal back."""
    controller, terminal = os.openpty()
    ready = tmp_path / "ready"
    arguments = ["run", "docs.examples.monitoring:subscribers", "--ready-file", str(ready)]
    command = [sys.executable, "-m", "bus_amqp.cli.main", *arguments]
    environment = {**child_environment(url=rabbitmq_4.url, exchange=exchange), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=terminal, stderr=subprocess.PIPE) as process:
        os.close(terminal)
        try:
            wait_until(ready.exists, "it consumes", SECONDS)
            bus.publish(ALERT)
            read_until(controller, "ALERT.CPU hot")
            process.send_signal(signal.SIGTERM)
            read_until(controller, "\x1b[?25h")  # the cursor is back
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            os.close(controller)


def read_until(terminal: int, text: str) -> None:
    """Read what is drawn until the text comes."""
    drawn = ""
    deadline = time.monotonic() + SECONDS
    while text not in drawn:
        is_readable, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert is_readable, f"{text!r} never came: {drawn}"
        assert time.monotonic() < deadline, f"{text!r} never came: {drawn}"
        drawn += os.read(terminal, 65536).decode(errors="replace")
