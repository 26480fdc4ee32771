"""``Journal``: the events of one outbox in one SQLite file, held under a lock for life.

Pure storage: it knows numbers and messages, no receipts and no broker.  An append is on disk when it returns: in the
system's hands with ``synchronous=normal`` (survives the process), on the platter with ``full`` (survives a power cut).
A file whose lock is free is an orphan: its process has ended and somebody else may adopt it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.sqlite_file import SqliteFile
from bus_amqp.wire.message import Message

SCHEMA_VERSION = 1
APPLICATION_ID = 0x62757361  # "busa": says in the file's header whose it is
SUFFIX, LOCK_SUFFIX = ".outbox", ".lock"
CHECKPOINT_ROWS = 2_000  # about a megabyte in the write-ahead log

_COLUMNS = (
    "number, accepted_at, routing_key, body, message_id, timestamp, type, app_id, content_type, headers, mandatory,"
    " reason"
)
_SCHEMA = (
    "CREATE TABLE outbox (exchange TEXT NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY, accepted_at REAL NOT NULL, routing_key TEXT NOT NULL,"
    " body BLOB NOT NULL, message_id TEXT NOT NULL, timestamp INTEGER NOT NULL, type TEXT NOT NULL,"
    " app_id TEXT NOT NULL, content_type TEXT NOT NULL, headers TEXT, mandatory INTEGER NOT NULL, reason TEXT)",
)
_INSERT = f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SELECT = f"SELECT {_COLUMNS} FROM events"


class StoredEvent(NamedTuple):
    """One row.  ``accepted_at``: seconds since the epoch; ``reason``: why it was moved aside, if it was."""

    number: int
    accepted_at: float
    message: Message
    reason: str | None = None


class Journal:
    """Append at the end, read and delete from the front.  Every method may be called from any thread."""

    def __init__(self, file: SqliteFile, lock: FileLock, exchange: str) -> None:
        self._file = file
        self._lock = lock
        self.exchange = exchange
        self._rows_since_checkpoint = 0  # guarded by the file's lock

    def __repr__(self) -> str:
        return f"<Journal {self._file.path.name}>"

    @classmethod
    def create(cls, path: Path, lock: FileLock, exchange: str, *, synchronous: str = "normal") -> Journal:
        """Make a new file.  Raises ``OutboxStorageError``; then nothing of it stays, and the lock is free."""
        with ExitStack() as undo:
            undo.callback(lock.release, remove=True)
            undo.callback(remove_files, path)
            file = undo.enter_context(closing(SqliteFile(path, synchronous=synchronous)))
            with file.transaction() as writer:
                for statement in _SCHEMA:
                    writer.execute(statement)
                writer.execute("INSERT INTO outbox VALUES (?)", (exchange,))
                writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                writer.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            undo.pop_all()
        return cls(file, lock, exchange)

    @classmethod
    def open(cls, path: Path, lock: FileLock, *, synchronous: str = "normal") -> Journal | None:
        """Open a file that is there.  None, and the file is gone: its process ended while it was making it.

        Raises ``OutboxDamagedError``, ``OutboxStorageError``; the lock stays taken then.
        """
        with ExitStack() as undo:
            file = undo.enter_context(closing(SqliteFile(path, synchronous=synchronous)))
            exchange = _checked_exchange(file)
            if exchange is not None:
                undo.pop_all()
                return cls(file, lock, exchange)
            remove_files(path)
        lock.release(remove=True)
        return None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._file.path

    @property
    def is_abandoned(self) -> bool:
        """Whether this process is a fork of the one that opened it, and must leave it alone."""
        return self._file.is_abandoned

    def append(self, events: Sequence[tuple[int, Message]], accepted_at: float, *, reasons: Sequence[str] = ()) -> None:
        """Store all of them or none.  Numbers count up.  Raises ``OutboxStorageError``."""
        if len(events) == 1 and not reasons:
            self._append_one(_row(*events[0], accepted_at, None))
            return
        rows = [
            _row(number, message, accepted_at, reason) for (number, message), reason in zip_longest(events, reasons)
        ]
        with self._file.transaction() as writer:
            writer.executemany(_INSERT, rows)
        self._rows_since_checkpoint += len(rows)

    def _append_one(self, row: tuple[object, ...]) -> None:
        """Store one: a statement by itself is a transaction, in one call instead of three.  The hot path."""
        with self._file.lock:
            try:
                self._file.writer.execute(_INSERT, row)
            except sqlite3.Error as exc:
                raise self._file.translated_error(exc) from exc
            self._rows_since_checkpoint += 1

    def read(self, after: int, *, max_events: int, max_bytes: int) -> list[StoredEvent]:
        """Return the oldest events behind number ``after``: at least one if there is any, and no more than fit.

        Raises ``OutboxDamagedError`` for what is no event.
        """
        events: list[StoredEvent] = []
        size_bytes = 0
        for event in self._select("WHERE number > ? ORDER BY number LIMIT ?", after, max_events):
            size_bytes += len(event.message.body)
            if events and size_bytes > max_bytes:
                break
            events.append(event)
        return events

    def read_backwards(self, before: int) -> Iterator[StoredEvent]:
        """Yield the newest events first, down to number ``before``: for a file whose front cannot be read."""
        return iter(self._select("WHERE number > ? ORDER BY number DESC LIMIT ?", before, -1))

    def _select(self, which: str, *values: int) -> Iterator[StoredEvent]:
        with self._file.lock, self._file.translated():
            cursor = self._file.writer.execute(f"{_SELECT} {which}", values)
            try:
                for row in cursor:
                    yield self._event(row)
            finally:
                cursor.close()  # a statement half-read would keep the log from starting again

    def _event(self, row: tuple[object, ...]) -> StoredEvent:
        number, accepted_at, key, body, message_id, timestamp, kind, app_id, content_type, headers, mandatory, why = row
        try:
            given = json.loads(headers) if isinstance(headers, str) else None
        except ValueError as exc:
            raise OutboxDamagedError(f"{self.path}: the headers of event {number} are no JSON") from exc
        match number, accepted_at, key, body, message_id, timestamp, kind, app_id, content_type:
            case int(), float(), str(), bytes(), str(), int(), str(), str(), str():
                message = Message(
                    key, body, message_id, timestamp, kind, app_id,
                    content_type=content_type, headers=given, mandatory=bool(mandatory),
                )  # fmt: skip
                return StoredEvent(number, accepted_at, message, str(why) if why is not None else None)
        raise OutboxDamagedError(f"{self.path}: row {number} is no event")

    def copy(self, events: Sequence[StoredEvent]) -> None:
        """Store rows of another journal as they are: all or none.  Raises ``OutboxStorageError``."""
        rows = [_row(event.number, event.message, event.accepted_at, event.reason) for event in events]
        with self._file.transaction() as writer:
            writer.executemany(_INSERT, rows)

    def delete_through(self, number: int) -> None:
        """Forget the events up to that number.  Raises ``OutboxStorageError``."""
        with self._file.transaction() as writer:
            self._rows_since_checkpoint += max(
                0, writer.execute("DELETE FROM events WHERE number <= ?", (number,)).rowcount
            )

    def delete(self, numbers: Sequence[int]) -> None:
        """Forget these events."""
        with self._file.transaction() as writer:
            writer.executemany("DELETE FROM events WHERE number = ?", [(number,) for number in numbers])

    def renew(self, accepted_at: float) -> None:
        """Have all events count as accepted now, for no reason but to be sent."""
        with self._file.transaction() as writer:
            writer.execute("UPDATE events SET accepted_at = ?, reason = NULL", (accepted_at,))

    def count(self) -> tuple[int, int]:
        """Return how many events there are and their bytes."""
        with self._file.lock, self._file.translated():
            [(events, size_bytes)] = self._file.writer.execute(
                "SELECT count(*), coalesce(sum(length(body)), 0) FROM events"
            ).fetchall()
        return events, size_bytes

    def is_larger_than(self, size_bytes: int) -> bool:
        """Return whether file and write-ahead log take more room than that."""
        return sum(part.stat().st_size for part in _parts(self._file.path)[:2] if part.exists()) > size_bytes

    def bounds(self) -> tuple[int, int]:
        """Return the numbers of the oldest and the newest event; (1, 0) if there is none."""
        with self._file.lock, self._file.translated():
            [(first, last)] = self._file.writer.execute(
                "SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM events"
            ).fetchall()
        return int(first), int(last)

    def checkpoint(self) -> None:
        """Bring the write-ahead log into the file.  Raises ``OutboxStorageError``."""
        self._rows_since_checkpoint = 0
        self._file.checkpoint()

    def checkpoint_if_due(self) -> None:
        """Keep the write-ahead log short.  Publisher thread; holds up callers for the smaller part of it only."""
        if self._rows_since_checkpoint >= CHECKPOINT_ROWS:
            self.checkpoint()

    def close(self, *, remove: bool = False) -> None:
        """Let go of the file: an orphan from now on, or gone with ``remove``.

        Raises ``OutboxStorageError`` if it cannot be removed; it is still held then, and this may be tried again.
        """
        if self._file.is_abandoned:
            return
        if remove:
            remove_files(self._file.path)  # first: closing would move the log into a file that nobody wants
        try:
            self._file.close()
        finally:
            self._lock.release(remove=remove)

    def close_as(self, path: Path) -> None:
        """Let go of the file under another name.  Raises ``OutboxStorageError``; then it keeps the old one."""
        is_renamed = False
        try:
            self._file.close()  # brings the log into the file, where it can
            rename_files(self._file.path, path)
            is_renamed = True
        finally:
            self._lock.release(remove=is_renamed)


def remove_files(path: Path) -> None:
    """Remove a database and what SQLite keeps beside it.  Raises ``OutboxStorageError``; then it is as it was."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise OutboxStorageError(f"{path} cannot be removed: {exc.strerror}") from exc
    for part in _parts(path)[1:]:
        with suppress(OSError):  # without the database they mean nothing
            part.unlink(missing_ok=True)


