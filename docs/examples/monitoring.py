"""Monitoring: watch everything, keep nothing.

    bus-amqp run docs.examples.monitoring:subscribers

On a terminal a table that is drawn anew twice a second; elsewhere (a file, a pipe, a service's log) a line every five
seconds.  Both show events per second by category, the last alerts, how many resources are in which state, and whether
the monitor itself gets what it should: one that shows nothing looks like a cloud where nothing happens.

A subscription without a group gets its own copy of every event while it lives, in the order of each resource.  The
state of a resource is therefore what the last event about it said.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from rich.console import Console, Group
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from bus_amqp import Event, EventBus, EventCategory, EventTopic, Health, Subscribers

DRAW_SECONDS, LINE_SECONDS = 0.5, 5.0
RATE_SECONDS = 5.0
ALERTS_SHOWN = 5
RESOURCES_KEPT = 100_000  # the least recently changed are forgotten first
STATES_SHOWN = 6  # of each resource type


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, as it is shown."""

    at: str
    event_type: str
    description: str

    def __str__(self) -> str:
        text = f"{self.at} {self.event_type} {self.description}"
        # What comes from elsewhere must not steer a terminal.
        return "".join(sign if sign.isprintable() else " " for sign in text)


@dataclass(frozen=True, slots=True)
class Picture:
    """What is to be shown."""

    rates: Mapping[str, float]
    totals: Mapping[str, int]
    alerts: tuple[Alert, ...]  # the last ones
    alerts_in_all: int
    states: Mapping[str, Counter[str]]
    health: str
    is_healthy: bool


