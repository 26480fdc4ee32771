"""Events that are not sent, kept with the reason, and how they are sent after all.

An aside file is a journal in all but its name: given a journal's name, it is an orphan like any other.  It is open
only while events are put into it, so that somebody else can take it at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
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
        self._path: Path | None = None
        self.moved = 0  # events, by this process; written by its publisher thread, read by any

    def put(self, events: Sequence[tuple[Message, str]]) -> None:
        """Keep these with their reasons.  Raises ``OutboxStorageError``; then none of them is kept."""
        journal = (self._path and _opened(self._path, self._directory)) or self._made()
        try:
            self._append(journal, events)
        except OutboxDamagedError as exc:
            journal = self._directory.set_aside(journal, exc, self._made) or self._made()
            self._append(journal, events)
        finally:
            journal.close()
        self.moved += len(events)

    def _append(self, journal: Journal, events: Sequence[tuple[Message, str]]) -> None:
        first = journal.bounds()[1] + 1
        numbered = [(number, message) for number, (message, _) in enumerate(events, first)]
        journal.append(numbered, self._clock(), reasons=[reason for _, reason in events])

    def _made(self) -> Journal:
        path = self._directory.path / f"{int(self._clock() * 1e6):020d}-{uuid4().hex}{ASIDE_SUFFIX}"
        lock = _taken(path)
        assert lock is not None  # nobody else knows the name
        journal = Journal.create(path, lock, self._directory.exchange, synchronous="full")
        self._path = path
        return journal


def send_aside_again(directory: OutboxDirectory, clock: Callable[[], float] = time.time) -> int:
    """Make orphans of the aside files, as if their events were accepted now; return how many events that are.

    A file that cannot be used is named in the log and stays; one that is damaged is put away, and what can be read of
    it is sent.
    """
    events = 0
    for path in directory.files(ASIDE_SUFFIX):
        try:
            events += _send_again(path, directory, clock)
        except OutboxStorageError as exc:
            directory.tell_unusable(path, exc)
    return events


def _send_again(path: Path, directory: OutboxDirectory, clock: Callable[[], float]) -> int:
    journal = _opened(path, directory)
    if journal is None:
        return 0
    try:
        if journal.exchange != directory.exchange:
            return 0
        try:
            events = _renew(journal, clock)
        except OutboxDamagedError as exc:
            copy = directory.set_aside(journal, exc)  # an orphan already, by its name
            if copy is None:
                return 0
            journal = copy
            return _renew(journal, clock)
        journal.close_as(directory.fresh_path())  # not its own name: the same file may be there from the last time
        return events
    finally:
        journal.close()


def _renew(journal: Journal, clock: Callable[[], float]) -> int:
    journal.renew(clock())
    journal.checkpoint()
    return journal.count()[0]


def _opened(path: Path, directory: OutboxDirectory) -> Journal | None:
    """Return an aside file; None if it is gone, blank, or damaged and put away now.

    Raises ``OutboxStorageError``, also while somebody else has it; its lock is free then.
    """
    lock = _taken(path)
    if lock is None:  # being written, or being sent again
        raise OutboxStorageError(f"{path}: in use")
    try:
        journal = Journal.open(path, lock, synchronous="full") if path.exists() else None
    except OutboxDamagedError as exc:
        directory.put_away(path, lock, exc)
        return None
    except OutboxStorageError:
        lock.release(remove=False)
        raise
    if journal is None:
        lock.release(remove=True)
    return journal


def _taken(path: Path) -> FileLock | None:
    try:
        return FileLock.take(path.with_suffix(_LOCK_SUFFIX))
    except OSError as exc:
        raise OutboxStorageError(f"{path}: {exc.strerror}") from exc
