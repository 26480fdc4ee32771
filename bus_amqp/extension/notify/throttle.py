"""``Throttle``: at most so many messages within so many seconds, for each key; counts what it holds back.

The window slides: a message has room when fewer than the limit were sent in the seconds before it.  Keys are
remembered in a bounded number, the one that was used least recently is forgotten first.  Pure but for the clock that
it is given; may be asked from any thread.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``messages`` within ``window_seconds``."""

    messages: int
    window_seconds: float

    def __str__(self) -> str:
        return f"at most {self.messages} in {self.window_seconds:g} s"


@dataclass(slots=True)
class _Series:
    sent_at: deque[float] = field(default_factory=deque)
    held_back: int = 0


class Throttle:
    """Owns the times of what was sent and the numbers of what was held back.  No limit: there is always room."""

    def __init__(self, limit: Limit | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = Lock()
        self._series: OrderedDict[str, _Series] = OrderedDict()  # guarded by _lock

    def __repr__(self) -> str:
        return f"<Throttle {self._limit or 'without a limit'}, {self.held_back_now()} held back>"

    def has_room(self, key: str) -> bool:
        """Return whether one more may be sent now.  Nothing is counted yet: the sending may fail."""
        if self._limit is None:
            return True
        with self._lock:
            sent_at = self._of(key).sent_at
            while sent_at and sent_at[0] <= self._clock() - self._limit.window_seconds:
                sent_at.popleft()
            return len(sent_at) < self._limit.messages

    def count_sent(self, key: str, told: int) -> None:
        """Count one that was sent, and told of that many that had been held back."""
        if self._limit is None:
            return
        with self._lock:
            series = self._of(key)
            series.sent_at.append(self._clock())
            series.held_back -= told

    def count_held_back(self, key: str) -> int:
        """Count one that was not sent; return how many there are that no message has told of."""
        with self._lock:
            series = self._of(key)
            series.held_back += 1
            return series.held_back

    def held_back(self, key: str) -> int:
        """Return how many of this key no message has told of."""
        with self._lock:
            return series.held_back if (series := self._series.get(key)) else 0

    def held_back_now(self) -> int:
        """Return how many of all keys no message has told of."""
        with self._lock:
            return sum(series.held_back for series in self._series.values())

    def _of(self, key: str) -> _Series:
        series = self._series.setdefault(key, _Series())
        self._series.move_to_end(key)
        if len(self._series) > MAX_KEYS:
            self._series.popitem(last=False)
        return series