class Monitor:
    """Counts on the bus's worker thread; the painter's thread asks for a picture now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards all below
        self._totals: Counter[str] = Counter()
        self._alerts: deque[Alert] = deque(maxlen=ALERTS_SHOWN)
        self._alerts_in_all = 0
        self._state_of: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._states: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._recent: deque[tuple[float, Counter[str]]] = deque([(clock(), Counter())])

    def on_event(self, event: Event) -> None:
        """Take in one event."""
        with self._lock:
            self._totals[event.event_category] += 1
            match event.event_category:
                case EventCategory.ALERT:
                    self._alerts_in_all += 1
                    at = event.event_time.astimezone().strftime("%H:%M:%S")
                    self._alerts.append(Alert(at, event.event_type, _told_of_alert(event)))
                case EventCategory.RESOURCE_STATE:
                    self._note_state(event)

    def _note_state(self, event: Event) -> None:
        if event.details.get("phase", "post") != "post":  # about to be stored, or not stored after all: no state yet
            return
        state = event.details.get("newState", event.details.get("new-state"))
        if not isinstance(state, str) or not event.resource_uuid:
            return
        resource = (event.resource_type, event.resource_uuid)
        self._forget(resource)
        self._state_of[resource] = state
        self._states[event.resource_type][state] += 1
        if len(self._state_of) > RESOURCES_KEPT:
            self._forget(next(iter(self._state_of)))

    def _forget(self, resource: tuple[str, str]) -> None:
        if (state := self._state_of.pop(resource, None)) is not None:
            counted = self._states[resource[0]]
            counted[state] -= 1
            if not counted[state]:
                del counted[state]

    def picture(self, health: Health) -> Picture:
        """Return what is to be shown now."""
        with self._lock:
            now, totals = self._clock(), self._totals.copy()
            self._recent.append((now, totals))
            while now - self._recent[1][0] >= RATE_SECONDS:  # the last one that old is what is compared with
                self._recent.popleft()
            since, before = self._recent[0]
            states = {kind: counted.copy() for kind, counted in sorted(self._states.items())}
            alerts, alerts_in_all = tuple(self._alerts), self._alerts_in_all
        seconds = now - since
        rates = {name: (count - before[name]) / seconds if seconds else 0.0 for name, count in sorted(totals.items())}
        return Picture(rates, totals, alerts, alerts_in_all, states, told(health), health.is_healthy)


def _told_of_alert(event: Event) -> str:
    count = event.details.get("count", 1)  # sources fold what repeats into one event
    repeated = f" ({count} times)" if isinstance(count, int) and count > 1 else ""
    return f"{'cleared: ' if event.details.get('status') == 'Cleared' else ''}{event.description}{repeated}"


def told(health: Health) -> str:
    """Return in one line whether the monitor gets what it should."""
    words = [f"bus {health.state}", f"broker {health.broker or 'unknown'}"]
    for one in health.subscriptions:
        words.append("consuming" if one.is_consuming else f"not consuming: {one.reason or 'unknown'}")
        words += [f"{one.waiting} waiting"] * bool(one.waiting)
        words += [f"missed what came from {gap.since:%H:%M:%S} to {gap.until:%H:%M:%S}" for gap in one.gaps]
        words += one.warnings
    return ", ".join(words)


def line(picture: Picture) -> str:
    """Return all of it in one line of plain text; alerts have lines of their own."""
    rates = " ".join(f"{name} {rate:.0f}/s" for name, rate in picture.rates.items()) or "no event yet"
    states = "; ".join(f"{kind}: {_listed(states)}" for kind, states in picture.states.items())
    return " | ".join(part for part in (rates, states, picture.health) if part)


def table(picture: Picture) -> Group:
    """Return all of it as something to draw."""
    categories = Table(box=None, pad_edge=False, title="events", title_justify="left")
    categories.add_column("category", style="cyan")
    for heading in ("per second", "in all"):
        categories.add_column(heading, justify="right")
    for name, rate in picture.rates.items():
        categories.add_row(Text(name), f"{rate:,.0f}", f"{picture.totals[name]:,}")
    states = Table(box=None, pad_edge=False, title="resources", title_justify="left", show_header=False)
    for kind, counted in picture.states.items():
        states.add_row(Text(kind, "cyan"), Text(_listed(counted)))
    alerts = [Text(str(alert), "yellow", no_wrap=True, overflow="ellipsis") for alert in picture.alerts]
    health = Text(picture.health, "green" if picture.is_healthy else "bold red")
    return Group(health, "", categories, "", states, "", "last alerts", *(alerts or [Text("none", "dim")]))


def _listed(states: Counter[str]) -> str:
    shown = [f"{count:,} {state}" for state, count in states.most_common(STATES_SHOWN)]
    rest = states.total() - sum(count for _, count in states.most_common(STATES_SHOWN))
    return ", ".join([*shown, *([f"{rest:,} others"] if rest else [])])


class Painter:
    """Shows the monitor's picture again and again, on a thread of its own, until it is told to stop."""

    def __init__(self, monitor: Monitor, health: Callable[[], Health], console: Console) -> None:
        self._monitor = monitor
        self._health = health
        self._console = console
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="painter", daemon=True)

    def __enter__(self) -> Painter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._console.is_terminal:
                self._draw()
            else:
                self._write()
        except BrokenPipeError:  # `| head`: nobody looks any more, so the process ends as if it were told to
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            os.kill(os.getpid(), signal.SIGTERM)

    def _draw(self) -> None:
        with _log_above(self._console), Live(console=self._console, auto_refresh=False) as live:
            while True:
                live.update(table(self._monitor.picture(self._health())), refresh=True)
                if self._has_ended.wait(DRAW_SECONDS):
                    return

    def _write(self) -> None:
        told_of = 0
        while True:
            has_ended = self._has_ended.wait(LINE_SECONDS)
            picture = self._monitor.picture(self._health())
            new = picture.alerts_in_all - told_of
            told_of = picture.alerts_in_all
            for alert in picture.alerts[-new:] if new else ():
                self._say(f"alert {alert}")
            if new > len(picture.alerts):
                self._say(f"and {new - len(picture.alerts):,} alerts before these")
            self._say(line(picture))
            if has_ended:
                return

    def _say(self, text: str) -> None:
        print(text, file=self._console.file, flush=True)


@contextmanager
def _log_above(console: Console) -> Iterator[None]:
    """Have log records that go to the terminal written above the table instead of through it."""
    logger = logging.getLogger()
    before = logger.handlers
    above = RichHandler(console=console)
    logger.handlers = [above if _is_on_terminal(handler) else handler for handler in before]
    try:
        yield
    finally:
        logger.handlers = before


def _is_on_terminal(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and bool(handler.stream.isatty())


@contextmanager
def subscribers(bus: EventBus, output: IO[str] | None = None) -> Iterator[Subscribers]:
    """Subscribe to everything; show it until the process ends, on its standard output if it is given no other."""
    monitor = Monitor()
    declared = Subscribers()
    declared.on(EventTopic())(monitor)
    with Painter(monitor, bus.health, Console(file=output)):
        yield declared
