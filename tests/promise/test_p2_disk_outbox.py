"""P2 with a disk outbox: an accepted event survives its process, and keeps its place."""

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from bus_amqp import (
    Event,
    EventBus,
    EventExpiredError,
    EventTopic,
    OutboxFullError,
    OutboxHealth,
    ReceiptState,
    UndeliveredError,
    UnroutableError,
    connect,
)
from bus_amqp.publish.aside import send_aside_again
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

PAGES = 1300  # more than two pages of an adopted file


def numbers(events: Iterable[Event]) -> list[object]:
    return [event.details["number"] for event in events]


def leave_unsent(world: World, directory: Path, events: list[Event]) -> None:
    """A process that accepts events while the broker is away, and ends."""
    bus = world.connect(publisher={"outbox_directory": directory}, require_broker=False)
    for event in events:
        bus.publish(event)
    with pytest.raises(UndeliveredError, match="could not be sent"):
        bus.close(0)


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_p2_what_a_process_left_is_sent_in_order_before_the_next_ones_own_events(world: World, tmp_path: Path) -> None:
    """A restart: the start of a machine must not arrive after its stop because the process died in between."""
    recorder = Recorder()
    watcher = world.connect()
    watcher.subscribe(EventTopic(), recorder)
    world.take_broker_away()
    leave_unsent(world, tmp_path, [an_event(number) for number in range(PAGES)])
    leave_unsent(world, tmp_path, [an_event(number) for number in range(PAGES, PAGES + 10)])

    bus = world.connect(publisher={"outbox_directory": tmp_path}, require_broker=False)
    receipts = [bus.publish(an_event(number)) for number in range(PAGES + 10, PAGES + 20)]
    assert {receipt.state for receipt in receipts} == {ReceiptState.STORED}
    world.bring_back()

    recorder.wait_for(PAGES + 20)
    bus.flush(TIMEOUT_SECONDS)
    assert numbers({event.event_id: event for event in recorder.events}.values()) == list(range(PAGES + 20))
    wait_until(lambda: not _outbox(bus).adopted_files, "the adopted files to be settled")
    bus.close()
    assert files_in(tmp_path) == []


