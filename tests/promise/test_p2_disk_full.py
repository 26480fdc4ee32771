"""P2 on a disk that fills up: the caller hears of it, what was accepted stays, and room makes it work again."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from bus_amqp import Event, EventBus, EventTopic, OutboxStorageError, Settings, connect
from bus_amqp.settings import PublisherSettings
from bus_amqp.testing.recorder import Recorder
from bus_amqp.transport.memory.registry import acquire_broker, release_broker
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]
FILE_BYTES = 400_000

# A process that may not write files larger than that: the write-ahead log reaches it after some hundred events.
FULL = """
import resource, sys
from bus_amqp import Event, OutboxStorageError, Settings, connect
from bus_amqp.settings import PublisherSettings

def an_event(number):
    return Event(event_category="UsageEvent", event_type="VM.START", event_source="test", details={"number": number})

settings = Settings(publisher=PublisherSettings(outbox_directory=sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
bus = connect("amqp://guest:guest@127.0.0.1:1/", settings=settings, require_broker=False)
accepted = []
for number in range(10_000):
    try:
        bus.publish(an_event(number))
    except OutboxStorageError as exc:
        print("refused", exc.is_transient)
        break
    accepted.append(number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
bus.publish(an_event(10_000))
print(*accepted, 10_000, flush=True)
import os
os._exit(9)
"""


def test_p2_a_full_disk_refuses_events_and_loses_none_that_were_accepted(tmp_path: Path) -> None:
    """The error is the caller's, and transient; after the process's end every accepted event is sent, and no other."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(FILE_BYTES)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 9, done.stderr
    refused, accepted = done.stdout.splitlines()
    assert refused == "refused True"
    recorder = Recorder()

    settings = Settings(publisher=PublisherSettings(outbox_directory=tmp_path))
    url = f"memory://{tmp_path.name}"
    with connect(url) as watcher:
        watcher.subscribe(EventTopic(), recorder)
        with connect(url, settings=settings):
            wait_until(lambda: recorder.events and recorder.events[-1].details["number"] == 10_000, "the last event")

    assert [event.details["number"] for event in recorder.events] == [int(number) for number in accepted.split()]
    assert len(recorder.events) > 50


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system; the test above limits a process instead")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no right to mount: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_p2_a_bus_on_a_full_disk_goes_on_when_what_waits_has_been_sent(small_disk: Path) -> None:
    """Nobody has to restart anything: the events that fill the disk go to the broker, and their room is free."""
    settings = Settings(publisher=PublisherSettings(outbox_directory=small_disk / "outbox"))
    recorder = Recorder()
    broker = acquire_broker(small_disk.parent.name)
    bus = connect(f"memory://{small_disk.parent.name}", settings=settings)
    bus.subscribe(EventTopic(), recorder)
    for _ in range(3):
        broker.block("until the disk is full")
        events = (an_event(number, description="x" * 1000) for number in range(10_000))
        with pytest.raises(OutboxStorageError, match="full"):
            _publish_all(bus, events)
        assert bus.health().publisher.waiting > 100

        broker.unblock()
        bus.flush(TIMEOUT_SECONDS)
        wait_until(lambda: _has_room(bus), "room")
    wait_until(lambda: len(recorder.events) == bus.stats().confirmed > 300, "every accepted event")
    bus.close()
    release_broker(broker)
    assert list((small_disk / "outbox").iterdir()) == []


def _publish_all(bus: EventBus, events: Iterable[Event]) -> None:
    for event in events:
        bus.publish(event)


def _has_room(bus: EventBus) -> bool:
    try:
        bus.publish_many([an_event(number, description="x" * 1000) for number in range(300)])
    except OutboxStorageError:
        return False
    bus.flush(TIMEOUT_SECONDS)
    return True
