"""``OutboxDirectory``: the files of a disk outbox: whose they are, in which order they go, and which are set aside.

``<sequence>-<uuid>.outbox`` is a journal and ``….lock`` the right to it; ``….aside`` holds events that were not sent
and why; ``….damaged`` was no whole journal.  Several processes share a directory; what each does here is one step under
the lock of the file concerned.  The uuid, not the process id, makes names unique: ids come again.
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
        self.damaged_files = 0  # set aside by this process
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise SettingsError(f"outbox directory {path}: {exc.strerror}: name one that this user may write") from exc
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise SettingsError(f"outbox directory {path}: not readable and writable for this user")

    def __repr__(self) -> str:
        return f"<OutboxDirectory {self.path}>"

    def create(self) -> Journal:
        """Make a journal that sorts behind all there are.  Raises ``OutboxStorageError``."""
        return self._make(self._next_sequence(), self.exchange)

    def fresh_path(self) -> Path:
        """Return a name for a journal that sorts behind all there are."""
        return self._path(self._next_sequence())

    def _next_sequence(self) -> int:
        # The clock alone would not do: set back an hour, it would put new events before those that wait.
        newest = max((_sequence(path) for path in self.files(SUFFIX)), default=0)
        return max(int(self._clock() * 1e6), newest + 1)

    def _path(self, sequence: int) -> Path:
        return self.path / f"{sequence:020d}-{uuid4().hex}{SUFFIX}"

    def _make(self, sequence: int, exchange: str) -> Journal:
        path = self._path(sequence)
        try:
            lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
            assert lock is not None  # nobody else knows the name
            journal = Journal.create(path, lock, exchange, synchronous=self._synchronous)
            if self._synchronous == "full":
                _flush_directory(self.path)
        except OSError as exc:
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
        return [path for path in self.files(SUFFIX) if path.name not in self._foreign and not was_inherited(path)]

    def adopt(self, path: Path) -> Journal | None:
        """Return the journal if its process has ended and nobody else has adopted it; else None.

        What is damaged is set aside.
        """
        if was_inherited(path):  # also one that was listed before this process was forked
            return None
        try:
            lock = FileLock.take(path.with_suffix(LOCK_SUFFIX))
        except OSError as exc:
            self._tell_unusable(path, str(exc.strerror))
            return None
        if lock is None:
            return None
        try:
            if not path.exists():  # its process has removed it meanwhile
                lock.release(remove=True)
                return None
            return self._opened(path, lock)
        except OSError as exc:
            self._tell_unusable(path, str(exc.strerror))
        except OutboxStorageError as exc:
            self._tell_unusable(path, str(exc))
        lock.release(remove=False)
        return None

    def _opened(self, path: Path, lock: FileLock) -> Journal | None:
        try:
            journal = Journal.open(path, lock, synchronous=self._synchronous)
        except OutboxDamagedError as exc:
            rename_files(path, path.with_suffix(DAMAGED_SUFFIX))
            self._tell_damaged(path, exc, recovered=0)
            lock.release(remove=True)
            return None
        if journal is None:
            return None
        if journal.exchange != self.exchange:
            self._foreign.add(path.name)
            journal.close()
            return None
        return journal

    def set_aside(self, journal: Journal, why: Exception) -> Journal | None:
        """Rename a journal that cannot be read to its end; return what could be read as a journal in its place."""
        recovered, count = None, 0
        try:
            recovered, count = copy_readable(journal, lambda: self._make(_sequence(journal.path), journal.exchange))
        except (OutboxStorageError, OSError) as exc:
            logger.error("%s: its events could not be copied: %s", journal.path, exc)
        journal.close_as(journal.path.with_suffix(DAMAGED_SUFFIX))
        self._tell_damaged(journal.path, why, recovered=count)
        return recovered

    def _tell_unusable(self, path: Path, why: str) -> None:
        if path.name not in self._told:  # it is looked at again and again, and may become usable
            self._told.add(path.name)
            logger.error("outbox file %s cannot be used, and stays: %s", path, why)

    def _tell_damaged(self, path: Path, why: Exception, *, recovered: int) -> None:
        self.damaged_files += 1
        logger.error(
            "outbox file %s is damaged and set aside as %s; %d of its events could be read and will be sent: %s",
            path, path.with_suffix(DAMAGED_SUFFIX).name, recovered, why,
        )  # fmt: skip


def _sequence(path: Path) -> int:
    number = path.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
