"""bus_amqp with a disk outbox, or beside it the same without: what a commit for each event costs."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.latency_child import percentile
from benchmarks.meter import Meter
from benchmarks.task import EXCHANGE, Task, wait_for_start
from benchmarks.workload import endless_fields
from bus_amqp import Event, EventBus, Settings, connect
from bus_amqp.errors import UndeliveredError
from bus_amqp.settings import PublisherSettings

_DEADLINE_SECONDS = 120


def run(task: Task) -> dict[str, Any]:
    """Measure what the task's mode says."""
    match task.mode:
        case "disk-publish":
            return _publish(task)
        case "spool-call":
            return _spool(task)
        case _:
            return _call(task)


@contextlib.contextmanager
def _bus(task: Task, *, require_broker: bool) -> Iterator[EventBus]:
    with tempfile.TemporaryDirectory() as directory:
        publisher = PublisherSettings(outbox_directory=directory if task.has_disk_outbox else None)
        bus = connect(
            task.url, settings=Settings(exchange=EXCHANGE, publisher=publisher), require_broker=require_broker
        )
        yield bus
        with contextlib.suppress(UndeliveredError):  # without a broker nothing could be sent
            bus.close(0 if not require_broker else _DEADLINE_SECONDS)


def _spool(task: Task) -> dict[str, Any]:
    """Measure what a short program does: connect, publish, close, into a directory with what the last one left."""
    wait_for_start()
    durations = []
    with tempfile.TemporaryDirectory() as directory:
        for fields in itertools.islice(endless_fields(), task.events):
            begun = time.perf_counter_ns()
            with connect(f"spool:{directory}") as bus:
                bus.publish(Event(**fields))
            durations.append((time.perf_counter_ns() - begun) / 1_000_000)
    return {"p50_ms": percentile(durations, 0.5), "p99_ms": percentile(durations, 0.99)}


def _publish(task: Task) -> dict[str, Any]:
    meter = Meter(warm_up=task.warm_up, events=task.events)
    with _bus(task, require_broker=True) as bus:
        fields = endless_fields()
        wait_for_start()
        _publish_many(bus, fields, task.warm_up)
        meter.start()
        _publish_many(bus, fields, task.events)
        meter.stop()
    return meter.measured()


def _publish_many(bus: EventBus, fields: Iterator[Any], count: int) -> None:
    for one in itertools.islice(fields, count):
        bus.publish(Event(**one))
    bus.flush(_DEADLINE_SECONDS)


def _call(task: Task) -> dict[str, Any]:
    wait_for_start()
    events = [Event(**fields) for fields in itertools.islice(endless_fields(), task.events)]
    durations = []
    with _bus(task, require_broker=False) as bus:
        clock, publish = time.perf_counter_ns, bus.publish
        for event in events:
            begun = clock()
            publish(event)
            durations.append((clock() - begun) / 1_000)
    return {
        "p50_us": percentile(durations, 0.5),
        "p99_us": percentile(durations, 0.99),
        "p999_us": percentile(durations, 0.999),
        "max_us": max(durations),
    }
