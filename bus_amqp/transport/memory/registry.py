"""Brokers by name: ``memory://`` and ``memory://name`` are shared by all who hold them in this process.

A broker lives while somebody holds it.  Holders are connectors (and tests), not connections: a bus that has lost
its connection finds its queues again, and the next test begins with nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from bus_amqp.transport.memory.broker import MemoryBroker

_lock = threading.Lock()
_brokers: dict[str, MemoryBroker] = {}  # guarded by _lock
_holders: dict[str, int] = {}  # guarded by _lock


def acquire_broker(name: str = "", *, clock: Callable[[], float] = time.monotonic) -> MemoryBroker:
    """Return the broker of this name, and hold it until ``release_broker``.  The first holder brings the clock."""
    with _lock:
        broker = _brokers.get(name)
        if broker is None:
            broker = _brokers[name] = MemoryBroker(name, clock=clock)
        _holders[name] = _holders.get(name, 0) + 1
        return broker


def release_broker(broker: MemoryBroker) -> None:
    """Hold the broker no longer; with its last holder it is gone, with all connections and messages."""
    with _lock:
        if _brokers.get(broker.name) is not broker:
            return  # released more often than acquired: not another one's holder
        _holders[broker.name] -= 1
        if _holders[broker.name]:
            return
        del _brokers[broker.name], _holders[broker.name]
    broker.stop()  # outside the lock: it calls into connections


def _begin_in_child() -> None:
    """A forked child is a process of its own: no broker of the parent's is here, though its memory is."""
    global _lock
    _lock = threading.Lock()  # a thread that is not here may have held it
    _brokers.clear()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
