"""``History``: every attempt to deliver, in one SQLite file that several processes and the command line share.

Bounded for each webhook by itself: a busy one costs another none of its rows.  The body is kept once for all attempts
of an event, as long as one of them is; it is what a redelivery sends.  WAL, so that who reads holds up nobody who
writes; readable for its owner only, for it holds what was sent.  A local disk, as WAL wants it.

Safe from any thread: one connection, under a lock, for one short transaction at a time.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bus_amqp.extension.webhook.errors import HistoryError
from bus_amqp.extension.webhook.record import Delivery, Kind

_BUSY_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_LARGEST_NUMBER = 2**63 - 1
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    attempted_at REAL NOT NULL,
    duration_seconds REAL NOT NULL,
    url TEXT NOT NULL,
    address TEXT,
    request_headers TEXT NOT NULL,
    status INTEGER,
    excerpt TEXT NOT NULL,
    error TEXT,
    is_success INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS delivery_of_webhook ON delivery (webhook, id);
CREATE INDEX IF NOT EXISTS delivery_of_event ON delivery (webhook, event_id);
CREATE TABLE IF NOT EXISTS body (
    webhook TEXT NOT NULL,
    event_id TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (webhook, event_id)
) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_COLUMNS = (
    "webhook, kind, event_id, event_type, attempted_at, duration_seconds, url, address, request_headers, status, "
    "excerpt, error, is_success"
)


class History:
    """Raises ``HistoryError`` from every method."""

    def __init__(self, path: Path, *, deliveries: int) -> None:
        self.path = path
        self._deliveries = deliveries
        self._lock = threading.Lock()  # guards _connection; held for one transaction
        with self._translated():
            # Made by us and not by SQLite: whoever may read the folder must not read what was sent.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
            )
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def __repr__(self) -> str:
        return f"<History {self.path}>"

    def record(self, delivery: Delivery, body: bytes) -> int:
        """Write down an attempt, forget the oldest of this webhook that are too many, and return its number."""
        values = (
            delivery.webhook,
            delivery.kind.value,
            delivery.event_id,
            delivery.event_type,
            delivery.attempted_at.timestamp(),
            delivery.duration_seconds,
            delivery.url,
            delivery.address,
            json.dumps(dict(delivery.request_headers)),
            delivery.status,
            delivery.excerpt,
            delivery.error,
            delivery.is_success,
        )
        with self._transaction() as connection:
            cursor = connection.execute(
                f"INSERT INTO delivery ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values
            )
            connection.execute(
                "INSERT INTO body VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (delivery.webhook, delivery.event_id, body)
            )
            self._forget_surplus(connection, delivery.webhook)
            assert cursor.lastrowid is not None  # it was an INSERT
            return cursor.lastrowid

    def latest(
        self, *, webhook: str | None = None, event_id: str | None = None, failed_only: bool = False, limit: int = 50
    ) -> Sequence[Delivery]:
        """Return deliveries, the newest first."""
        conditions = {"webhook": webhook, "event_id": event_id, "is_success": False if failed_only else None}
        given = {name: value for name, value in conditions.items() if value is not None}
        where = " AND ".join(f"{name} = :{name}" for name in given) or "1"
        return self._read(f"WHERE {where} ORDER BY id DESC LIMIT :limit", {**given, "limit": limit})

    def delivery(self, number: int) -> Delivery | None:
        """Return one by its number; None: there is none, or it was forgotten."""
        if not 0 < number <= _LARGEST_NUMBER:  # SQLite's module raises OverflowError
            return None
        return next(iter(self._read("WHERE id = :id", {"id": number})), None)

    def body_of(self, delivery: Delivery) -> bytes | None:
        """Return what was sent."""
        with self._lock, self._translated():
            row = self._connection.execute(
                "SELECT body FROM body WHERE webhook = ? AND event_id = ?", (delivery.webhook, delivery.event_id)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def first_attempt_at(self, webhook: str, event_id: str) -> datetime | None:
        """Return when the event was first tried, as far as that is remembered."""
        with self._lock, self._translated():
            (moment,) = self._connection.execute(
                "SELECT min(attempted_at) FROM delivery WHERE webhook = ? AND event_id = ? AND kind = ?",
                (webhook, event_id, Kind.EVENT.value),
            ).fetchone()
        return None if moment is None else datetime.fromtimestamp(moment, UTC)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _open(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise HistoryError(f"{self.path} was made by another version of this program (format {version})")
        self._use_wal()
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            self._connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")

    def _use_wal(self) -> None:
        # SQLite does not wait for the lock that this takes: processes that start together would fail.
        deadline = datetime.now(UTC).timestamp() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL").fetchall()
                return
            except sqlite3.OperationalError as exc:
                is_busy = exc.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                if not is_busy or datetime.now(UTC).timestamp() > deadline:
                    raise
                threading.Event().wait(_LOOK_SECONDS)

    def _forget_surplus(self, connection: sqlite3.Connection, webhook: str) -> None:
        surplus = connection.execute(
            "DELETE FROM delivery WHERE webhook = :webhook AND id <= "
            "(SELECT id FROM delivery WHERE webhook = :webhook ORDER BY id DESC LIMIT 1 OFFSET :kept) "
            "RETURNING event_id",
            {"webhook": webhook, "kept": self._deliveries},
        ).fetchall()
        for (event_id,) in surplus:
            connection.execute(
                "DELETE FROM body WHERE webhook = :webhook AND event_id = :event_id AND NOT EXISTS "
                "(SELECT 1 FROM delivery WHERE webhook = :webhook AND event_id = :event_id)",
                {"webhook": webhook, "event_id": event_id},
            )

    def _read(self, rest: str, values: dict[str, object]) -> list[Delivery]:
        with self._lock, self._translated():
            rows = self._connection.execute(f"SELECT id, {_COLUMNS} FROM delivery {rest}", values).fetchall()
        return [_delivery_of(row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise HistoryError(f"delivery history {self.path}: {exc}") from exc


def _delivery_of(row: tuple[object, ...]) -> Delivery:
    (
        number, webhook, kind, event_id, event_type, attempted_at, duration, url, address, headers, status, excerpt,
        error, is_success,
    ) = row  # fmt: skip
    return Delivery(
        number=int(str(number)),
        webhook=str(webhook),
        kind=Kind(str(kind)),
        event_id=str(event_id),
        event_type=str(event_type),
        attempted_at=datetime.fromtimestamp(float(str(attempted_at)), UTC),
        duration_seconds=float(str(duration)),
        url=str(url),
        address=None if address is None else str(address),
        request_headers=json.loads(str(headers)),
        status=None if status is None else int(str(status)),
        excerpt=str(excerpt),
        error=None if error is None else str(error),
        is_success=bool(is_success),
    )
