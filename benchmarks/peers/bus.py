"""bus_amqp through its front door, with its defaults: one caller thread, one worker.

Building each ``Event`` is part of the measured time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from benchmarks.task import EXCHANGE, GROUP, Task
from benchmarks.workload import endless_fields
from bus_amqp import Event, EventTopic, connect

_DEADLINE_SECONDS = 120


class Publisher:
    """Build, validate, publish, flush."""

    def __init__(self, task: Task) -> None:
        self._bus = connect(task.url, exchange=EXCHANGE, client_name="benchmark")
        self._fields = endless_fields()

    def publish(self, count: int) -> None:
        """Publish ``count`` events and wait until all are confirmed."""
        for fields in itertools.islice(self._fields, count):
            self._bus.publish(Event(**fields))
        self._bus.flush(_DEADLINE_SECONDS)

    def close(self) -> None:
        """Close the bus."""
        self._bus.close()


class Consumer:
    """Subscribe to everything.

    A temporary queue exists only once somebody has subscribed, so the first event waits at a gate until the
    parent has filled the queue.
    """

    def __init__(self, task: Task) -> None:
        self._gate = threading.Event()
        self._enough = threading.Event()
        self._on_message: Callable[[], bool] = lambda: False  # written before the gate opens, read by the worker after
        self._is_open = False  # worker thread only
        self._bus = connect(task.url, exchange=EXCHANGE, client_name="benchmark")
        self._bus.subscribe(EventTopic(), self, group=GROUP if task.queue_type == "quorum" else None)

    def on_event(self, event: Event) -> None:
        """Count; the first one waits at the gate."""
        if not self._is_open:
            self._gate.wait()
            self._is_open = True
        if not self._enough.is_set() and self._on_message():
            self._enough.set()

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out events until ``on_message`` has had enough."""
        self._on_message = on_message
        self._gate.set()
        if not self._enough.wait(_DEADLINE_SECONDS):
            raise TimeoutError(f"not all events came: {self._bus.health()}")

    def close(self) -> None:
        """Close the bus; what is not handled stays on the broker."""
        self._bus.close()
