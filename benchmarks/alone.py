"""What only bus_amqp is asked: ``publish()`` without a broker, memory, the time to import and to say ``--help``."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.plan import Plan
from benchmarks.runner import run
from benchmarks.task import Task

_MODULE = "bus_alone"
_NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1/"  # port 1, tcpmux: refused on any ordinary machine
# Names, because the package alone loads nothing.  Older commits loaded all with it: the figure means the same there.
_IMPORT = "from bus_amqp import Event, EventTopic, connect"
_TIME_AN_IMPORT = f"import time; begun = time.perf_counter(); {_IMPORT}; print(time.perf_counter() - begun)"


def measure_call(plan: Plan) -> dict[str, float]:
    """Return percentiles of one call of ``publish`` in microseconds while no broker is there."""
    return run(_MODULE, Task("call", _NOBODY_LISTENS, events=plan.call_events))


def measure_memory(plan: Plan, url: str) -> dict[str, float]:
    """Return the resident memory at both marks.  No queue is bound: the client does the same, the broker less."""
    first, last = plan.memory_events
    figures = run(_MODULE, Task("memory", url, warm_up=first, events=last), timeout_seconds=600)
    return {**figures, "growth_mib": (figures["last_bytes"] - figures["first_bytes"]) / 2**20}


def measure_start_up(plan: Plan) -> dict[str, float]:
    """Return medians in milliseconds; ``help_ms`` is missing where no ``bus-amqp`` is installed beside this Python."""
    figures = {"import_ms": _median(plan.start_up_runs, _import_seconds)}
    command = shutil.which("bus-amqp", path=str(Path(sys.executable).parent)) or shutil.which("bus-amqp")
    if command is not None:
        figures["help_ms"] = _median(plan.start_up_runs, lambda: _help_seconds(command))
    return figures


def _median(runs: int, measure: Callable[[], float]) -> float:
    measure()  # the first one also reads the files from the disk
    return 1_000 * statistics.median(measure() for _ in range(runs))


def _import_seconds() -> float:
    done = subprocess.run([sys.executable, "-c", _TIME_AN_IMPORT], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _help_seconds(command: str) -> float:
    begun = time.perf_counter()
    subprocess.run([command, "--help"], check=True, capture_output=True)
    return time.perf_counter() - begun
