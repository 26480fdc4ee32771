"""Latency of the bus: one process publishes, another one's ``on_event`` looks at the clock."""

from __future__ import annotations

import threading
import time
from typing import Any

from benchmarks.latency_child import Latencies, due_times
from benchmarks.task import EXCHANGE, GROUP, Task, wait_for_start
from benchmarks.workload import endless_fields
from bus_amqp import Event, EventTopic, connect

_STAMP_DIGITS = 20
_DEADLINE_SECONDS = 60


def run(task: Task) -> dict[str, Any]:
    """Send at the task's rate, or receive until all are here."""
    return _send(task) if task.mode == "latency-send" else _receive(task)


def _send(task: Task) -> dict[str, Any]:
    with connect(task.url, exchange=EXCHANGE) as bus:
        wait_for_start()
        for due, fields in zip(due_times(task), endless_fields(), strict=False):
            time.sleep(max(0.0, due - time.monotonic()))
            padding = fields["description"][_STAMP_DIGITS:]
            stamped = fields | {"description": f"{time.monotonic_ns():0{_STAMP_DIGITS}d}{padding}"}
            bus.publish(Event(**stamped))
        bus.flush(_DEADLINE_SECONDS)
    return {}


def _receive(task: Task) -> dict[str, Any]:
    latencies = Latencies(task)
    all_here = threading.Event()

    def on_event(event: Event) -> None:
        latencies.add(int(event.description[:_STAMP_DIGITS]))
        if latencies.complete:
            all_here.set()

    with connect(task.url, exchange=EXCHANGE) as bus:
        bus.subscribe(EventTopic(), on_event, group=GROUP if task.queue_type == "quorum" else None)
        wait_for_start()
        if not all_here.wait(_DEADLINE_SECONDS):
            raise TimeoutError(f"not all events came: {bus.health()}")
    return latencies.figures()
