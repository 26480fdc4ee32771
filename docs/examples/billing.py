"""Usage and billing: store what was used in a SQL database, and work out who pays what for it.

    bus-amqp run docs.examples.billing:subscribers       # as many processes as you like
    python -m docs.examples.billing report --since 2026-11-01 --until 2026-12-01

The database is ``billing.sqlite`` here, or what BILLING_DATABASE_URL says, such as
``postgresql+psycopg://billing@db.example/billing``.  Needs SQLAlchemy: ``pip install "bus-amqp[examples]"``.

Why the bill is right whatever happens on the way.  The bus delivers at least once: an event is stored under its id, so
one that comes twice counts once.  Processes share the events, so they are stored in any order: nothing is worked out
when they come, and all of it, from all that is stored, when somebody asks.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.schema import CreateTable

from bus_amqp import Discard, Event, EventBus, EventTopic, RetryLater, RetryPolicy, Subscribers

DATABASE_URL = os.environ.get("BILLING_DATABASE_URL", "sqlite:///billing.sqlite")
DATABASE_DOWN_SECONDS = 30
SQLITE_WAIT_SECONDS = 30

# What is measured -> the type that begins it, the type that ends it, the price of an hour.
METERS = {
    "vm running": ("VM.START", "VM.STOP", Decimal("0.08")),
    "volume": ("VOLUME.CREATE", "VOLUME.DELETE", Decimal("0.002")),
    "snapshot": ("SNAPSHOT.CREATE", "SNAPSHOT.DELETE", Decimal("0.0005")),
}
_METER_OF = {
    event_type: (meter, is_start)
    for meter, (start, stop, _) in METERS.items()
    for event_type, is_start in ((start, True), (stop, False))
}

usage = sql.Table(
    "usage_event",
    sql.MetaData(),
    sql.Column("event_id", sql.Uuid, primary_key=True),
    sql.Column("meter", sql.String(32), nullable=False),
    sql.Column("resource", sql.String(255), nullable=False),
    sql.Column("account", sql.String(255), nullable=False),
    sql.Column("at_utc", sql.DateTime, nullable=False),  # without a zone: SQLite has none
    sql.Column("is_start", sql.Boolean, nullable=False),
)


class UnbillableError(Exception):
    """The event does not say who pays, or for what: it goes to the dead letters, for a person to look at."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of a bill.  What still runs is charged to the end of the time that was asked for."""

    account: str
    meter: str
    hours: float
    amount: Decimal


class Books:
    """The usage events in the database.  Safe from any thread, and shared with other processes."""

    def __init__(self, url: str) -> None:
        match backend := sql.make_url(url).get_backend_name():
            case "sqlite":  # one writer at a time; the others wait for up to this
                self._engine = sql.create_engine(url, connect_args={"timeout": SQLITE_WAIT_SECONDS})
                sql.event.listen(self._engine, "connect", _prepare_sqlite)
                self._insert: sql.Insert = sqlite.insert(usage).on_conflict_do_nothing()
            case "postgresql":
                self._engine = sql.create_engine(url, pool_pre_ping=True)
                self._insert = postgresql.insert(usage).on_conflict_do_nothing()
            case _:
                raise ValueError(f"{backend}: the books are kept in SQLite or PostgreSQL")
        _make_table(self._engine)

    def on_event(self, event: Event) -> None:
        """Store one usage event; the bus acknowledges it once this has returned."""
        if event.event_type not in _METER_OF:
            raise Discard(f"nothing is charged for {event.event_type}")
        meter, is_start = _METER_OF[event.event_type]
        account = event.details.get("account")
        if not event.resource_uuid or not isinstance(account, str) or not account:
            raise UnbillableError(f"{event.event_type} without a resource or without details.account")
        row = {
            "event_id": event.event_id,
            "meter": meter,
            "resource": event.resource_uuid,
            "account": account,
            "at_utc": _moment_of(event).replace(tzinfo=None),
            "is_start": is_start,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(self._insert, row)
        except OperationalError as exc:  # the database is away: no fault of the event, so it waits as long as it takes
            raise RetryLater(DATABASE_DOWN_SECONDS) from exc

    def charges(self, since: datetime, until: datetime) -> list[Charge]:
        """Return what each account used between two moments (with a zone), and what it costs."""
        begin, end = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (since, until))
        used: defaultdict[tuple[str, str], timedelta] = defaultdict(timedelta)
        with self._engine.connect() as connection:
            for account, meter, started, stopped in connection.execute(_stretches(begin, end)):
                within = min(stopped or end, end) - max(started, begin)
                used[account, meter] += max(within, timedelta())
        return [_charge(account, meter, time) for (account, meter), time in sorted(used.items()) if time]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _stretches(begin: datetime, end: datetime) -> sql.Select[Any]:
    """Return the query for the stretches of usage that touch the time: account, meter, from, to (null: it goes on).

    A start begins a stretch that the resource's next event ends, be it a stop or another start: a lost stop charges
    nobody twice, and a resource that changes hands is paid for by each owner in turn.
    """
    # The id only makes the order of what happened at one moment the same in every database.
    until = sql.func.lead(usage.c.at_utc, type_=sql.DateTime).over(
        partition_by=(usage.c.meter, usage.c.resource), order_by=(usage.c.at_utc, usage.c.is_start, usage.c.event_id)
    )
    stretch = sql.select(usage, until.label("until")).subquery()
    return sql.select(stretch.c.account, stretch.c.meter, stretch.c.at_utc, stretch.c.until).where(
        stretch.c.is_start,
        stretch.c.at_utc < end,
        sql.or_(stretch.c.until.is_(None), stretch.c.until > begin),
    )


