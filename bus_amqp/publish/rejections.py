"""``Rejections``: how long the broker has been rejecting (``basic.nack``), and when to ask it again.

Pure but for its clock.  One full queue rejects for all: the others have stored the event, and store it once more with
each try.  So the tries become rarer the longer it lasts, by a tenth of that time: a short trouble is over as soon as it
is over, and a day of it costs the others hundreds of copies of one event a day, not hundreds of thousands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from bus_amqp.publish.outbox import Entry

logger = logging.getLogger("bus_amqp.publish")

SHORTEST_PAUSE_SECONDS = 0.2  # a broker that rejects needs a moment (a full or leaderless queue)
LONGEST_PAUSE_SECONDS = 30.0
PAUSE_SHARE = 0.1  # of the time that it has lasted
TOLD_SECONDS = 5.0  # a leader is elected in less


class Rejections:
    """Written by the publisher thread; ``complaint`` may be read by any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._again_at = 0.0
        self._routing_key = ""

    def __repr__(self) -> str:
        return f"<Rejections since {self._since}>"

    def note(self, rejected: Sequence[Entry], *, has_confirmed: bool) -> None:
        """Note what the broker answered in one turn."""
        if has_confirmed:
            self.end()
        if rejected:
            self._since = self._clock() if self._since is None else self._since
            self._routing_key = rejected[0].message.routing_key
            logger.warning("the broker rejected %d messages; they are sent again", len(rejected))

    def end(self) -> None:
        """Note that the broker takes messages, or is another."""
        self._since = None
        self._again_at = 0.0

    def begin_pause(self) -> float:
        """Return how long to send nothing."""
        now = self._clock()
        lasted = 0.0 if self._since is None else now - self._since
        pause_seconds = min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, PAUSE_SHARE * lasted))
        self._again_at = now + pause_seconds
        return pause_seconds

    @property
    def pause_seconds(self) -> float:
        """How much of it is left."""
        return max(0.0, self._again_at - self._clock())

    @property
    def complaint(self) -> str:
        """Say so if it lasts; the rejection names no queue, but the key leads to it."""
        since = self._since
        if since is None or (lasted := self._clock() - since) < TOLD_SECONDS:
            return ""
        return (
            f"the broker has been rejecting events for {lasted:.0f} s, and all others wait behind them: is a queue of "
            f"{self._routing_key!r} full (a max-length policy), or without a majority?"
        )
