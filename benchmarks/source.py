"""What a source adds to building and publishing an event by hand."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.plan import Plan
from benchmarks.runner import run
from benchmarks.task import Task

_NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1/"  # port 1, tcpmux: refused on any ordinary machine


def measure_source(plan: Plan, say: Callable[[str], None]) -> dict[str, float]:
    """Return, for each source, CPU microseconds of the calling thread both ways, and the ratio."""
    figures: dict[str, float] = run("bus_source", Task("source", _NOBODY_LISTENS, events=plan.source_events))
    for name in source_names(figures):
        say(
            f"{name:10} by hand {figures[f'{name}_by_hand_us']:6.1f} us,"
            f" through the source {figures[f'{name}_source_us']:6.1f} us"
        )
    return figures


def source_names(figures: dict[str, float]) -> list[str]:
    """Return the sources that were measured."""
    return [name.removesuffix("_by_hand_us") for name in figures if name.endswith("_by_hand_us")]
