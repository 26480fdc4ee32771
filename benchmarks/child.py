"""The child process of a Python client: ``python -m benchmarks.child PEER TASK``.

A peer's module has ``Publisher(task)`` with ``publish(count)`` (send, and return when all are confirmed) and
``Consumer(task)`` with ``consume(on_message)`` (until it returns True); both connect when they are made and have
``close()``.  A module with ``run(task)`` measures by itself.
"""

from __future__ import annotations

import importlib
import json
import sys
from types import ModuleType
from typing import Any

from benchmarks.meter import Meter
from benchmarks.task import Task, wait_for_start


def _publish(peer: ModuleType, task: Task) -> dict[str, Any]:
    publisher = peer.Publisher(task)
    meter = Meter(warm_up=task.warm_up, events=task.events)
    wait_for_start()
    publisher.publish(task.warm_up)
    meter.start()
    publisher.publish(task.events)
    meter.stop()
    publisher.close()
    return meter.measured()


def _deliver(peer: ModuleType, task: Task) -> dict[str, Any]:
    consumer = peer.Consumer(task)
    meter = Meter(warm_up=task.warm_up, events=task.events)
    wait_for_start()
    consumer.consume(meter.count)
    consumer.close()
    return meter.measured()


def main() -> None:
    """Do what the command line says and print the figures."""
    peer = importlib.import_module(f"benchmarks.peers.{sys.argv[1]}")
    task = Task.from_json(sys.argv[2])
    match task.mode:
        case "publish":
            figures = _publish(peer, task)
        case "deliver":
            figures = _deliver(peer, task)
        case _:
            figures = peer.run(task)
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
