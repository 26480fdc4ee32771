"""``Answer``: what a receiver said to one request, and what follows from it.  Pure.

Success is any 2xx.  A redirect is none: where it leads was not checked.  410 says that nobody will ever want this; all
else may be better in a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

GONE = 410
SHORTEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` None: none came, ``error`` says why.  ``address``: the one that was connected to."""

    status: int | None
    excerpt: str = ""
    retry_after: str | None = None  # the header, as it came
    error: str | None = None
    is_forbidden: bool = False  # we refused: the address is one to which no webhook may go
    address: str | None = None
    duration_seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the receiver has the event."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver says that it will never want it."""
        return self.status == GONE

    @property
    def told(self) -> str:
        """What happened, in a few words: nothing of what the receiver wrote, which may be anything."""
        if self.status is None:
            return self.error or "no answer"
        moved = ", a redirect, and none is followed" if 300 <= self.status < 400 else ""
        return f"status {self.status}{moved}{f', {self.error}' if self.error else ''}"

    def wait_seconds(self, now: datetime, *, longest_seconds: float) -> float | None:
        """Return how long the receiver asks to be left alone, within bounds; None if it does not ask."""
        if self.is_success or self.is_gone or self.retry_after is None:
            return None
        wanted = _seconds_of(self.retry_after, now)
        return None if wanted is None else min(max(wanted, SHORTEST_WAIT_SECONDS), longest_seconds)


def _seconds_of(retry_after: str, now: datetime) -> float | None:
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()
