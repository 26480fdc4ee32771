"""Measure the wall clock and this process's own CPU time between two points.  Runs in the child."""

from __future__ import annotations

import resource
import time


class Meter:
    """Start, stop, and a counter that does both by itself while messages come in."""

    def __init__(self, *, warm_up: int, events: int) -> None:
        self._first = warm_up
        self._last = warm_up + events
        self._count = 0
        self._started = (0.0, 0.0)
        self._stopped = (0.0, 0.0)

    def start(self) -> None:
        """Begin: what came before was warming up."""
        self._started = _now()

    def stop(self) -> None:
        """End: what comes after is clearing up."""
        self._stopped = _now()

    def count(self) -> bool:
        """Count one message; return whether it was the last that is measured."""
        self._count += 1
        if self._count == self._first:
            self.start()
        elif self._count == self._last:
            self.stop()
            return True
        return False

    def measured(self) -> dict[str, float]:
        """Return wall clock and CPU seconds, for the whole stretch."""
        (wall, cpu), (wall_end, cpu_end) = self._started, self._stopped
        return {"seconds": wall_end - wall, "cpu_seconds": cpu_end - cpu}


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime
