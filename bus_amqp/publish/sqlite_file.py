"""``SqliteFile``: one open SQLite database: its connections, its errors as ours, and what a fork must not do to it.

Knows nothing of events.  A forked child must neither use nor close what its parent has open: closing can delete the
write-ahead log under the parent, and SQLite's own locks may have been held by a thread that the child does not have.
So a fork waits until no thread is inside SQLite, and the child leaks its copies for good.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
_gate = threading.Lock()  # guards _open; held while a file is opened or closed, and across a fork
_open: set[SqliteFile] = set()
_inherited: set[str] = set()  # paths that a parent had open: SQLite believes that this process holds their locks


class SqliteFile:
    """Two connections: ``writer`` under ``lock`` for everything, ``keeper`` for checkpoints, which last longer.

    The lock is there because callers and the publisher thread share the writer; a connection takes one at a time.
    """

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self.path = path
        self.lock = threading.Lock()  # guards writer; held for one transaction
        self._keeping = threading.Lock()  # guards _keeper; taken before ``lock`` where both are
        self.is_abandoned = False  # this process is a fork of the one that opened it
        with _gate, ExitStack() as undo:
            self.writer = undo.enter_context(closing(_connected(path)))
            self._keeper = undo.enter_context(closing(_connected(path)))
            with self.translated():
                # Checkpoints are the keeper's: one inside a commit would hold up a caller for two disk flushes.
                self.writer.execute("PRAGMA wal_autocheckpoint = 0")
                self.writer.execute("PRAGMA journal_mode = WAL")
                self.writer.execute(f"PRAGMA synchronous = {synchronous}")
                self._keeper.execute(f"PRAGMA synchronous = {synchronous}")
            undo.pop_all()
            _open.add(self)

    def __repr__(self) -> str:
        return f"<SqliteFile {self.path.name}{' of the parent' if self.is_abandoned else ''}>"

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise ``OutboxDamagedError`` or ``OutboxStorageError`` for what SQLite raises."""
        try:
            yield
        except sqlite3.Error as exc:
            raise self.translated_error(exc) from exc

    def translated_error(self, error: sqlite3.Error) -> OutboxStorageError:
        """Return what SQLite's error means to us."""
        code = getattr(error, "sqlite_errorcode", None)
        text = f"{self.path}: {error}"
        # Without a code: SQLite's Python module could not make text or a number of what it read.
        if (code is None or code & 0xFF in _DAMAGED) and not isinstance(error, sqlite3.ProgrammingError):
            return OutboxDamagedError(text)
        return OutboxStorageError(text)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, under the lock."""
        # SQLite's connection commits at the end, or rolls back what a full disk has not ended already.
        with self.lock, self.translated(), self.writer:
            self.writer.execute("BEGIN IMMEDIATE")
            yield self.writer

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, so that it is written from its beginning again.

        Most of it beside the writers; only the rest, which they added meanwhile, under the lock.
        """
        with self._keeping, self.translated():
            self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            with self.lock:
                self._keeper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close both connections; the last one brings the log into the file."""
        with _gate, self._keeping, self.lock:
            if not self.is_abandoned and self in _open:
                _open.discard(self)
                self._keeper.close()
                self.writer.close()

    def hold(self) -> None:
        """Before a fork: wait until no thread is inside."""
        self._keeping.acquire()
        self.lock.acquire()

    def let_go(self) -> None:
        """After a fork, in the parent, and in the child, whose only thread is the one that held."""
        self.lock.release()
        self._keeping.release()

    def abandon(self) -> None:
        """In the child: never touch the connections again, not even to free them."""
        self.is_abandoned = True
        for connection in (self.writer, self._keeper):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        _inherited.add(str(self.path))


def was_inherited(path: Path) -> bool:
    """Return whether a parent of this process had the file open when it forked: then only others may open it."""
    return str(path) in _inherited


def _connected(path: Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    except sqlite3.Error as exc:
        raise OutboxStorageError(f"{path}: {exc}") from exc


def _before_fork() -> None:
    _gate.acquire()
    for file in _open:
        file.hold()


def _after_fork_in_parent() -> None:
    for file in _open:
        file.let_go()
    _gate.release()


def _after_fork_in_child() -> None:
    for file in _open:
        file.abandon()
        file.let_go()
    _open.clear()
    _gate.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
