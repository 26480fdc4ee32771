"""P2 without a broker: what a spool has taken is sent by somebody else, in order."""

import os
from pathlib import Path

import pytest

from bus_amqp import (
    BusClosedError,
    DeadlineExceededError,
    Event,
    EventBus,
    EventTopic,
    InvalidArgumentError,
    OutboxFullError,
    ReceiptState,
    Settings,
    SettingsError,
    connect,
)
from bus_amqp.settings import PublisherSettings
from bus_amqp.testing.recorder import Recorder
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import MemoryWorld, World


def spool_of(world: World, directory: Path, **publisher: int) -> EventBus:
    settings = Settings(exchange=world.exchange, publisher=PublisherSettings(**publisher))
    return connect(f"spool:{directory}", settings=settings)


def numbers(recorder: Recorder) -> list[object]:
    return [event.details["number"] for event in recorder.events]


def test_p2_spooled_events_are_sent_in_order_by_whoever_has_the_directory(world: World, tmp_path: Path) -> None:
    """Short programs one after another, each with an event: a script's second line must not overtake its first."""
    recorder = Recorder()
    watcher = world.connect()
    watcher.subscribe(EventTopic(), recorder)
    for number in range(30):
        with spool_of(world, tmp_path) as spool:
            assert spool.publish(an_event(number)).state is ReceiptState.STORED
    assert len(list(tmp_path.glob("*.outbox"))) == 1

    bus = world.connect(publisher={"outbox_directory": tmp_path})
    bus.publish(an_event(30)).result(TIMEOUT_SECONDS)

    recorder.wait_for(31)
    assert numbers(recorder) == list(range(31))


def test_p2_what_a_living_process_spools_is_sent_meanwhile(world: World, tmp_path: Path) -> None:
    """A daemon may spool for months: its events must not wait for its end."""
    recorder = Recorder()
    bus = world.connect(publisher={"outbox_directory": tmp_path, "outbox_rescan_seconds": 0.05})
    bus.subscribe(EventTopic(), recorder)
    with spool_of(world, tmp_path) as spool:
        for number in range(5):
            spool.publish_many([an_event(10 * number + each) for each in range(10)])
            recorder.wait_for(10 * (number + 1))
        assert spool.stats().accepted == 50
    assert numbers(recorder) == list(range(50))


def test_p2_a_spool_only_publishes_and_says_so(memory_world: MemoryWorld, tmp_path: Path) -> None:
    """Bad input: a program that was moved to a spool by its url learns at once what cannot work there."""
    with spool_of(memory_world, tmp_path) as spool:
        receipt = spool.publish(an_event(1))
        with pytest.raises(InvalidArgumentError, match="only publishes"):
            spool.subscribe(EventTopic(), print)
        with pytest.raises(DeadlineExceededError, match="another process"):
            receipt.result()
        spool.flush()
        assert spool.health()
        assert spool.health().publisher.outbox is not None
    with pytest.raises(BusClosedError):
        spool.publish(an_event(2))


def test_p1_a_spool_that_nobody_forwards_is_full_one_day(memory_world: MemoryWorld, tmp_path: Path) -> None:
    """Never silently: the caller hears of it, and what is there stays."""
    with spool_of(memory_world, tmp_path, outbox_events=3) as spool:
        spool.publish_many([an_event(number) for number in range(3)])
        with pytest.raises(OutboxFullError, match=r"is `bus-amqp forward .*` running"):
            spool.publish(an_event(3))


def test_p1_the_cap_of_a_spool_holds_beside_another_exchange_and_within_one_call(
    memory_world: MemoryWorld, tmp_path: Path
) -> None:
    """Short programs of two systems take turns: each has one file and its own cap, in events and in bytes."""
    ours = Settings(exchange=memory_world.exchange, publisher=PublisherSettings(outbox_events=3))
    theirs = Settings(exchange="theirs", publisher=PublisherSettings(outbox_events=3))
    for number in range(3):
        for settings in (ours, theirs):
            with connect(f"spool:{tmp_path}", settings=settings) as spool:
                spool.publish(an_event(number))
    with connect(f"spool:{tmp_path}", settings=ours) as spool, pytest.raises(OutboxFullError, match="3 events wait"):
        spool.publish(an_event(3))
    assert len(list(tmp_path.glob("*.outbox"))) == 2

    with (
        spool_of(memory_world, tmp_path / "bytes", outbox_bytes=2_000_000) as spool,
        pytest.raises(OutboxFullError, match="outbox_bytes = 2000000"),
    ):
        spool.publish_many([an_event(number, description="x" * 3000) for number in range(700)])


def test_p2_a_damaged_file_costs_a_spool_nothing_and_what_can_be_read_of_it_is_sent(
    memory_world: MemoryWorld, tmp_path: Path
) -> None:
    """A bad block under the newest file: the next events go into another one, and both are sent."""
    recorder = Recorder()
    watcher = memory_world.connect()
    watcher.subscribe(EventTopic(), recorder)
    with spool_of(memory_world, tmp_path) as spool:
        spool.publish_many([an_event(number, description="x" * 500) for number in range(300)])
        [path] = tmp_path.glob("*.outbox")
        with path.open("r+b") as file:
            file.seek(-4096, os.SEEK_END)  # the last page, where the next row would go
            file.write(os.urandom(4096))
        spool.publish(an_event(300))
    assert len(list(tmp_path.glob("*.outbox"))) == 2

    memory_world.connect(publisher={"outbox_directory": tmp_path})

    wait_until(lambda: recorder.events and recorder.events[-1].details["number"] == 300, "the last event")
    assert len(recorder.events) > 280
    assert len(list(tmp_path.glob("*.damaged"))) == 1


@pytest.mark.parametrize("url", ["spool:", "spool://host/x"])
def test_a_spool_without_a_directory_is_refused(url: str) -> None:
    """Bad input: the message says how it is written."""
    with pytest.raises(SettingsError, match="write spool:DIR"):
        connect(url)


def test_an_outbox_directory_that_cannot_be_is_refused_at_connect(tmp_path: Path) -> None:
    """Bad input: better there than at the first event."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"outbox directory .*file"):
        connect(f"spool:{tmp_path / 'file'}")


def test_p2_a_forked_child_has_a_disk_outbox_of_its_own(amqp_world: AmqpWorld, tmp_path: Path) -> None:
    """A pre-forking server: both sides publish, each event arrives once, and neither touches the other's file."""
    recorder = Recorder()
    watcher = amqp_world.connect()
    watcher.subscribe(EventTopic(), recorder)
    bus = amqp_world.connect(publisher={"outbox_directory": tmp_path})
    bus.publish(an_event(0)).result(TIMEOUT_SECONDS)

    child = os.fork()
    if child == 0:
        status = 1
        try:
            for number in range(100, 120):
                bus.publish(an_event(number))
            bus.flush(TIMEOUT_SECONDS)
            bus.close(TIMEOUT_SECONDS)
            status = 0
        finally:
            os._exit(status)
    for number in range(1, 20):
        bus.publish(an_event(number))
    assert os.waitpid(child, 0)[1] == 0
    bus.flush(TIMEOUT_SECONDS)

    wait_until(lambda: len(recorder.events) == 40, "all events of both")
    assert sorted(map(_number, recorder.events)) == [*range(20), *range(100, 120)]
    bus.close()
    assert list(tmp_path.iterdir()) == []


def _number(event: Event) -> int:
    number = event.details["number"]
    assert isinstance(number, int)
    return number
