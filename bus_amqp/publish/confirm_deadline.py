"""Decide when to give up waiting for the broker's confirms.

Pure: no thread, no I/O; the clock is given.  The publisher looks once in each turn.  The time of the oldest open
message runs from when it became the oldest, so a broker that is slow but confirms is left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bus_amqp.publish.outbox import Entry

DOUBLINGS = 7  # from half a minute to an hour: each resend may be stored twice, so they become rare


class ConfirmDeadline:
    """How long the oldest open message has waited, and how long it may.

    Written by the publisher thread; ``waited_seconds`` and ``silent_seconds`` may be read by any.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._oldest: Entry | None = None
        self._is_standing = True  # as it was at the last look
        self._looked_at = 0.0
        self._waited = 0.0  # since it became the oldest, or was sent again; without the time that stood still
        self._waited_before = 0.0  # in earlier sendings of it
        self._stood = 0.0  # the time that stood still, since it became the oldest or an alarm ended
        self._resends = 0  # of it, in a row

    def __repr__(self) -> str:
        return f"<ConfirmDeadline {self.waited_seconds:.1f} s waited, {self._resends} resends>"

    @property
    def waited_seconds(self) -> float:
        """How long the oldest open message is without an answer, over all its sendings."""
        if self._oldest is None:
            return 0.0
        running = 0.0 if self._is_standing else self._clock() - self._looked_at
        return self._waited_before + self._waited + max(0.0, running)

    @property
    def silent_seconds(self) -> float:
        """The same with the time that stood still: a socket that takes nothing for minutes is worth telling, too."""
        if self._oldest is None:
            return 0.0
        return self._waited_before + self._waited + self._stood + max(0.0, self._clock() - self._looked_at)

    def look(self, oldest: Entry | None, *, is_standing: bool) -> float:
        """Return the seconds that are left; none left: the channel is to be discarded.

        ``is_standing``: from now to the next look the time does not count, because the broker has blocked us or the
        socket takes nothing.
        """
        now = self._clock()
        if oldest is None and is_standing:
            return math.inf  # it is on its way into the outbox and out again: still the same row of resends
        if oldest is not self._oldest:
            self._oldest = oldest
            self._waited = self._waited_before = self._stood = 0.0
            self._resends = 0
        elif not self._is_standing:
            self._waited += now - self._looked_at
        else:
            self._stood += max(0.0, now - self._looked_at)
        self._looked_at, self._is_standing = now, is_standing
        if oldest is None:
            return math.inf
        return self._seconds * 2.0**self._resends - self._waited

    def restart(self, *, is_resend: bool) -> None:
        """Begin anew: after an alarm, or for what is sent again (``is_resend``: because the time was over)."""
        self._waited_before += self._waited
        self._waited = 0.0
        self._is_standing = True
        self._looked_at = math.inf  # nobody has looked since: the time of a lost connection is told otherwise
        if not is_resend:
            self._stood = 0.0
        else:
            self._resends = min(self._resends + 1, DOUBLINGS)