def test_p2_adopted_events_are_sent_again_in_order_after_a_lost_connection(world: World, tmp_path: Path) -> None:
    """The connection may break in the middle of the backlog; the file goes only when all of it is confirmed."""
    recorder = Recorder()
    watcher = world.connect()
    watcher.subscribe(EventTopic(), recorder)
    world.take_broker_away()
    leave_unsent(world, tmp_path, [an_event(number) for number in range(3 * PAGES)])
    world.bring_back()
    wait_until(lambda: bool(watcher.health()), "the subscription to be back")

    bus = world.connect(publisher={"outbox_directory": tmp_path, "confirm_window": 100})
    receipt = bus.publish(an_event(3 * PAGES))
    for percent in (10, 40, 70):
        recorder.wait_for(3 * PAGES * percent // 100)
        world.cut_connections()

    receipt.result(TIMEOUT_SECONDS)
    wait_until(lambda: len({event.event_id for event in recorder.events}) == 3 * PAGES + 1, "every event")
    first_seen = dict.fromkeys(numbers(recorder.events))
    assert list(first_seen) == list(range(3 * PAGES + 1))


def test_p2_two_processes_that_start_at_once_send_each_file_once(world: World, tmp_path: Path) -> None:
    """A deployment restarts all its processes together: nobody may send what another one sends."""
    recorder = Recorder()
    watcher = world.connect()
    watcher.subscribe(EventTopic(), recorder)
    world.take_broker_away()
    for number in range(3):
        leave_unsent(world, tmp_path, [an_event(100 * number + each) for each in range(100)])

    buses = [
        world.connect(publisher={"outbox_directory": tmp_path, "outbox_rescan_seconds": 0.05}, require_broker=False)
        for _ in range(2)
    ]
    world.bring_back()

    recorder.wait_for(300)
    for bus in buses:
        wait_until(lambda bus=bus: not _outbox(bus).adopted_files, "nothing to be left")  # type: ignore[misc]
    assert sum(bus.stats().confirmed for bus in buses) == 300
    assert sorted(numbers(recorder.events)) == list(range(300))  # type: ignore[type-var]


def test_p2_a_running_process_takes_over_what_another_one_leaves(world: World, tmp_path: Path) -> None:
    """A worker that dies and is not replaced: its events must not wait until somebody restarts the others."""
    recorder = Recorder()
    bus = world.connect(publisher={"outbox_directory": tmp_path, "outbox_rescan_seconds": 0.05})
    bus.subscribe(EventTopic(), recorder)
    bus.publish(an_event(0)).result(TIMEOUT_SECONDS)

    spool = connect(f"spool:{tmp_path}", exchange=world.exchange)
    spool.publish_many([an_event(number) for number in range(1, 11)])

    recorder.wait_for(11)
    assert numbers(recorder.events) == list(range(11))


def test_p2_callers_are_refused_when_the_disk_outbox_is_full_and_not_by_what_others_left(
    world: World, tmp_path: Path
) -> None:
    """P1: the bound is for this process's own; a backlog on disk has its place already."""
    world.take_broker_away()
    leave_unsent(world, tmp_path, [an_event(number) for number in range(50)])

    bus = world.connect(
        publisher={"outbox_directory": tmp_path, "outbox_events": 10, "publish_timeout_seconds": 0},
        require_broker=False,
    )
    receipts = [bus.publish(an_event(number)) for number in range(50, 60)]
    with pytest.raises(OutboxFullError, match="10 events"):
        bus.publish(an_event(60))
    world.bring_back()

    for receipt in receipts:
        receipt.result(TIMEOUT_SECONDS)
    wait_until(lambda: bus.stats().confirmed == 60, "all to be confirmed")
    bus.publish(an_event(60)).result(TIMEOUT_SECONDS)


def test_p2_events_that_waited_too_long_are_moved_aside_and_can_be_sent_after_all(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An alarm of last week must not ring today; but it is kept, with the reason, and never dropped."""
    recorder = Recorder()
    watcher = world.connect()
    watcher.subscribe(EventTopic(), recorder)
    world.take_broker_away()
    settings = {"outbox_directory": tmp_path, "outbox_max_age_seconds": 0.2}
    bus = world.connect(publisher=settings, require_broker=False)
    failed: list[object] = []
    bus.on_failed(failed.append)

    receipts = [bus.publish(an_event(number)) for number in range(5)]
    with caplog.at_level(logging.WARNING, "bus_amqp.publish"):
        for receipt in receipts:
            assert isinstance(receipt.exception(TIMEOUT_SECONDS), EventExpiredError)
    wait_until(lambda: len(failed) == 5, "the listener to hear of each")
    assert bus.stats().failed == 5
    assert _outbox(bus).aside_files == 1
    assert "waited longer than outbox_max_age_seconds = 0.2" in caplog.text
    bus.close(0)
    world.bring_back()

    assert send_aside_again(OutboxDirectory(tmp_path, world.exchange)) == 5
    world.connect(publisher={"outbox_directory": tmp_path})
    recorder.wait_for(5)
    assert numbers(recorder.events) == list(range(5))


def test_p2_an_adopted_event_that_nobody_wants_is_moved_aside_with_the_reason(world: World, tmp_path: Path) -> None:
    """P5: its caller is gone, so nobody would hear that it failed."""
    world.take_broker_away()
    bus = world.connect(publisher={"outbox_directory": tmp_path}, require_broker=False)
    bus.publish(an_event(1), mandatory=True)
    bus.publish(an_event(2))
    with pytest.raises(UndeliveredError):
        bus.close(0)
    world.bring_back()

    bus = world.connect(publisher={"outbox_directory": tmp_path})
    wait_until(lambda: not _outbox(bus).adopted_files, "the adopted file to be settled")

    assert (bus.stats().confirmed, bus.stats().failed) == (1, 1)
    [aside] = tmp_path.glob("*.aside")
    assert f"{UnroutableError.__name__}: no queue takes" in _reasons(aside)[0]


def _outbox(bus: EventBus) -> OutboxHealth:
    outbox = bus.health().publisher.outbox
    assert outbox is not None
    return outbox


def _reasons(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [reason for (reason,) in connection.execute("SELECT reason FROM events")]
    finally:
        connection.close()
