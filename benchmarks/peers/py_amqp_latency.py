"""The bare pair that latency is compared with: py-amqp, two processes of one thread each."""

from __future__ import annotations

import itertools
import time
from typing import Any

from benchmarks.latency_child import Latencies, due_times
from benchmarks.peers.py_amqp import ConfirmWindow, open_connection
from benchmarks.task import PREFETCH, Task, wait_for_start


def run(task: Task) -> dict[str, Any]:
    """Send at the task's rate, or receive until all are here."""
    connection = open_connection(task.url)
    figures = _send(connection, task) if task.mode == "latency-send" else _receive(connection, task)
    connection.close()
    return figures


def _send(connection: Any, task: Task) -> dict[str, Any]:
    window = ConfirmWindow(connection, task.in_flight)
    messages = itertools.cycle(task.prepared())
    wait_for_start()
    for due in due_times(task):
        while (left := due - time.monotonic()) > 0:
            try:
                connection.drain_events(timeout=left)  # confirms come in while we wait
            except TimeoutError:
                break
        key, body = next(messages)
        window.publish(key, body, str(time.monotonic_ns()))
    window.wait_confirmed()
    return {}


def _receive(connection: Any, task: Task) -> dict[str, Any]:
    latencies = Latencies(task)

    def handle(message: Any) -> None:
        latencies.add(int(message.properties["message_id"]))
        channel.basic_ack(message.delivery_tag)

    channel = connection.channel()
    channel.basic_qos(0, PREFETCH, False)
    channel.basic_consume(task.queue, callback=handle)
    wait_for_start()
    while not latencies.complete:
        connection.drain_events()
    return latencies.figures()
