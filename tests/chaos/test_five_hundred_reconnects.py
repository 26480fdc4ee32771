"""A connection that is lost again and again: the process that holds it must not grow, and must not give up."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bus_amqp import Event, EventBus, EventTopic, Settings, connect
from bus_amqp.settings import ConnectionSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.tcp_proxy import TcpProxy
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

RECONNECTS = 500
SETTLED_AFTER = 50  # until then caches fill: compiled patterns, log formats, the allocator's pools
PAUSE_SECONDS = 0.01
GROWTH_OBJECTS = 3600  # four for each connection made in between; a connection left behind is hundreds
GROWTH_KB = 16 * 1024  # a connection left behind is a hundred; the width is the allocator's
DEADLINE_SECONDS = 30


class Held:
    """What a process holds at a moment."""

    def __init__(self) -> None:
        gc.collect()
        self.objects = Counter(type(one).__qualname__ for one in gc.get_objects())
        self.resident_kb = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
        self.threads = {thread.name for thread in threading.enumerate()}
        self.descriptors = len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def proxy(rabbitmq_3_10: RealBroker) -> Iterator[TcpProxy]:
    with TcpProxy.to(rabbitmq_3_10.url) as proxy:
        yield proxy


@pytest.fixture
def bus(proxy: TcpProxy, rabbitmq_3_10: RealBroker, exchange: str) -> Iterator[EventBus]:
    settings = Settings(exchange=exchange, connection=ConnectionSettings(reconnect_pause_seconds=PAUSE_SECONDS))
    with connect(proxy.url_through(rabbitmq_3_10.url), settings=settings) as bus:
        yield bus


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    """Three thousand warnings, which pytest would keep in memory until the end of the test."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_five_hundred_reconnects_leave_nothing_behind(bus: EventBus, proxy: TcpProxy):
    """A flapping switch for a night: threads, sockets and memory stay as they were, and events still arrive."""
    arrived: set[int] = set()

    def note(event: Event) -> None:
        number = event.details["number"]
        assert isinstance(number, int)
        arrived.add(number)

    bus.subscribe(EventTopic(), note)
    before = None
    for number in range(RECONNECTS):
        wanted = bus.stats().reconnects + 2
        proxy.cut()
        wait_until(partial(_has_reconnected, bus, wanted), f"both connections again, cut {number}", DEADLINE_SECONDS)
        bus.publish(an_event(number))
        if number == SETTLED_AFTER:
            wait_until(bus.health, "all well", DEADLINE_SECONDS)
            wait_until(lambda: len(arrived) == SETTLED_AFTER + 1, "all events so far", DEADLINE_SECONDS)
            before = Held()
    wait_until(lambda: len(arrived) == RECONNECTS, "all events", DEADLINE_SECONDS)
    wait_until(bus.health, "all well", DEADLINE_SECONDS)

    after = Held()
    assert before is not None
    assert bus.stats().reconnects >= 2 * RECONNECTS
    assert after.threads == before.threads
    assert after.descriptors <= before.descriptors
    grown = after.objects - before.objects
    assert after.objects.total() - before.objects.total() < GROWTH_OBJECTS, grown.most_common(9)
    assert after.resident_kb - before.resident_kb < GROWTH_KB


def _has_reconnected(bus: EventBus, wanted: int) -> bool:
    return bus.stats().reconnects >= wanted
