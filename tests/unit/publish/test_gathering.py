"""``bus_amqp.publish.gathering``: loose events reach a running outbox, and never hold up its own."""

import json
import logging
from pathlib import Path

import pytest

from bus_amqp.errors import OutboxStorageError
from bus_amqp.publish import gathering
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import Journal, StoredEvent
from bus_amqp.publish.loose_events import GATHER_LOCK, PAGE_EVENTS, LooseEvents
from bus_amqp.publish.outbox_directory import OutboxDirectory
from tests.unit.fakes import an_entry
from tests.unit.publish.disk import Make, names, put, take_all, words
from tests.unit.publish.loose import WHOLE, add_some, gather, stored


@pytest.fixture
def loose(tmp_path: Path) -> LooseEvents:
    return LooseEvents(OutboxDirectory(tmp_path, "bus.events"))


def test_a_running_outbox_gathers_what_comes_with_its_next_look(make: Make, tmp_path: Path) -> None:
    """`bus-amqp forward` runs for months: an event of a cron job must not wait for its next start."""
    outbox = make(rescan_seconds=0.0)
    put(outbox, 1)
    assert words(take_all(outbox)) == [1]

    add_some(tmp_path, 2, 3)

    assert words(take_all(outbox)) == [2, 3]


def test_many_are_gathered_a_page_at_a_time_and_all_in_the_end(make: Make, tmp_path: Path) -> None:
    """A hundred thousand of them must not fill the memory, nor hold up the publisher's thread until all are read."""
    for number in range(2 * PAGE_EVENTS + 10):
        path = tmp_path / f"{number:020d}-x.event"
        path.write_text(json.dumps({**WHOLE, "routingKey": f"a.b.c.{number}.e"}))
    outbox = make()
    put(outbox, 9_999)

    first = outbox.take(10_000)
    assert words(first) == list(range(PAGE_EVENTS))
    assert outbox.take(10_000) == []  # another page only with the next round of chores
    assert len(names(tmp_path, ".event")) == PAGE_EVENTS + 10
    found = words(first)
    while len(found) < 2 * PAGE_EVENTS + 11:
        outbox.tend()
        found += words(outbox.take(10_000))

    assert found == [*range(2 * PAGE_EVENTS + 10), 9_999]


def test_one_process_gathers_at_a_time(
    make: Make, loose: LooseEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once would store everything twice; one that stands still must not hold up another's own events."""
    add_some(tmp_path, 1)
    held = FileLock.take(tmp_path / GATHER_LOCK)
    assert held is not None

    with pytest.raises(OutboxStorageError, match="another process"):
        loose.lock(0.02)
    outbox = make(rescan_seconds=0.0)
    put(outbox, 2)
    assert words(take_all(outbox)) == [2]
    outbox.tend()
    assert outbox.health().fault == ""  # that others gather is none, at first
    monkeypatch.setattr(gathering, "BUSY_SECONDS", 0.0)
    take_all(outbox)
    outbox.tend()
    assert "another process" in outbox.health().fault
    assert outbox.health().adopted_files == 1  # so `forward --once` does not say that all is sent

    held.release(remove=True)
    gather(loose)
    assert "a.b.c.1.e" in stored(tmp_path)


def test_what_another_process_gathers_after_our_look_is_found_in_its_journal(make: Make, tmp_path: Path) -> None:
    """`forward --once` ends when nothing is left: not one moment before, because somebody else has moved it."""
    add_some(tmp_path, 1, 2)
    outbox = make()
    gather(LooseEvents(OutboxDirectory(tmp_path, "bus.events")))

    assert words(take_all(outbox)) == [1, 2]


def test_on_a_full_disk_they_stay_and_health_says_so(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing accepted is lost, the publisher lives on, and it goes on as soon as there is room."""
    caplog.set_level(logging.ERROR)
    add_some(tmp_path, 1, 2)

    def full(self: Journal, events: list[StoredEvent]) -> None:
        raise OutboxStorageError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "copy", full)
        outbox = make(rescan_seconds=0.0)
        for _ in range(3):
            assert outbox.take(10) == []
            outbox.tend()
        assert "loose events cannot be gathered, and stay: database or disk is full" in outbox.health().fault
        assert outbox.health().adopted_files == 2
    assert caplog.text.count("loose events cannot be gathered") == 1
    assert len(names(tmp_path, ".event")) == 2

    assert words(take_all(outbox)) == [1, 2]
    outbox.tend()
    assert outbox.health().fault == ""
    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_a_spool_holds_for_one_append_is_not_passed_by_the_next_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script's events are in both: looked at in the moment of another spool's append, the older one came second."""
    directory = OutboxDirectory(tmp_path, "bus.events")
    older, younger = directory.create(), directory.create()
    older.append([(1, an_entry(1).message)], 1.0)
    younger.append([(1, an_entry(2).message)], 1.0)
    younger.close()
    appending = FileLock.take(tmp_path / GATHER_LOCK)
    assert appending is not None
    lock = LooseEvents.lock

    def lock_once_appended(self: LooseEvents, wait_seconds: float) -> FileLock:
        older.close()
        appending.release(remove=True)
        return lock(self, wait_seconds)

    monkeypatch.setattr(LooseEvents, "lock", lock_once_appended)

    assert words(take_all(make())) == [1, 2]


def test_a_journal_of_a_living_process_is_left_to_it(make: Make, tmp_path: Path) -> None:
    """It is held for as long as that lives, and nothing waits for it."""
    living = make()
    put(living, 1)
    directory = OutboxDirectory(tmp_path, "bus.events")
    left = directory.create()
    left.append([(1, an_entry(2).message)], 1.0)
    left.close()

    assert words(take_all(make())) == [2]
    assert words(take_all(living)) == [1]


def test_while_nobody_knows_for_how_long_a_journal_is_held_the_next_ones_wait(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine an append may take long; but a process that stands still must not hold up the rest for ever."""
    directory = OutboxDirectory(tmp_path, "bus.events")
    older, younger = directory.create(), directory.create()
    older.append([(1, an_entry(1).message)], 1.0)
    younger.append([(1, an_entry(2).message)], 1.0)
    younger.close()
    appending = FileLock.take(tmp_path / GATHER_LOCK)
    assert appending is not None
    outbox = make(rescan_seconds=0.0)
    put(outbox, 3)

    assert words(take_all(outbox)) == [3]
    assert outbox.health().adopted_files == 2
    with monkeypatch.context() as patched:
        patched.setattr(gathering, "BUSY_SECONDS", 0.0)
        assert words(take_all(outbox)) == [2]
    older.close()
    appending.release(remove=True)
    assert words(take_all(outbox)) == [1]
