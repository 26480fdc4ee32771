"""The monitoring example: what it counts, and what it shows on a terminal and elsewhere."""

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from rich.console import Console

from bus_amqp import BusState, Event, EventBus, Gap, Health, PublisherHealth, SubscriptionHealth, connect
from docs.examples import monitoring
from docs.examples.monitoring import Monitor, Painter, line, table, told
from tests.promise.waiting import wait_until

MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_event(category: str, event_type: str = "A.B", **more: object) -> Event:
    return Event(event_category=category, event_type=event_type, event_source="test", event_time=MOMENT, **more)


def a_state(resource: str, state: str, key: str = "newState", **more: str) -> Event:
    details = {key: state, **more}
    return an_event("ResourceStateEvent", resource_type="Volume", resource_uuid=resource, details=details)


def a_health(*, is_consuming: bool = True, reason: str = "", **more: object) -> Health:
    state = BusState.OPEN if is_consuming else BusState.RECONNECTING
    one = SubscriptionHealth(uuid4(), "q", is_consuming=is_consuming, running=0, waiting=3, reason=reason, **more)
    return Health(state, "RabbitMQ 4.0.5", PublisherHealth(state, 0, 0), (one,))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_those_of_the_last_seconds() -> None:
    """A rate over the whole day would hide that nothing has come for an hour."""
    clock = Clock()
    monitor = Monitor(clock)
    for _ in range(20):
        monitor.on_event(an_event("UsageEvent"))
    clock.now += 4
    assert monitor.picture(a_health()).rates == {"UsageEvent": 5.0}

    rates = []
    for _ in range(4):
        clock.now += 4
        picture = monitor.picture(a_health())
        rates.append(picture.rates["UsageEvent"])

    assert rates[-1] == 0.0
    assert picture.totals == {"UsageEvent": 20}


def test_a_resource_counts_in_its_last_state() -> None:
    """How many machines run is the question; the wire names of the design document and of our sources both answer."""
    monitor = Monitor()
    for event in (a_state("v-1", "Creating"), a_state("v-2", "Ready", "new-state"), a_state("v-1", "Ready")):
        monitor.on_event(event)
    monitor.on_event(an_event("ResourceStateEvent", resource_type="Volume", resource_uuid="v-3"))
    monitor.on_event(a_state("v-1", "Resizing", phase="pre"))
    monitor.on_event(a_state("v-1", "Resizing", phase="failed"))

    assert monitor.picture(a_health()).states == {"Volume": {"Ready": 2}}


def test_an_alert_says_whether_it_is_over_and_how_often_it_came() -> None:
    """One line for a thousand repetitions, and an end that does not look like another beginning."""
    monitor = Monitor()
    monitor.on_event(an_event("AlertEvent", "ALERT.CPU", description="hot", details={"status": "Raised", "count": 40}))
    monitor.on_event(an_event("AlertEvent", "ALERT.CPU", description="cool", details={"status": "Cleared"}))

    assert [alert.description for alert in monitor.picture(a_health()).alerts] == ["hot (40 times)", "cleared: cool"]