def _charge(account: str, meter: str, time: timedelta) -> Charge:
    hours = time / timedelta(hours=1)
    _, _, price = METERS[meter]
    return Charge(account, meter, hours, (price * Decimal(hours)).quantize(Decimal("0.01")))


def _moment_of(event: Event) -> datetime:
    # The clock of what is charged for, where its source tells one; else the moment at which it was told.
    more = event.details.get("more")
    used_at = more.get("usedAt") if isinstance(more, dict) else None
    moment = datetime.fromisoformat(used_at) if isinstance(used_at, str) else event.event_time
    if moment.tzinfo is None:
        raise UnbillableError(f"usedAt {used_at} has no zone")
    return moment.astimezone(UTC)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
    connection.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing


def _make_table(engine: sql.Engine) -> None:
    make = CreateTable(usage, if_not_exists=True)
    try:
        with engine.begin() as connection:
            connection.execute(make)
    except (IntegrityError, ProgrammingError):
        # Another process makes it at the same moment, which PostgreSQL's IF NOT EXISTS does not see: it is there now.
        with engine.begin() as connection:
            connection.execute(make)


@contextmanager
def subscribers(bus: EventBus, database_url: str = DATABASE_URL) -> Iterator[Subscribers]:
    """Subscribe to usage; close the database when the process ends."""
    books = Books(database_url)
    declared = Subscribers()
    retry = RetryPolicy(no_retry_on=(UnbillableError, ValueError))  # it will not say it the next time either
    declared.on(EventTopic(event_category="UsageEvent"), group="billing", workers=4, retry=retry)(books)
    try:
        yield declared
    finally:
        books.close()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the bill of a time."""
    parser = argparse.ArgumentParser(prog="python -m docs.examples.billing")
    report = parser.add_subparsers(required=True).add_parser("report", help="what each account used, and its price")
    report.add_argument("--since", type=_moment, default=datetime(1970, 1, 1, tzinfo=UTC), help="such as 2026-11-01")
    report.add_argument("--until", type=_moment, default=datetime.now(UTC), help="default: now")
    given = parser.parse_args(arguments)
    books = Books(DATABASE_URL)
    try:
        charges = books.charges(given.since, given.until)
    finally:
        books.close()
    for charge in charges:
        print(f"{charge.account:<20} {charge.meter:<12} {charge.hours:>12,.2f} h {charge.amount:>12,.2f}")
    print(f"{'all':<20} {'':<12} {sum(charge.hours for charge in charges):>12,.2f} h", end="")
    print(f" {sum((charge.amount for charge in charges), Decimal()):>12,.2f}")


if __name__ == "__main__":
    main()
