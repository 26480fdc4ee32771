"""Events that are not sent, kept with the reason, and how they are sent after all.

An aside file is a journal in all but its name: given a journal's name, it is an orphan like any other.  It is open
only while events are put into it, so that somebody else can take it at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from bus_amqp.errors import OutboxStorageError
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox_directory import ASIDE_SUFFIX, OutboxDirectory
from bus_amqp.wire.message import Message

_LOCK_SUFFIX = ".aside-lock"


class Aside:
    """The aside file of one process; made with the first event that goes there."""

    def __init__(self, directory: OutboxDirectory, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._path = directory.path / f"{int(clock() * 1e6):020d}-{uuid4().hex}{ASIDE_SUFFIX}"
        self.moved = 0  # events, by this process; written by its publisher thread, read by any

    def put(self, events: Sequence[tuple[Message, str]]) -> None:
        """Keep these with their reasons.  Raises ``OutboxStorageError``; then none of them is kept."""
        journal = self._opened()
        try:
            first = journal.bounds()[1] + 1
            numbered = [(number, message) for number, (message, _) in enumerate(events, first)]
            journal.append(numbered, self._clock(), reasons=[reason for _, reason in events])
        finally:
            journal.close()
        self.moved += len(events)

    def _opened(self) -> Journal:
        try:
            lock = FileLock.take(self._path.with_suffix(_LOCK_SUFFIX))
            if lock is None:  # somebody sends its events again just now
                raise OutboxStorageError(f"{self._path}: in use")
            if self._path.exists():
                journal = Journal.open(self._path, lock, synchronous="full")
                if journal is not None:
                    return journal
                lock = FileLock.take(self._path.with_suffix(_LOCK_SUFFIX))
                assert lock is not None
            return Journal.create(self._path, lock, self._directory.exchange, synchronous="full")
        except OSError as exc:
            raise OutboxStorageError(f"{self._path}: {exc.strerror}") from exc


def send_aside_again(directory: OutboxDirectory, clock: Callable[[], float] = time.time) -> int:
    """Make orphans of the aside files, as if their events were accepted now; return how many events that are.

    Raises ``OutboxStorageError``.
    """
    return sum(_send_again(path, directory, clock) for path in directory.files(ASIDE_SUFFIX))


def _send_again(path: Path, directory: OutboxDirectory, clock: Callable[[], float]) -> int:
    lock = FileLock.take(path.with_suffix(_LOCK_SUFFIX))
    if lock is None:
        return 0  # being written, or being sent by somebody else
    try:
        journal = Journal.open(path, lock, synchronous="full") if path.exists() else None
    except OutboxStorageError:
        lock.release(remove=False)
        raise
    if journal is None or journal.exchange != directory.exchange:
        lock.release(remove=False) if journal is None else journal.close()
        return 0
    journal.renew(clock())
    journal.checkpoint()
    events, _ = journal.count()
    journal.close_as(directory.fresh_path())  # not its own name: the same file may be there from the last time
    return events
