"""``OutboxDirectory``: the files of a disk outbox: whose they are, in which order they go, and which are set aside.

``<sequence>-<uuid>.outbox`` is a journal and ``….lock`` the right to it; ``….aside`` holds events that were not sent
and why; ``….damaged`` was no whole journal; ``….event`` is one event that waits for a journal (``loose_events``).
Several processes share a directory; what each does here is one step under the lock of the file concerned.  The uuid,
not the process id, makes names unique: ids come again.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError, SettingsError
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import LOCK_SUFFIX, SUFFIX, Journal, rename_files
from bus_amqp.publish.loose_event import file_name, next_sequence, sequence_of
from bus_amqp.publish.recovery import copy_readable
from bus_amqp.publish.sqlite_file import was_inherited

logger = logging.getLogger("bus_amqp.publish")

ASIDE_SUFFIX, DAMAGED_SUFFIX = ".aside", ".damaged"


class OutboxDirectory:
    """Makes, adopts and sets aside journals.  Holds no open file itself; called from any thread."""

    def __init__(
        self, path: Path, exchange: str, *, synchronous: str = "normal", clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.exchange = exchange
        self._synchronous = synchronous
        self._clock = clock
        self._foreign: set[str] = set()  # journals of other exchanges: looked into once
        self._told: set[str] = set()  # files that cannot be used, and of which the log knows
        try:
            self.make_again()
        except OutboxStorageError as exc:
            raise SettingsError(f"{exc}: name one that this user may write") from exc
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise SettingsError(f"outbox directory {path}: not readable and writable for this user")

    def __repr__(self) -> str:
        return f"<OutboxDirectory {self.path}>"

    def make_again(self) -> None:
        """Make the directory itself, unless it is there.  Raises ``OutboxStorageError``."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise OutboxStorageError(f"outbox directory {self.path}: {exc.strerror}") from exc

    def create(self) -> Journal:
        """Make a journal that sorts behind all there are.  Raises ``OutboxStorageError``."""
        return self._make(self._next_sequence(), self.exchange)

    def fresh_path(self) -> Path:
        """Return a name for a journal that sorts behind all there are."""
        return self._path(self._next_sequence())

    def _next_sequence(self) -> int:
        return next_sequence([path.name for path in self.files(SUFFIX)], self._clock())

    def _path(self, sequence: int) -> Path:
        return self.path / file_name(sequence, uuid4().hex, SUFFIX)

    def _make(self, sequence: int, exchange: str) -> Journal:
        path = self._path(sequence)
        try:
            lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
            assert lock is not None  # nobody else knows the name
            journal = Journal.create(path, lock, exchange, synchronous=self._synchronous)
        except OSError as exc:
            raise OutboxStorageError(f"outbox directory {self.path}: {exc.strerror}") from exc
        if self._synchronous == "full":
            try:
                _flush_directory(self.path)
            except OSError as exc:
                journal.close()  # an empty orphan: whoever adopts it removes it
                raise OutboxStorageError(f"outbox directory {self.path}: {exc.strerror}") from exc
        return journal

    def files(self, suffix: str) -> list[Path]:
        """Return the files of a kind, oldest first; none if the directory is gone."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208 -- one call for any number of files
        except OSError:
            return []
        return [self.path / name for name in sorted(names) if name.endswith(suffix)]

    def candidates(self) -> list[Path]:
        """Return the journals that may be orphans of our exchange, oldest first."""
        return [path for path in self.files(SUFFIX) if self.may_be_ours(path)]

    def may_be_ours(self, path: Path) -> bool:
        """Return whether a journal may be one of our exchange, as far as is known."""
        return path.name not in self._foreign and not was_inherited(path)

    def adopt(self, path: Path) -> Journal | None:
        """Return the journal if its process has ended and nobody else has adopted it; else None.

        What is damaged is set aside.
        """
        if was_inherited(path):  # also one that was listed before this process was forked
            return None
        try:
            lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
        except OSError as exc:
            self.tell_unusable(path, exc)
            return None
        if lock is None:
            return None
        try:
            if not path.exists():  # its process has removed it meanwhile
                lock.release(remove=True)
                return None
            return self._opened(path, lock)
        except (OSError, OutboxStorageError) as exc:
            self.tell_unusable(path, exc)
        lock.release(remove=False)  # once more does nothing
        return None

    def _opened(self, path: Path, lock: FileLock) -> Journal | None:
        try:
            journal = Journal.open(path, lock, synchronous=self._synchronous)
        except OutboxDamagedError as exc:
            self.put_away(path, lock, exc)
            return None
        if journal is None:
            return None
        if journal.exchange != self.exchange:
            self._foreign.add(path.name)
            journal.close()
            return None
        return journal

    def adopt_newest(self) -> Journal | None:
        """Return the newest journal of our exchange, if there is one and nobody holds it."""
        for path in reversed(self.candidates()):
            journal = self.adopt(path)
            if journal is not None or path.name not in self._foreign:
                return journal
        return None

    def set_aside(
        self, journal: Journal, why: OutboxDamagedError, make_copy: Callable[[], Journal] | None = None
    ) -> Journal | None:
        """Rename a journal that cannot be read to its end; return what could be read as a journal in its place.

        ``make_copy``: makes that journal.  None, and an orphan is left to be tried again, where it cannot be copied.
        """
        try:
            copy, count = copy_readable(
                journal, make_copy or (lambda: self._make(sequence_of(journal.path.name), journal.exchange))
            )
        except OutboxStorageError as exc:  # a full disk, say: what can be read now must not be put away unread
            self.tell_unusable(journal.path, exc)
            journal.close()
            return None
        try:
            journal.close_as(journal.path.with_suffix(DAMAGED_SUFFIX))
        except OutboxStorageError as exc:
            self.tell_unusable(journal.path, exc)
            if copy is not None:
                copy.close(remove=True)  # else its events would be copied again with each look at the other one
            return None
        self.tell_damaged(journal.path, why, recovered=count)
        return copy

    def put_away(self, path: Path, lock: FileLock, why: OutboxDamagedError) -> None:
        """Rename a file that cannot even be opened, and let go of its lock.  Raises ``OutboxStorageError``."""
        try:
            rename_files(path, path.with_suffix(DAMAGED_SUFFIX))
            self.tell_damaged(path, why, recovered=0)
        finally:
            lock.release(remove=not path.exists())

    def tell_unusable(self, path: Path, why: Exception) -> None:
        """Log what is wrong with a file, once: it is looked at again and again, and may become usable."""
        if path.name not in self._told:
            self._told.add(path.name)
            reason = why.strerror if isinstance(why, OSError) else why
            logger.error("outbox file %s cannot be used, and stays: %s", path, reason)

    def tell_damaged(self, path: Path, why: Exception, *, recovered: int) -> None:
        """Log that a file is set aside now."""
        logger.error(
            "outbox file %s is damaged and set aside as %s; %d of its events could be read and will be sent: %s",
            path, path.with_suffix(DAMAGED_SUFFIX).name, recovered, why,
        )  # fmt: skip


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
