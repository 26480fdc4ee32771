"""The disk outbox beside the memory outbox: rate from end to end, and what one call of ``publish()`` takes."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.plan import Plan
from benchmarks.runner import run
from benchmarks.scene import Scene
from benchmarks.short_lived import measure_short_lived
from benchmarks.task import Task

_MODULE = "bus_disk"
_WARM_UP = 500
_SPOOLED = 500
_NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1/"  # port 1, tcpmux: refused on any ordinary machine


def measure_disk(plan: Plan, url: str, scene: Scene, say: Callable[[str], None]) -> dict[str, float]:
    """Return the median of the ratios within each round, their extremes, both rates, and percentiles of the call."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(plan.rounds):
        for has_disk_outbox in (False, True) if number % 2 == 0 else (True, False):
            rates[has_disk_outbox].append(_rate(plan, url, scene, has_disk_outbox=has_disk_outbox))
        say(f"round {number + 1} outbox in memory {rates[False][-1]:8,.0f}/s, on disk {rates[True][-1]:8,.0f}/s")
    ratios = [disk / memory for memory, disk in zip(rates[False], rates[True], strict=True)]
    call = run(_MODULE, Task("disk-call", _NOBODY_LISTENS, events=plan.call_events, has_disk_outbox=True))
    spool = run(_MODULE, Task("spool-call", events=_SPOOLED))
    return {
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "most_ratio": max(ratios),
        "memory_rate": statistics.median(rates[False]),
        "disk_rate": statistics.median(rates[True]),
        **{f"call_{name}": value for name, value in call.items()},
        **{f"spool_{name}": value for name, value in spool.items()},
        **measure_short_lived(plan),
    }


def _rate(plan: Plan, url: str, scene: Scene, *, has_disk_outbox: bool) -> float:
    queue = scene.fresh_queue("classic")
    task = Task("disk-publish", url, events=plan.events, warm_up=_WARM_UP, has_disk_outbox=has_disk_outbox)
    seconds: float = run(_MODULE, task)["seconds"]
    scene.delete(queue)
    return plan.events / seconds
