"""``bus_amqp.publish.journal`` and what it stands on: one file, one lock, and what a fork must not do."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import CHECKPOINT_ROWS, LOCK_SUFFIX, Journal
from bus_amqp.wire.message import Message
from tests.unit.fakes import Running


def a_message(number: int = 0, size_bytes: int = 100) -> Message:
    return Message(
        f"a.b.c.{number}.e", b"x" * size_bytes, f"id-{number}", 1_700_000_000 + number, "VM.START", "source",
        headers={"traceparent": "00-é"} if number % 2 else None, mandatory=number % 3 == 0,
    )  # fmt: skip


def make(path: Path, synchronous: str = "normal") -> Journal:
    lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
    assert lock is not None
    return Journal.create(path, lock, "bus.events", synchronous=synchronous)


def reopen(path: Path) -> Journal | None:
    lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
    assert lock is not None
    try:
        return Journal.open(path, lock)
    except BaseException:
        lock.release(remove=False)
        raise


def numbers(journal: Journal, after: int = 0) -> list[int]:
    return [event.number for event in journal.read(after, max_events=10_000, max_bytes=10**9)]


def read_all(path: Path) -> list[int]:
    journal = reopen(path)
    assert journal is not None
    try:
        return numbers(journal)
    finally:
        journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1-a.outbox"


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_a_message_comes_back_whole(path: Path, synchronous: str) -> None:
    """Everything that the broker gets must survive: key, body, properties, headers, the mandatory flag."""
    journal = make(path, synchronous)
    messages = [a_message(number) for number in range(4)]
    journal.append([(1, messages[0])], 12.5)
    journal.append(list(enumerate(messages[1:], 2)), 13.5)
    journal.close()

    again = reopen(path)
    assert again is not None
    events = again.read(0, max_events=10, max_bytes=10**9)
    again.close()

    assert again.exchange == "bus.events"
    assert [(event.number, event.accepted_at) for event in events] == [(1, 12.5), (2, 13.5), (3, 13.5), (4, 13.5)]
    for event, message in zip(events, messages, strict=True):
        for name in Message.__slots__:
            assert getattr(event.message, name) == getattr(message, name), name


def test_events_are_read_in_pages_and_deleted_from_the_front(path: Path) -> None:
    """A backlog of any size goes through little memory."""
    journal = make(path)
    journal.append([(number, a_message(number)) for number in range(1, 11)], 0.0)

    assert [event.number for event in journal.read(0, max_events=3, max_bytes=10**9)] == [1, 2, 3]
    assert [event.number for event in journal.read(3, max_events=10, max_bytes=250)] == [4, 5]
    assert [event.number for event in journal.read(5, max_events=10, max_bytes=1)] == [6], "one at least"
    journal.delete_through(6)
    journal.delete([8])

    assert numbers(journal) == [7, 9, 10]
    assert journal.bounds() == (7, 10)
    assert journal.count() == (3, 300)
    journal.delete_through(10)
    assert journal.bounds() == (1, 0)
    journal.close()


def test_a_batch_is_stored_whole_or_not_at_all(path: Path) -> None:
    """`publish_many` is all or nothing, on disk too."""
    journal = make(path)
    journal.append([(5, a_message())], 0.0)

    with pytest.raises(OutboxStorageError):
        journal.append([(4, a_message()), (5, a_message())], 0.0)  # the number is taken

    assert numbers(journal) == [5]
    journal.append([(6, a_message())], 0.0)
    assert numbers(journal) == [5, 6]
    journal.close()


def test_a_file_is_locked_for_life_and_free_afterwards(path: Path) -> None:
    """A journal whose lock is free is an orphan: taking one of a living process would send its events twice."""
    journal = make(path)
    assert FileLock.take(path.with_suffix(LOCK_SUFFIX)) is None

    journal.close()
    lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))

    assert lock is not None
    lock.release(remove=True)
    assert not path.with_suffix(LOCK_SUFFIX).exists()


def test_a_lock_whose_file_was_removed_excludes_nobody_and_is_not_taken(tmp_path: Path) -> None:
    """Between opening and locking, its holder may remove it: two processes would each believe that they hold it."""
    path = tmp_path / "x.lock"
    first = FileLock.take(path)
    assert first is not None
    waiting = os.open(path, os.O_RDWR)  # as a second process would have it open

    first.release(remove=True)
    second = FileLock.take(path)

    assert second is not None
    assert os.fstat(waiting).st_ino != path.stat().st_ino
    assert FileLock.take(path) is None
    os.close(waiting)
    second.release(remove=True)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(b"garbage" * 1000), "not a database"),
        (lambda path: os.truncate(path, 5000), "malformed|disk image"),
        (lambda path: change(path, "PRAGMA user_version = 99"), "schema version 99, this release reads 1"),
        (lambda path: change(path, "PRAGMA application_id = 7"), "no outbox of bus_amqp"),
        (lambda path: change(path, "DROP TABLE outbox"), "no such table"),
    ],
    ids=["garbage", "truncated", "foreign version", "foreign program", "table gone"],
)
def test_a_file_that_is_no_whole_journal_is_told_so(path: Path, spoil, told: str) -> None:  # type: ignore[no-untyped-def]
    """Bad input: the error names the file and what is wrong with it."""
    journal = make(path)
    journal.append([(number, a_message(number, 5000)) for number in range(1, 20)], 0.0)
    journal.close()
    spoil(path)

    with pytest.raises(OutboxDamagedError, match=told) as refused:
        read_all(path)

    assert str(path) in str(refused.value)
    assert not refused.value.is_transient


def test_a_file_whose_process_ended_while_making_it_is_no_damage(path: Path) -> None:
    """Nothing was accepted yet: it just goes."""
    sqlite3.connect(path).close()
    path.touch()

    assert reopen(path) is None
    assert not path.exists()


def test_the_write_ahead_log_starts_again_from_its_beginning(path: Path) -> None:
    """Else it grows with every event that was ever published."""
    journal = make(path)
    log = path.with_name(path.name + "-wal")
    sizes = []
    for number in range(1, 5 * CHECKPOINT_ROWS):
        journal.append([(number, a_message(number))], 0.0)
        if number % 100 == 0:
            journal.delete_through(number)
            journal.checkpoint_if_due()
            sizes.append(log.stat().st_size)
    journal.close()

    assert max(sizes) <= 2 * sizes[CHECKPOINT_ROWS // 100]


def test_several_threads_use_one_journal(path: Path) -> None:
    """Callers store while the publisher thread deletes and brings the log into the file."""
    journal = make(path)
    is_over = threading.Event()

    def tidy() -> None:
        while not is_over.is_set():
            journal.delete_through(journal.bounds()[0])
            journal.checkpoint()

    tidying = Running(tidy)
    for number in range(1, 1001):
        journal.append([(number, a_message(number))], 0.0)
    is_over.set()
    tidying.result()

    left = numbers(journal)
    assert left == list(range(left[0], 1001)) if left else journal.bounds() == (1, 0)
    journal.close()


def change(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_released_lock_is_free_also_while_a_copy_of_its_file_is_open(tmp_path: Path) -> None:
    """A thread that starts a process leaves copies of all files in it for a moment: no lock must stay with them."""
    lock = FileLock.take(tmp_path / "x.lock")
    assert lock is not None
    copy = os.dup(lock._descriptor)

    lock.release(remove=False)

    again = FileLock.take(tmp_path / "x.lock")
    os.close(copy)
    assert again is not None
    again.release(remove=True)
