"""A process whose connections are cut again and again: it prints, as JSON, what it held before and after.

It is a process of its own because every object is counted: in a worker of the tests, those of all the tests before are
there too, and some of them end meanwhile.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import threading
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from bus_amqp import Event, EventTopic, Settings, connect
from bus_amqp.settings import ConnectionSettings
from bus_amqp.testing.tcp_proxy import TcpProxy
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

SETTLED_AFTER = 50  # until then caches fill: compiled patterns, log formats, the allocator's pools
PAUSE_SECONDS = 0.01
DEADLINE_SECONDS = 30


def main(url: str, exchange: str, cuts: int) -> None:
    """Cut both connections that often, publish an event after each cut, and print what was held."""
    logging.disable(logging.WARNING)  # thousands
    arrived: set[int] = set()

    def note(event: Event) -> None:
        number = event.details["number"]
        assert isinstance(number, int)
        arrived.add(number)

    settings = Settings(exchange=exchange, connection=ConnectionSettings(reconnect_pause_seconds=PAUSE_SECONDS))
    before, settled = Counter[str](), {}
    with TcpProxy.to(url) as proxy, connect(proxy.url_through(url), settings=settings) as bus:
        bus.subscribe(EventTopic(), note)

        def has_settled(count: int) -> bool:
            return len(arrived) == count and bool(bus.health())

        def has_reconnected(wanted: int) -> bool:
            return bus.stats().reconnects >= wanted

        for number in range(cuts):
            wanted = bus.stats().reconnects + 2
            proxy.cut()
            wait_until(partial(has_reconnected, wanted), f"both connections again, cut {number}", DEADLINE_SECONDS)
            bus.publish(an_event(number))
            if number == SETTLED_AFTER:
                wait_until(partial(has_settled, number + 1), "all events so far, all well", DEADLINE_SECONDS)
                before, settled = _objects(), _held()
        wait_until(partial(has_settled, cuts), "all events, all well", DEADLINE_SECONDS)
        after, held = _objects(), _held()
        reconnects = bus.stats().reconnects
    grown = (after - before).most_common(9)
    held["objects"], settled["objects"] = after.total(), before.total()
    print(json.dumps({"reconnects": reconnects, "before": settled, "after": held, "grown": grown}))


def _objects() -> Counter[str]:
    gc.collect()
    return Counter(type(one).__qualname__ for one in gc.get_objects())


def _held() -> dict[str, Any]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "resident_kb": pages * os.sysconf("SC_PAGESIZE") // 1024,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
