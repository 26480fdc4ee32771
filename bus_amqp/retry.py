"""What a subscriber may say by raising, and when an event that failed is tried again.  Pure.

``delay_after`` decides, with no clock: the attempts so far, the error and the policy give a delay, or None for
"used up".  A delay is waited for on the broker, in the smallest rung of one ladder that is long enough.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bus_amqp.errors import EventBusException, InvalidArgumentError

# One ladder for all subscriptions: a queue for each delay that somebody thinks of would be a queue too many.
RUNGS_SECONDS: Final = (1, 5, 30, 120, 600, 3600)
LONGEST_SECONDS: Final = RUNGS_SECONDS[-1]
MAX_ATTEMPTS = 1000
# A subscriber that postpones has its reasons, so this bounds a mistake and not a policy: six weeks of hours.
MAX_POSTPONEMENTS = 1000


class Discard(EventBusException):
    """Raised by a subscriber: this event is of no use to me, and I say why.

    The event is acknowledged, logged with ``reason`` and counted; it is not dead-lettered.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RetryLater(EventBusException):
    """Raised by a subscriber: call me again with this event, in about ``delay_seconds``.

    The delay takes the next rung up (1 s, 5 s, 30 s, 2 min, 10 min, 1 h).  It is no failure: the attempts of the
    policy are not touched by it, also where the policy has only one; after a thousand such delays the event
    is dead-lettered all the same.  Raises ``InvalidArgumentError`` for a delay over an hour.
    """

    is_transient = True

    def __init__(self, delay_seconds: float) -> None:
        self.delay_seconds = checked_delay(delay_seconds)
        super().__init__(f"to be tried again in {delay_seconds:g} s")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when an event whose subscriber raised is tried again.

    ``attempts``: calls in all, the first one included; after the last the event is dead-lettered.
    ``delays_seconds``: after the first failure, the second, ...; the last one repeats.  Each takes the next rung up
    (1 s, 5 s, 30 s, 2 min, 10 min, 1 h) and up to a fifth less of it, so that what failed together does not return
    together.  ``no_retry_on``: exceptions that will come again however often one tries.
    ``keep_order`` (temporary subscriptions and ordered groups): the event stays in the process with those of its
    resource that came later, and is tried again before them; the delays are then kept as they are given.

    Raises ``InvalidArgumentError`` for numbers that make no policy.
    """

    attempts: int = 5
    delays_seconds: tuple[float, ...] = (5, 30, 120, 600)
    no_retry_on: tuple[type[BaseException], ...] = ()
    keep_order: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or isinstance(self.attempts, bool) or self.attempts < 1:
            raise InvalidArgumentError(f"attempts must be a whole number from 1, not {self.attempts!r}")
        if self.attempts > MAX_ATTEMPTS:
            raise InvalidArgumentError(f"attempts may be {MAX_ATTEMPTS} at most, not {self.attempts}")
        if not isinstance(self.delays_seconds, tuple | list):
            raise InvalidArgumentError(f"delays_seconds must be a tuple of seconds, not {self.delays_seconds!r}")
        if self.attempts > 1 and not self.delays_seconds:
            raise InvalidArgumentError(f"{self.attempts} attempts need a delay between them: give delays_seconds")
        errors = self.no_retry_on if isinstance(self.no_retry_on, tuple | list) else (self.no_retry_on,)
        if not all(isinstance(error, type) and issubclass(error, BaseException) for error in errors):
            raise InvalidArgumentError(f"no_retry_on must be exception classes, not {self.no_retry_on!r}")
        if not isinstance(self.keep_order, bool):
            raise InvalidArgumentError(f"keep_order must be True or False, not {self.keep_order!r}")
        object.__setattr__(self, "delays_seconds", tuple(map(checked_delay, self.delays_seconds)))
        object.__setattr__(self, "no_retry_on", tuple(errors))


class DefaultRetry(Enum):
    """The type of ``DEFAULT_RETRY``."""

    DEFAULT = "default"


DEFAULT_RETRY: Final = DefaultRetry.DEFAULT  # what the kind of subscription asks for; None would look like "never"


def checked_delay(delay_seconds: float) -> float:
    """Return the delay.  Raises ``InvalidArgumentError`` unless a rung of the ladder can hold it."""
    is_number = isinstance(delay_seconds, int | float) and not isinstance(delay_seconds, bool)
    if not is_number or not math.isfinite(delay_seconds) or delay_seconds <= 0:
        raise InvalidArgumentError(f"a delay must be a number of seconds above 0, not {delay_seconds!r}")
    if delay_seconds > LONGEST_SECONDS:
        raise InvalidArgumentError(
            f"a delay of {delay_seconds:g} s is longer than the longest wait ({LONGEST_SECONDS} s): "
            "use a shorter one, and raise RetryLater again if it was too early"
        )
    return delay_seconds


def rung_for(delay_seconds: float) -> int:
    """Return the smallest rung, in seconds, that is as long as the delay.  Raises ``InvalidArgumentError``."""
    return RUNGS_SECONDS[bisect_left(RUNGS_SECONDS, checked_delay(delay_seconds))]


def delay_after(attempts: int, error: BaseException, policy: RetryPolicy) -> float | None:
    """Return how many seconds to wait after this many failed attempts (at least 1), or None: no further attempt."""
    if attempts >= policy.attempts or isinstance(error, policy.no_retry_on):
        return None
    delays = policy.delays_seconds
    return delays[min(attempts, len(delays)) - 1]


def postponement_of(error: BaseException) -> float | None:
    """Return the delay that a ``RetryLater`` asks for; None for other errors, and for one that asks for nonsense."""
    if not isinstance(error, RetryLater):
        return None
    try:
        return checked_delay(getattr(error, "delay_seconds", math.nan))
    except InvalidArgumentError:  # a subclass that skipped our __init__: a failure like any other
        return None


GROUP_RETRY: Final = RetryPolicy(attempts=5, delays_seconds=(5, 30, 120, 600))  # ten to thirteen minutes
TEMPORARY_RETRY: Final = RetryPolicy(attempts=3, delays_seconds=(5, 30))  # within a minute
NO_RETRY: Final = RetryPolicy(attempts=1, delays_seconds=())
