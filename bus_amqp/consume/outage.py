"""``Outage``: since when a subscription is not consuming, why that may be, and when to try again."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime

from bus_amqp.backoff import Backoff
from bus_amqp.errors import BrokerRefusedError, InvalidArgumentError
from bus_amqp.health import Gap

# A channel that lived so long was a success.  One that ends sooner may have met the same poison message again.
STABLE_SECONDS = 5.0
REFUSED_PAUSE_SECONDS = 5.0  # other arguments or missing rights do not mend themselves in 100 ms
# RabbitMQ cancels the consumers of a queue that is deleted 10 to 30 ms before it is gone.  What stands so much longer
# stays: it was a cancel of another kind.
DELETION_SECONDS = 1.0


def earliest(moments: Iterable[float | None]) -> float | None:
    """Return the earliest moment that is set."""
    return min((moment for moment in moments if moment is not None), default=None)


class Outage:
    """Of one subscription, over all its sessions.

    Written by the consumer thread; the control thread asks while it makes the queue again, when there is no session.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._began_at = 0.0  # the last session; monotonic
        self._cancelled_at: float | None = None  # monotonic; None: nobody has cancelled the consumer since then
        self.retry_at: float | None = None  # monotonic
        self.lost_at: float | None = None  # epoch seconds; None: consuming, or it never was

    def __repr__(self) -> str:
        since = "none" if self.lost_at is None else f"since {datetime.fromtimestamp(self.lost_at, UTC)}"
        return f"<Outage {since}, {self._backoff!r}>"

    def over(self) -> None:
        """Note that it is consuming."""
        self._began_at = time.monotonic()
        self._cancelled_at = self.retry_at = self.lost_at = None

    def begin(self, *, was_consuming: bool) -> None:
        """Note that it is consuming no more; the first time counts."""
        if was_consuming and time.monotonic() - self._began_at > STABLE_SECONDS:
            self._backoff.reset()
        self.lost_at = self.lost_at or time.time()

    def cancelled(self) -> None:
        """Note that the broker has cancelled the consumer: most often because its queue is being deleted."""
        self._cancelled_at = time.monotonic()

    @property
    def may_be_deletion(self) -> bool:
        """Whether a queue that is still there may be gone in a moment.

        Declared just then it can come out as a new one, and nobody would know of the gap: 16 of 300 did, on 4.0.
        """
        cancelled_at = self._cancelled_at
        return cancelled_at is not None and time.monotonic() - cancelled_at < DELETION_SECONDS

    def plan_retry(self, error: Exception) -> None:
        """Note when to try again after this."""
        if isinstance(error, BrokerRefusedError | InvalidArgumentError):
            pause_seconds = REFUSED_PAUSE_SECONDS
        elif self.may_be_deletion:
            pause_seconds = min(DELETION_SECONDS / 10, self._backoff.next_delay())
        else:
            pause_seconds = self._backoff.next_delay()
        self.retry_at = time.monotonic() + pause_seconds

    def gap(self) -> Gap | None:
        """Return the time from its beginning to now; None: it never was consuming, so nothing was missed."""
        lost_at = self.lost_at  # once: another restore may have worked just now
        return None if lost_at is None else Gap(datetime.fromtimestamp(lost_at, UTC), datetime.now(UTC))
