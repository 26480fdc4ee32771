"""``OwnJournal``: the journal of this process's own events, made when the first one comes.

Replaces its file where it must: a forked child leaves the parent's, a damaged one is set aside and what can be read
of it kept, and one that has grown large is dropped once nothing in it is open.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.publish.recovery import copy_readable
from bus_amqp.wire.message import Message

logger = logging.getLogger("bus_amqp.publish")

LARGE_BYTES = 16 * 1024 * 1024  # a file never shrinks: after a backlog, a fresh one


class OwnJournal:
    """``committing`` is held for each change, so that the order of commits is the order in which it was taken.

    One more lock than the journal's own, because which journal it is must not change in between either.
    """

    def __init__(self, directory: OutboxDirectory, *, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self.committing = threading.Lock()  # guards _journal
        self._journal: Journal | None = None
        self._deleted_through = 0  # rows up to this number are gone; publisher thread only
        self.last_number = 0  # the newest row; written with ``committing``

    def __repr__(self) -> str:
        return f"<OwnJournal {self._journal!r}>"

    @property
    def path(self) -> Path | None:
        """Where it is; None before the first event."""
        journal = self._journal
        return None if journal is None or journal.is_abandoned else journal.path

    def append(self, events: Sequence[tuple[int, Message]]) -> None:
        """Store all of them or none.  ``committing`` is held.  Raises ``OutboxStorageError``."""
        journal = self._journal
        if journal is None or journal.is_abandoned:
            journal = self._journal = self._directory.create()
        try:
            journal.append(events, self._clock())
        except OutboxDamagedError as exc:
            self._journal = None  # whatever comes of the next lines, nothing more goes into that one
            self._journal = journal = self._directory.set_aside(journal, exc) or self._directory.create()
            journal.append(events, self._clock())
        self.last_number = events[-1][0]

    def delete_through(self, number: int, *, at_least: int) -> bool:
        """Forget settled events, if they are that many; return whether there are some that still wait for that.

        Raises ``OutboxStorageError``; what could not be deleted is tried again.
        """
        number = min(number, self.last_number)
        if number <= self._deleted_through:
            return False
        if number - self._deleted_through < at_least:
            return True
        with self.committing:
            journal = self._journal
            if journal is None or journal.is_abandoned:
                self._deleted_through = number
            elif number == self.last_number and journal.is_larger_than(LARGE_BYTES):
                self._drop(journal)
            else:
                self._delete(journal, number)
        return False

    def checkpoint_if_due(self) -> None:
        """Keep the write-ahead log short, also while nothing is settled: each commit takes a page of it, or more."""
        journal = self._journal
        if journal is not None and not journal.is_abandoned:
            journal.checkpoint_if_due()

    def _delete(self, journal: Journal, number: int) -> None:
        try:
            journal.delete_through(number)
        except OutboxStorageError:
            if number < self.last_number:
                raise
            self._drop(journal)  # nothing in it is open, and a full disk has no room for a deletion either
        self._deleted_through = number

    def _drop(self, journal: Journal) -> None:
        journal.close(remove=True)
        self._journal = None
        self._deleted_through = self.last_number

    def replace_if_removed(self) -> None:
        """Begin another file if somebody has removed ours, with what is in it: it would end with this process.

        Raises ``OutboxStorageError`` where that cannot be; then this may be tried again.
        """
        with self.committing:
            journal = self._journal
            if journal is None or journal.is_abandoned or not _is_removed(journal.path):
                return
            self._directory.make_again()
            copy, count = copy_readable(journal, self._directory.create)
            self._journal = copy  # None: the next event makes one
            logger.error("%s was removed while it was in use; its %d events are stored anew", journal.path, count)
            journal.close(remove=True)

    def delete(self, numbers: Sequence[int]) -> None:
        """Forget these events.  Raises ``OutboxStorageError``."""
        with self.committing:
            if self._journal is not None and not self._journal.is_abandoned:
                self._journal.delete(numbers)

    def close(self, settled_through: int) -> None:
        """Let go of the file; it goes with the last event in it, else it is an orphan from now on."""
        with self.committing:
            journal, self._journal = self._journal, None
            if journal is None or journal.is_abandoned:
                return
            try:
                journal.delete_through(settled_through)
                if journal.count()[0] == 0:
                    journal.close(remove=True)
            except OutboxStorageError as exc:
                logger.warning("settled events stay in %s and will be sent twice: %s", journal.path, exc)
            finally:
                journal.close()  # once more does nothing

    def abandon_after_fork(self) -> None:
        """In a forked child: the next event makes a file of the child's own."""
        self._journal = None
        self.committing = threading.Lock()  # its holder may be a thread that the child does not have


def _is_removed(path: Path) -> bool:
    """Whether somebody has removed it: we could still write to it, and nobody would ever find it."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass  # who cannot look does not know
    return False
