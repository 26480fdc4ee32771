"""What `bus-amqp publish --spool` takes on top of an interpreter that does nothing: a cron job's view.

Pairs: the bare interpreter and the installed command take turns, so that both meet the same load.  The command file
is the installer's: pip before 26 has it import `re`, which is measured beside, for it would be in the difference.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.plan import Plan

_EVENT = ("-c", "ActionEvent", "-t", "VM.START", "-s", "benchmark")


def measure_short_lived(plan: Plan) -> dict[str, float]:
    """Return medians of the difference in milliseconds, wall clock and CPU, and that of the quickest runs.

    Nothing where there is no command.
    """
    command = shutil.which("bus-amqp", path=str(Path(sys.executable).parent))
    if command is None:
        return {}
    with tempfile.TemporaryDirectory() as directory:
        ways = {
            "bare": [sys.executable, "-c", "pass"],
            "re": [sys.executable, "-c", "import re, sys"],
            "command": [command, "publish", "--spool", directory, *_EVENT],
        }
        for way in ways.values():
            _milliseconds(way)  # the first one also reads the files from the disk
        samples = [{name: _milliseconds(way) for name, way in ways.items()} for _ in range(plan.command_runs)]
    return {
        "spool_command_ms": _difference(samples, "command", 0),
        "spool_command_least_ms": _least(samples, "command") - _least(samples, "bare"),
        "spool_command_cpu_ms": _difference(samples, "command", 1),
        "installers_re_cpu_ms": _difference(samples, "re", 1),
    }


def _difference(samples: list[dict[str, tuple[float, float]]], name: str, which: int) -> float:
    return statistics.median(sample[name][which] - sample["bare"][which] for sample in samples)


def _least(samples: list[dict[str, tuple[float, float]]], name: str) -> float:
    """Return the quickest run by the wall clock: on a busy machine the one that nobody interrupted."""
    return min(sample[name][0] for sample in samples)


def _milliseconds(command: list[str]) -> tuple[float, float]:
    """Return wall-clock and CPU time of a process."""
    # Compiled files are read as after any installation, also where a developer's shell forbids to write them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    ended, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1_000 * (ended - begun), 1_000 * cpu_seconds
