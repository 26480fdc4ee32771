"""What only the bus is asked: the cost of ``publish()`` itself without a broker, and memory over a million events."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.latency_child import percentile
from benchmarks.task import EXCHANGE, Task, wait_for_start
from benchmarks.workload import endless_fields
from bus_amqp import Event, connect
from bus_amqp.errors import UndeliveredError

_FLUSH_EVERY = 20_000  # well below the outbox's bound: a full outbox would weigh the same at both marks, but wait
_DEADLINE_SECONDS = 60


def run(task: Task) -> dict[str, Any]:
    """Measure what the task's mode says."""
    return _call(task) if task.mode == "call" else _memory(task)


def _call(task: Task) -> dict[str, Any]:
    wait_for_start()
    events = [Event(**fields) for fields in itertools.islice(endless_fields(), task.events)]
    bus = connect(task.url, exchange=EXCHANGE, require_broker=False)
    durations = []
    clock, publish = time.perf_counter_ns, bus.publish
    for event in events:
        begun = clock()
        publish(event)
        durations.append((clock() - begun) / 1_000)
    with contextlib.suppress(UndeliveredError):  # there is no broker: nothing could be sent
        bus.close(timeout_seconds=0)
    return {
        "p50_us": percentile(durations, 0.5),
        "p99_us": percentile(durations, 0.99),
        "p999_us": percentile(durations, 0.999),
        "max_us": max(durations),
    }


def _memory(task: Task) -> dict[str, Any]:
    first, last = task.warm_up, task.events
    fields = endless_fields()
    marks = []
    with connect(task.url, exchange=EXCHANGE) as bus:
        wait_for_start()
        for number, one in zip(range(1, last + 1), fields, strict=False):
            bus.publish(Event(**one))
            if number % _FLUSH_EVERY == 0:
                bus.flush(_DEADLINE_SECONDS)
            if number in (first, last):
                bus.flush(_DEADLINE_SECONDS)
                marks.append(_resident_bytes())
    return {"first_bytes": marks[0], "last_bytes": marks[1]}


def _resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
