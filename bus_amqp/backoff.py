"""How long to wait before the next try.  Pure: the caller waits, and gives the randomness."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_SECONDS = 0.1
CEILING_SECONDS = 2.0


class Backoff:
    """Doubling delays with full jitter, so that a thousand clients do not come back in one instant.

    ``uniform(low, high)`` gives the jitter.  Used by one thread.
    """

    def __init__(
        self,
        first_seconds: float = FIRST_SECONDS,
        ceiling_seconds: float = CEILING_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first_seconds
        self._ceiling = ceiling_seconds
        self._uniform = uniform
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Backoff after {self._failures} failures>"

    def next_delay(self) -> float:
        """Return the seconds to wait after one more failure."""
        bound = min(self._ceiling, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return self._uniform(0.0, bound)

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self._failures = 0
