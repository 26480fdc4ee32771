"""The disk outbox of real processes: killed in the middle, restarted, forwarded, spooled from the command line."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bus_amqp import EventBus, EventTopic, Settings, connect
from bus_amqp.settings import PublisherSettings, child_environment
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60
IN_HAND = 2 * 4096 + 2 * 512  # the confirm window, twice (restarted twice), and what is deleted at once

# Publishes without end and says after each event that it was accepted.
PUBLISHER = """
import itertools, sys
from bus_amqp import Event, Settings, connect
from bus_amqp.settings import PublisherSettings

url, exchange, directory, first = sys.argv[1:]
settings = Settings(exchange=exchange, publisher=PublisherSettings(outbox_directory=directory))
bus = connect(url, settings=settings, require_broker=False)
for number in itertools.count(int(first)):
    bus.publish(Event(event_category="UsageEvent", event_type="VM.START", event_source="test",
                      resource_uuid="r-0", details={"number": number}))
    print(number, flush=True)
"""


@pytest.fixture
def watcher(rabbitmq: RealBroker, exchange: str) -> Iterator[Recorder]:
    """What arrives."""
    recorder = Recorder()
    with connect(rabbitmq.url, exchange=exchange) as bus:
        bus.subscribe(EventTopic(), recorder)
        yield recorder


def publish_and_kill(url: str, exchange: str, directory: Path, *, first: int, count: int) -> int:
    """Kill a publisher once it has had that many accepted; return the number of the last that it is sure of."""
    with _process("-c", PUBLISHER, url, exchange, str(directory), str(first)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= first + count - 1:
                os.kill(process.pid, signal.SIGKILL)
                break
        complete = process.stdout.read().split("\n")[:-1]  # the last one may have been cut off
        assert process.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    return max([first + count - 1, *map(int, complete)])


def first_seen(recorder: Recorder) -> list[object]:
    return list(dict.fromkeys(event.details["number"] for event in recorder.events))


def own_bus(url: str, exchange: str, directory: Path) -> EventBus:
    settings = Settings(exchange=exchange, publisher=PublisherSettings(outbox_directory=directory))
    return connect(url, settings=settings)


def test_events_of_killed_publishers_are_sent_in_order_before_the_restarted_ones_own(
    rabbitmq: RealBroker, exchange: str, watcher: Recorder, tmp_path: Path
) -> None:
    """kill -9, twice, while the broker is away: all that `publish` returned for arrives, in order, before new ones."""
    nobody = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    last = publish_and_kill(nobody, exchange, tmp_path, first=0, count=700)
    second = last + 10
    last_of_second = publish_and_kill(nobody, exchange, tmp_path, first=second, count=300)

    with own_bus(rabbitmq.url, exchange, tmp_path) as bus:
        bus.publish(an_event(1_000_000)).result(DEADLINE_SECONDS)
        wait_until(lambda: 1_000_000 in first_seen(watcher), "the new event", DEADLINE_SECONDS)

    seen = first_seen(watcher)
    assert seen == sorted(seen)  # type: ignore[type-var]  # they are numbers
    assert set(seen) >= {*range(last + 1), *range(second, last_of_second + 1)}
    assert list(tmp_path.iterdir()) == []


def test_a_publisher_that_is_killed_under_load_loses_nothing_and_repeats_little(
    rabbitmq: RealBroker, exchange: str, watcher: Recorder, tmp_path: Path
) -> None:
    """At least once: between a confirm and the deletion of its row is a moment in which a kill means twice."""
    last = publish_and_kill(rabbitmq.url, exchange, tmp_path, first=0, count=3000)
    last = publish_and_kill(rabbitmq.url, exchange, tmp_path, first=last + 1, count=3000)

    with own_bus(rabbitmq.url, exchange, tmp_path) as bus:
        bus.publish(an_event(1_000_000)).result(DEADLINE_SECONDS)
        wait_until(lambda: 1_000_000 in first_seen(watcher), "the new event", DEADLINE_SECONDS)

    seen = first_seen(watcher)
    assert set(seen) >= set(range(last + 1))
    assert seen == sorted(seen)  # type: ignore[type-var]  # they are numbers
    assert len(watcher.events) - len(seen) <= IN_HAND


def test_forward_sends_what_the_command_line_has_spooled(
    rabbitmq: RealBroker, exchange: str, watcher: Recorder, tmp_path: Path
) -> None:
    """A cron job needs no broker; another process does, later."""
    for number in range(3):
        done = bus_amqp(*spooling(tmp_path, number, exchange), module="main" if number else "entry")
        assert (done.returncode, done.stdout) == (0, "1 stored, 0 refused\n"), done.stderr

    done = bus_amqp("forward", str(tmp_path), "--once", "--exchange", exchange, url=rabbitmq.url)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 sent, 0 moved aside")
    watcher.wait_for(3)
    assert first_seen(watcher) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_forward_goes_on_with_what_comes_later_and_ends_cleanly(
    rabbitmq_4: RealBroker, exchange: str, tmp_path: Path
) -> None:
    """The long-running form: a process that watches a directory, among several that do."""
    recorder = Recorder()
    with connect(rabbitmq_4.url, exchange=exchange) as bus:
        bus.subscribe(EventTopic(), recorder)
        command = ["-m", "bus_amqp.cli.main", "forward", str(tmp_path), "--exchange", exchange]
        with (
            _process(*command, url=rabbitmq_4.url) as one,
            _process(*command, url=rabbitmq_4.url) as other,
            connect(f"spool:{tmp_path}", exchange=exchange) as spool,
        ):
            for batch in range(5):
                spool.publish_many([an_event(10 * batch + number) for number in range(10)])
                recorder.wait_for(10 * (batch + 1), DEADLINE_SECONDS)
            for number in range(50, 53):  # by the command's shortcut
                assert bus_amqp(*spooling(tmp_path, number, exchange), module="entry").stdout == "1 stored, 0 refused\n"
                recorder.wait_for(number + 1, DEADLINE_SECONDS)
            for process in (one, other):
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=DEADLINE_SECONDS)
                assert process.returncode == 0, err

    assert first_seen(recorder) == list(range(53))
    assert len(recorder.events) == 53


def test_forward_says_what_stays_when_there_is_no_broker(
    exchange: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad input: the operator learns it from the exit status and one line."""
    monkeypatch.setenv("BUS_AMQP_CONNECTION__CONNECT_TIMEOUT_SECONDS", "0.3")
    with connect(f"spool:{tmp_path}", exchange=exchange) as spool:
        spool.publish(an_event(0))
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}/"

    away = bus_amqp("forward", str(tmp_path), "--once", "--exchange", exchange, url=url)
    wrong = bus_amqp("forward", str(tmp_path / "nowhere"), "--once", url=url)

    assert (away.returncode, wrong.returncode) == (1, 2)
    assert "error: " in away.stderr
    assert "Traceback" not in away.stderr + wrong.stderr
    assert "is no directory" in wrong.stderr
    assert len(list(tmp_path.glob("*.outbox"))) == 1


def spooling(directory: Path, number: int, exchange: str) -> list[str]:
    """Return a command line."""
    options = ["-c", "UsageEvent", "-t", "VM.START", "-s", "cron", "--details", f'{{"number": {number}}}']
    return ["publish", "--spool", str(directory), "--exchange", exchange, *options]


def bus_amqp(*arguments: str, url: str | None = None, module: str = "main") -> subprocess.CompletedProcess[str]:
    """Run the command line; ``module`` ``entry``: by the shortcut where it fits."""
    return subprocess.run(
        [sys.executable, "-m", f"bus_amqp.cli.{module}", *arguments],
        cwd=ROOT, env=_environment(url), capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip


def _environment(url: str | None) -> dict[str, str]:
    return child_environment(**({} if url is None else {"url": url})) | {"PYTHONPATH": str(ROOT)}


@contextmanager
def _process(*arguments: str, url: str | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT, env=_environment(url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
