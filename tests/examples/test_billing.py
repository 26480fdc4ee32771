"""The billing example: what is charged, in both databases, in any order, once."""

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp import Discard, Event, EventBus, RetryLater, Subscribers
from bus_amqp.cli.demo.cloud import START, Cloud
from bus_amqp.cli.demo.truth import hours_used
from docs.examples import billing
from docs.examples.billing import METERS, Books, Charge, UnbillableError
from tests.examples.usage_events import a_usage, at

OpenBooks = Callable[[], Books]
MEMORY = "sqlite://"
METERED = [event_type for start, stop, _ in METERS.values() for event_type in (start, stop)]


@pytest.fixture
def open_books(database_url: str) -> Iterator[OpenBooks]:
    """Open the books of one process of several."""
    opened: list[Books] = []

    def open_them() -> Books:
        opened.append(Books(database_url))
        return opened[-1]

    yield open_them
    for books in opened:
        books.close()


def hours(books: Books, since: float = -24, until: float = 24) -> dict[tuple[str, str], float]:
    return {(one.account, one.meter): one.hours for one in books.charges(at(since), at(until))}


def charged_in_memory(events: Sequence[Event], since: datetime, until: datetime) -> list[Charge]:
    books = Books(MEMORY)
    try:
        for event in events:
            books.on_event(event)
        return books.charges(since, until)
    finally:
        books.close()


def test_a_start_and_a_stop_are_hours_and_money_of_the_account(open_books: OpenBooks) -> None:
    """What somebody pays for; what still runs is charged to the end of the time that was asked for."""
    books = open_books()
    for event in (a_usage("VM.START", 0), a_usage("VM.STOP", 1.5), a_usage("VOLUME.CREATE", 14, account="fjord")):
        books.on_event(event)

    assert books.charges(at(-24), at(24)) == [
        Charge("acme", "vm running", 1.5, Decimal("0.12")),
        Charge("fjord", "volume", 10.0, Decimal("0.02")),
    ]


def test_a_bill_charges_what_lies_within_its_time(open_books: OpenBooks) -> None:
    """A machine that ran over the end of a month is on two bills, and on none twice."""
    books = open_books()
    for event_type, hour in (("VM.START", 0), ("VM.STOP", 10)):
        books.on_event(a_usage(event_type, hour))

    parts = [hours(books, since, until) for since, until in ((-5, 4), (4, 7), (7, 20), (10, 20), (-9, 0))]

    assert [part.get(("acme", "vm running"), 0) for part in parts] == [4, 3, 3, 0, 0]


def test_a_repeated_start_is_the_same_stretch_and_a_lone_stop_is_none(open_books: OpenBooks) -> None:
    """A lost stop must not charge the time between two runs twice, nor a stop without a start anything."""
    books = open_books()
    for event_type, hour in (("VM.STOP", 0), ("VM.START", 1), ("VM.START", 2), ("VM.STOP", 4), ("VM.STOP", 9)):
        books.on_event(a_usage(event_type, hour))

    assert hours(books) == {("acme", "vm running"): 3}


def test_a_resource_that_changes_hands_is_paid_for_by_each_in_turn(open_books: OpenBooks) -> None:
    """Whoever has it pays for it; nobody pays for the other's time."""
    books = open_books()
    for event in (a_usage("VM.START", 0), a_usage("VM.START", 2, account="fjord"), a_usage("VM.STOP", 3)):
        books.on_event(event)

    assert hours(books) == {("acme", "vm running"): 2, ("fjord", "vm running"): 1}


def test_many_processes_store_every_event_once(open_books: OpenBooks) -> None:
    """Members of the group write at the same time and meet the same event twice: the bill knows neither."""
    events = [event for event in islice(Cloud(3).events(), 1500) if event.event_type in METERED]
    usage = [event for event in events if event.event_category == "UsageEvent"]
    processes = [open_books() for _ in range(3)]

    def work(number: int) -> None:
        mine = random.Random(number).sample(usage, len(usage))
        for event in mine[: len(usage) * 2 // 3] if number else mine:
            processes[number].on_event(event)

    with ThreadPoolExecutor(3) as workers:
        list(workers.map(work, range(3)))

    day = START, START + timedelta(days=1)
    bills = [books.charges(*day) for books in processes]
    assert bills[0] == bills[1] == bills[2] == charged_in_memory(usage, *day)


def test_processes_that_begin_at_once_make_one_table(open_books: OpenBooks) -> None:
    """A service manager starts all members in the same moment; none may fail over the table of another."""
    with ThreadPoolExecutor(6) as starters:
        assert len(list(starters.map(lambda _: open_books(), range(6)))) == 6


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """Draw what happened, and how it arrives: in any order, some of it again and again."""
    resources, accounts = st.sampled_from(["vm-1", "vm-2"]), st.sampled_from(["acme", "fjord"])
    told = draw(st.lists(st.tuples(st.sampled_from(METERED), st.integers(0, 12), resources, accounts), max_size=12))
    events = [a_usage(kind, hour, resource=which, account=who) for kind, hour, which, who in told]
    again = draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    return events, draw(st.permutations(events + again))


@settings(max_examples=60, deadline=None)
@given(arrivals())
def test_any_order_of_arrival_with_any_duplicates_gives_the_same_bill(drawn: tuple[list[Event], list[Event]]) -> None:
    """At least once, shared by processes: neither may show on a bill, also for what happened at the same moment."""
    happened, arrived = drawn

    assert charged_in_memory(arrived, at(2), at(10)) == charged_in_memory(happened, at(2), at(10))


def test_the_bill_is_what_the_cloud_itself_counted() -> None:
    """Worked out in SQL from stored events, it must come to what a plain count of the whole stream comes to."""
    cloud = Cloud(5)
    stream = list(islice(cloud.events(), 4000))
    charged_for = [one for one in stream if one.event_category == "UsageEvent" and one.event_type in METERED]

    charges = charged_in_memory(charged_for, START, cloud.now)

    assert sum(one.hours for one in charges) == pytest.approx(hours_used(stream, cloud.now))
    assert {one.meter for one in charges} == set(METERS)


@pytest.mark.parametrize(
    ("event", "fault", "error"),
    [
        (a_usage("VM.REBOOT", 0), r"nothing is charged for VM\.REBOOT", Discard),
        (a_usage("VM.START", 0, account=""), "without details.account", UnbillableError),
        (a_usage("VM.START", 0, resource=""), "without a resource", UnbillableError),
        (a_usage("VM.START", 0).model_copy(update={"details": {"account": 7}}), "details.account", UnbillableError),
        (
            a_usage("VM.START", 0).model_copy(update={"details": {"account": "a", "more": {"usedAt": "2026-01-01"}}}),
            "has no zone",
            UnbillableError,
        ),
    ],
)
def test_what_cannot_be_charged_is_refused(event: Event, fault: str, error: type[Exception]) -> None:
    """What is free is discarded with a reason; what nobody would pay for goes to a person instead of to nobody."""
    books = Books(MEMORY)
    with pytest.raises(error, match=fault):
        books.on_event(event)
    books.close()


def test_a_database_that_is_away_costs_no_event(tmp_path: Path) -> None:
    """Down for longer than the retries last, it would turn good events into dead letters: they wait instead."""
    file = tmp_path / "billing.sqlite"
    books = Books(f"sqlite:///{file}")
    with sqlite3.connect(file) as other:
        other.execute("DROP TABLE usage_event")
    other.close()

    with pytest.raises(RetryLater):
        books.on_event(a_usage("VM.START", 0))
    books.close()


def test_another_database_is_refused_by_name() -> None:
    """Its INSERT may have no way to pass over what is there, and duplicates would be charged."""
    with pytest.raises(ValueError, match="mysql: the books are kept in SQLite or PostgreSQL"):
        Books("mysql://somewhere/billing")


def test_the_report_is_a_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the accountant runs."""
    monkeypatch.setattr(billing, "DATABASE_URL", f"sqlite:///{tmp_path / 'billing.sqlite'}")
    books = Books(billing.DATABASE_URL)
    for event in (a_usage("VM.START", 0), a_usage("VM.STOP", 10)):
        books.on_event(event)
    books.close()

    billing.main(["report", "--since", "2026-01-01", "--until", "2026-02-01T00:00:00+00:00"])

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["acme", "vm", "running", "10.00", "h", "0.80"],
        ["all", "10.00", "h", "0.80"],
    ]


def test_the_subscription_closes_its_database(tmp_path: Path) -> None:
    """A consumer process must end without a connection that PostgreSQL keeps for it."""
    bus: EventBus = object()  # type: ignore[assignment]  # it is not used

    with billing.subscribers(bus, f"sqlite:///{tmp_path / 'billing.sqlite'}") as declared:
        assert isinstance(declared, Subscribers)
        (one,) = declared
        books = one.subscriber
        assert isinstance(books, Books)
        books.on_event(a_usage("VM.START", 0))
        assert books._engine.pool.checkedin() == 1

    assert books._engine.pool.checkedin() == 0
