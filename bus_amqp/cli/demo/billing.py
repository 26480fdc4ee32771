"""Usage and billing: pair starts and stops into hours of usage per account.  An ordinary subscriber: copy it.

    bus-amqp run bus_amqp.cli.demo.billing:subscribers

Start as many of these processes as you like: they share the group's events and one SQLite file.  An event is stored
under its id, so one that comes twice counts once; hours are worked out when somebody asks, from all that is stored,
so the order of arrival does not matter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

from bus_amqp import Discard, Event, EventBus, EventTopic, Subscribers

FILE = Path("billing.sqlite")

# What is measured -> the type that begins it and the type that ends it.
METERS = {
    "vm running": ("VM.START", "VM.STOP"),
    "volume": ("VOLUME.CREATE", "VOLUME.DELETE"),
    "snapshot": ("SNAPSHOT.CREATE", "SNAPSHOT.DELETE"),
}
_METER_OF = {
    event_type: (meter, is_start)
    for meter, (start, stop) in METERS.items()
    for event_type, is_start in ((start, True), (stop, False))
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS usage (
    event_id TEXT PRIMARY KEY, meter TEXT, resource TEXT, account TEXT, at REAL, is_start INTEGER
) WITHOUT ROWID
"""
# Only the turns count, on to off and off to on; a start that follows a start is still the same stretch of usage.
_HOURS = """
WITH told AS (
    SELECT *, lag(is_start) OVER resource AS before FROM usage
    WINDOW resource AS (PARTITION BY meter, resource ORDER BY at, is_start, event_id)
), turns AS (
    SELECT *, lead(at) OVER resource AS until FROM told WHERE is_start IS NOT before
    WINDOW resource AS (PARTITION BY meter, resource ORDER BY at, is_start, event_id)
)
SELECT account, meter, sum(until - at) / 3600 FROM turns
WHERE is_start AND until IS NOT NULL GROUP BY account, meter
"""


class UsageLedger:
    """Usage events in a SQLite file that several processes share."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()  # one connection, any worker thread
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        # Many readers and one writer at a time; what is committed survives a killed process.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)

    def on_event(self, event: Event) -> None:
        """Store one usage event; the bus acknowledges it once this has returned."""
        if event.event_type not in _METER_OF:
            raise Discard(f"nothing is charged for {event.event_type}")
        meter, is_start = _METER_OF[event.event_type]
        account = str(event.details.get("account", "unknown"))
        row = (str(event.event_id), meter, event.resource_uuid, account, _time_of_usage(event), is_start)
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO usage VALUES (?, ?, ?, ?, ?, ?)", row)

    def hours(self) -> dict[tuple[str, str], float]:
        """Return the hours used so far, per account and meter.  What still runs is not in it."""
        with self._lock:
            return {(account, meter): hours for account, meter, hours in self._database.execute(_HOURS)}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()


def _time_of_usage(event: Event) -> float:
    # The management server's own clock, where it tells; the demonstration's cloud lives faster than we do.
    told = event.details.get("eventDateTime")
    return (datetime.fromisoformat(told) if isinstance(told, str) else event.event_time).timestamp()


@contextmanager
def subscribers(bus: EventBus) -> Iterator[Subscribers]:
    """Subscribe to usage; close the file when the process ends."""
    ledger = UsageLedger(FILE)
    declared = Subscribers()
    declared.on(EventTopic(event_category="UsageEvent"), group="billing")(ledger)
    try:
        yield declared
    finally:
        ledger.close()