def test_the_memory_of_a_monitor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs for months, and a cloud makes resources all the time."""
    monkeypatch.setattr(monitoring, "RESOURCES_KEPT", 2)
    monitor = Monitor()
    for number in range(5):
        monitor.on_event(a_state(f"v-{number}", f"State{number}"))
        monitor.on_event(an_event("AlertEvent", f"ALERT.{number}"))
        monitor.on_event(a_state("v-0", "Ready"))

    picture = monitor.picture(a_health())

    assert picture.states == {"Volume": {"Ready": 1, "State4": 1}}
    assert len(picture.alerts) == monitoring.ALERTS_SHOWN


def test_its_own_health_is_told() -> None:
    """A monitor that shows nothing must say whether nothing happens or nothing reaches it."""
    gap = Gap(datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 11, tzinfo=UTC))

    assert told(a_health()) == "bus open, broker RabbitMQ 4.0.5, consuming, 3 waiting"
    ill = told(a_health(is_consuming=False, reason="connection refused", gaps=(gap,), warnings=("backlog",)))
    assert ill == (
        "bus reconnecting, broker RabbitMQ 4.0.5, not consuming: connection refused, 3 waiting, "
        "missed what came from 10:00:00 to 11:00:00, backlog"
    )


def test_a_line_and_a_table_show_the_same() -> None:
    """Whoever reads the log of a service must not know less than who sits before the terminal."""
    clock = Clock()
    monitor = Monitor(clock)
    for state in "abcdefgh":
        monitor.on_event(a_state(f"v-{state}", state))
    monitor.on_event(an_event("AlertEvent", "ALERT.CPU", description="hot\x1b[2J\ncluster"))
    clock.now += 1
    picture = monitor.picture(a_health())
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(table(picture))
    drawn = console.export_text()

    assert line(picture) == (
        "AlertEvent 1/s ResourceStateEvent 8/s | Volume: 1 a, 1 b, 1 c, 1 d, 1 e, 1 f, 2 others | "
        "bus open, broker RabbitMQ 4.0.5, consuming, 3 waiting"
    )
    for part in ("ResourceStateEvent", "1 f, 2 others", "consuming, 3 waiting", "ALERT.CPU hot [2J cluster"):
        assert part in drawn
    assert "\x1b" not in drawn


def test_an_empty_table_says_so() -> None:
    """The first half second of every monitor."""
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(table(Monitor().picture(a_health())))

    assert "none" in console.export_text()
    assert line(Monitor().picture(a_health())).startswith("no event yet | bus open")


@pytest.fixture
def bus(exchange: str) -> Iterator[EventBus]:
    with connect(f"memory://{exchange}") as opened:
        yield opened


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Monitor:
    monkeypatch.setattr(monitoring, "LINE_SECONDS", 0.01)
    monkeypatch.setattr(monitoring, "DRAW_SECONDS", 0.01)
    return Monitor()


def test_elsewhere_than_on_a_terminal_it_writes_lines(monitor: Monitor, bus: EventBus) -> None:
    """In a file or a service's log, a table that is drawn anew is rubbish; every alert has a line, or is counted."""
    file = io.StringIO()
    for number in range(monitoring.ALERTS_SHOWN + 2):
        monitor.on_event(an_event("AlertEvent", f"ALERT.{number}"))

    with Painter(monitor, bus.health, Console(file=file, force_terminal=False)):
        wait_until(lambda: file.getvalue().count("| bus open") > 2, "lines come")

    lines = file.getvalue().splitlines()
    alerts = [text for text in lines if text.startswith("alert ")]
    assert [text.split()[2] for text in alerts] == [f"ALERT.{number}" for number in range(2, 7)]
    assert lines[monitoring.ALERTS_SHOWN] == "and 2 alerts before these"
    assert "\x1b" not in file.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_draws_and_the_log_goes_above(
    monitor: Monitor, bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record written through the table would tear it; a log file keeps its records; afterwards all is as it was."""
    file, terminal, log = io.StringIO(), Terminal(), io.StringIO()
    before = [logging.StreamHandler(terminal), logging.StreamHandler(log)]
    monkeypatch.setattr(logging.getLogger(), "handlers", before)

    with Painter(monitor, bus.health, Console(file=file, force_terminal=True, width=100)):
        wait_until(lambda: "last alerts" in file.getvalue(), "it is drawn")
        logging.getLogger("bus_amqp.test").warning("lost the connection")
        monitor.on_event(an_event("UsageEvent"))
        wait_until(lambda: "UsageEvent" in file.getvalue(), "it is drawn again")

    assert "lost the connection" in file.getvalue()
    assert terminal.getvalue() == ""
    assert log.getvalue() == "lost the connection\n"
    assert logging.getLogger().handlers == before
