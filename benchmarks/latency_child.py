"""What both ends of a latency measurement share: when to send, and what to make of the arrivals."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.task import Task


def due_times(task: Task) -> Iterator[float]:
    """Return when each event is due, on the monotonic clock, the first one now."""
    start = time.monotonic()
    return (start + number / task.rate for number in range(task.warm_up + task.events))


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Latencies:
    """Collect arrivals.  The monotonic clock is one for all processes of a machine."""

    def __init__(self, task: Task) -> None:
        self._warm_up = task.warm_up
        self._expected = task.warm_up + task.events
        self._seconds: list[float] = []

    def add(self, sent_nanoseconds: int) -> None:
        """Note one arrival."""
        self._seconds.append((time.monotonic_ns() - sent_nanoseconds) / 1e9)

    @property
    def complete(self) -> bool:
        """Whether all have arrived."""
        return len(self._seconds) >= self._expected

    def figures(self) -> dict[str, float]:
        """Return percentiles in milliseconds, without the warm-up."""
        values = [1_000 * value for value in self._seconds[self._warm_up :]]
        return {"p50_ms": percentile(values, 0.5), "p99_ms": percentile(values, 0.99), "max_ms": max(values)}
