"""``Lingering``: how long a channel has to stay open after its acknowledgements.

Each acknowledgement frame is a command for a quorum queue's log.  RabbitMQ (3.10 to 4.x) sends 32 of them ahead; what
comes before those are written it keeps in the channel, in silence, and drops when that is closed: of 500 events that
were acknowledged one by one just before a close, up to 467 came again.  Nothing tells when they are written; 50 ms
were enough beside four busy loops on two cores.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

COMMANDS_AHEAD = 32
LINGER_SECONDS = 0.5


class Lingering:
    """Counts the frames that no pause has followed.  Used by the thread of its channel."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._frames = 0
        self._last_at = -math.inf

    def __repr__(self) -> str:
        return f"<Lingering after {self._frames} frames>"

    def note(self, frames: int) -> None:
        """Count frames that have just been written."""
        now = self._clock()
        if now - self._last_at >= LINGER_SECONDS:
            self._frames = 0
        self._frames += frames
        self._last_at = now

    @property
    def over_at(self) -> float:
        """When the channel may be closed: in seconds of the clock, long past if there is nothing to wait for."""
        return self._last_at + LINGER_SECONDS if self._frames > COMMANDS_AHEAD else -math.inf
