"""``Folding``: repeated alerts become one with a count.  Pure: times are given, nothing is published here.

The first alert of a kind and place goes out at once and opens a window.  Those that follow within it are counted; the
count goes out with the first alert after the window, or when the window has ended and somebody asks what is due.  What
could not be published is owed, and due again a second later.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from pydantic import JsonValue

from bus_amqp.event import new_event_id
from bus_amqp.source.details import wire_text

CAPACITY = 10_000  # kinds and places that are remembered; beyond it the longest unheard of is forgotten
RETRY_SECONDS = 1.0  # a full outbox is not asked again by each alert in between


class Alert(NamedTuple):  # not a frozen dataclass, which takes ten times as long to make
    """One alert as it was said."""

    key: Hashable
    is_raised: bool
    details: dict[str, JsonValue]  # the wire form of AlertDetails, without what is counted here
    event_type: str
    subject: str
    resource_type: str = ""
    resource_uuid: str = ""


class Outgoing(NamedTuple):
    """What is to be published: an alert, with the raised ones that it is the first to tell of."""

    alert: Alert
    details: dict[str, JsonValue]  # the alert's, with count, times and the id of the event that raised it
    event_id: UUID | None  # its own, if it is the one that raises the alert
    untold: int  # how many those are
    first_time: datetime | None
    last_time: datetime | None


@dataclass(slots=True)
class _Place:
    """What is known of one kind of alert at one place."""

    last: Alert  # raised or cleared, whichever it is now
    ends_at: float  # of the window
    alert_id: UUID | None = None  # of the event that has raised it, as far as we know
    untold: int = 0  # raised alerts that no event has told of
    first_time: datetime | None = None  # of those
    last_time: datetime | None = None
    is_owed: bool = False  # the last event could not be published

    @property
    def is_open(self) -> bool:
        return self.last.is_raised

    def count(self, count: int, first: datetime, last: datetime) -> None:
        self.untold += count
        self.first_time = first if self.first_time is None else min(first, self.first_time)
        self.last_time = last if self.last_time is None else max(last, self.last_time)


class Folding:
    """Decides which alerts go out, and with which count.  Not locked: its owner does that.

    The counts of all events that were published, and of what is untold, are together the number of raised alerts.
    """

    def __init__(self, window_seconds: float, capacity: int = CAPACITY) -> None:
        self._window_seconds = window_seconds
        self._capacity = capacity
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()  # the longest unheard of first
        self._ends: list[tuple[float, int, Hashable]] = []  # a heap: when a place that has something to tell is due
        self._numbers = itertools.count()  # keys need not be comparable

    def __repr__(self) -> str:
        return f"<Folding {len(self._places)} places, {self.untold} alerts untold>"

    @property
    def untold(self) -> int:
        """How many alerts are counted and not yet told."""
        return sum(place.untold for place in self._places.values())

    def raised(self, alert: Alert, now: float, time: Callable[[], datetime]) -> list[Outgoing]:
        """Take an alert; return what is to go out now.  ``time`` is asked only if the alert has to wait."""
        place = self._places.get(alert.key)
        # An end that nobody has heard of is none: to everybody else the alert has been open all the time.
        is_new = place is None or not (place.is_open or place.is_owed)
        if place is None or is_new:
            place = _Place(alert, ends_at=now)
        forgotten = self._remember(alert.key, place)
        is_first = place.untold == 0
        place.last = alert
        if is_first and now >= place.ends_at:
            place.untold = 1
            forgotten.append(self._tell(place, now))
            return forgotten
        moment = time()
        place.count(1, moment, moment)
        if now >= place.ends_at:
            forgotten.append(self._tell(place, now))
            return forgotten
        if is_first and not place.is_owed:
            self._become_due(place)
        return forgotten

    def cleared(self, alert: Alert, now: float) -> list[Outgoing]:
        """Take the end of an alert; return what is to go out now.  What is known to be clear is not said again."""
        place = self._places.get(alert.key)
        if place is None:
            place = _Place(alert, ends_at=now)
        elif not place.is_open and not place.is_owed:
            return []
        forgotten = self._remember(alert.key, place)
        place.last = alert
        forgotten.append(self._tell(place, now))
        return forgotten

    def due(self, now: float, *, is_early: bool = False) -> list[Outgoing]:
        """Return what was folded into windows that have ended by now, and what is owed; ``is_early``: all of it."""
        outgoing = []
        while self._ends and (is_early or self._ends[0][0] <= now):
            ends_at, _, key = heapq.heappop(self._ends)
            place = self._places.get(key)
            # Otherwise: told since, or forgotten.
            if place is not None and place.ends_at == ends_at and (place.untold or place.is_owed):
                outgoing.append(self._tell(place, now))
        return outgoing

    def failed(self, outgoing: Outgoing, now: float, time: datetime) -> None:
        """Note that it could not be published, and is owed.  (If its place is forgotten meanwhile, it is lost.)"""
        place = self._places.get(outgoing.alert.key)
        if place is None:
            return
        if place.alert_id == outgoing.event_id:
            place.alert_id = None
        if outgoing.untold:
            place.count(outgoing.untold, outgoing.first_time or time, outgoing.last_time or time)
        place.is_owed = True
        place.ends_at = now + RETRY_SECONDS
        self._become_due(place)

    def _become_due(self, place: _Place) -> None:
        heapq.heappush(self._ends, (place.ends_at, next(self._numbers), place.last.key))

    def _tell(self, place: _Place, now: float) -> Outgoing:
        """Return the event for what the place has to tell, and begin the next window."""
        count, first_time, last_time = place.untold, place.first_time, place.last_time
        place.untold, place.first_time, place.last_time, place.is_owed = 0, None, None, False
        place.ends_at = now + self._window_seconds
        alert, alert_id, event_id = place.last, place.alert_id, None
        if alert_id is None and place.is_open:
            place.alert_id = event_id = new_event_id()
        details = {**alert.details, "count": count}
        if alert_id is not None:
            details["alertId"] = str(alert_id)
        if count > 1 and first_time is not None and last_time is not None:
            details |= {"firstTime": wire_text(first_time), "lastTime": wire_text(last_time)}
        return Outgoing(alert, details, event_id, count, first_time, last_time)

    def _remember(self, key: Hashable, place: _Place) -> list[Outgoing]:
        """Remember a place; return what the one that is forgotten for it still has to tell."""
        self._places[key] = place
        self._places.move_to_end(key)
        if len(self._places) <= self._capacity:
            return []
        _, forgotten = self._places.popitem(last=False)
        return [self._tell(forgotten, forgotten.ends_at)] if forgotten.untold or forgotten.is_owed else []