def rename_files(path: Path, new: Path) -> None:
    """Give a database, and what SQLite keeps beside it, another name.  Raises ``OutboxStorageError``."""
    try:
        for part, renamed in zip(_parts(path), _parts(new), strict=True):
            if part.exists():
                part.rename(renamed)
    except OSError as exc:
        raise OutboxStorageError(f"{path} cannot be renamed to {new.name}: {exc.strerror}") from exc


def _parts(path: Path) -> list[Path]:
    return [path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-journal")]


def _checked_exchange(file: SqliteFile) -> str | None:
    """Return the exchange of the events; None if the file is blank.  Raises ``OutboxDamagedError``."""
    with file.lock, file.translated():
        [(owner,)] = file.writer.execute("PRAGMA application_id").fetchall()
        [(version,)] = file.writer.execute("PRAGMA user_version").fetchall()
        if (owner, version) == (APPLICATION_ID, SCHEMA_VERSION):
            found = file.writer.execute("SELECT exchange FROM outbox").fetchall()
            if len(found) == 1 and isinstance(found[0][0], str):
                return str(found[0][0])
        elif not file.writer.execute("SELECT 1 FROM sqlite_master").fetchall():
            return None
    if owner == APPLICATION_ID:
        raise OutboxDamagedError(f"{file.path}: schema version {version}, this release reads {SCHEMA_VERSION}")
    raise OutboxDamagedError(f"{file.path}: no outbox of bus_amqp (application id {owner:#x})")


def _row(number: int, message: Message, accepted_at: float, reason: str | None) -> tuple[object, ...]:
    headers = None if message.headers is None else json.dumps(dict(message.headers))
    return (
        number, accepted_at, message.routing_key, message.body, message.message_id, message.timestamp, message.type,
        message.app_id, message.content_type, headers, message.mandatory, reason,
    )  # fmt: skip
