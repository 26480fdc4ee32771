"""Events and subscribers that the tests of the promises share."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar
from weakref import WeakSet

from bus_amqp import Event
from tests.promise.waiting import TIMEOUT_SECONDS


def an_event(number: int = 0, resource: str = "r-0", **fields: object) -> Event:
    """Return one event; ``details["number"]`` tells which."""
    given: dict[str, object] = {
        "event_category": "ResourceStateEvent",
        "event_type": "VM.START",
        "event_source": "management-server",
        "resource_type": "VirtualMachine",
        "resource_uuid": resource,
        "details": {"number": number},
        **fields,
    }
    return Event(**given)  # type: ignore[arg-type]  # a test's short hand


def events_of(count: int, resources: int = 3) -> list[Event]:
    """Return events of a few resources, in turn; ``number`` counts up for each resource by itself."""
    return [an_event(number // resources, f"r-{number % resources}") for number in range(count)]


def number_of(event: Event) -> int:
    """Return which event it is."""
    number = event.details["number"]
    assert isinstance(number, int)
    return number


class Gate:
    """A subscriber that stays inside ``on_event`` until it is let go (at the latest at the end of the test)."""

    all_gates: ClassVar[WeakSet[Gate]] = WeakSet()  # so that a test that fails leaves no thread inside

    def __init__(self) -> None:
        self.all_gates.add(self)
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._started: list[Event] = []  # guarded by _lock
        self._finished: list[Event] = []  # guarded by _lock

    def on_event(self, event: Event) -> None:
        with self._lock:
            self._started.append(event)
        self.entered.release()
        self._open.wait(TIMEOUT_SECONDS)
        with self._lock:
            self._finished.append(event)

    @property
    def started(self) -> list[Event]:
        with self._lock:
            return list(self._started)

    @property
    def finished(self) -> list[Event]:
        with self._lock:
            return list(self._finished)

    def wait_entered(self, count: int = 1) -> None:
        """Return once that many more callbacks are inside."""
        for _ in range(count):
            assert self.entered.acquire(timeout=TIMEOUT_SECONDS), "the subscriber was not called"

    def let_go(self) -> None:
        """Let all callbacks end, those of later events too."""
        self._open.set()


class OrderWitness:
    """Takes a random time over each event and notes, per resource, in which order they were first handled.

    Several subscriptions may share one, as processes share a group.  It never raises: what it saw is asked afterwards.
    """

    def __init__(self, *, longest_seconds: float = 0.004, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._longest = longest_seconds
        self._never = threading.Event()
        self._changed = threading.Condition()  # guards what follows; never held while a handler takes its time
        self._inside: Counter[tuple[str, str]] = Counter()
        self._first: dict[str, list[int]] = {}
        self._seen: set[tuple[str, int]] = set()
        self._by: Counter[str] = Counter()
        self._overlaps: list[str] = []
        self._most_inside = 0

    def as_member(self, name: str) -> Callable[[Event], None]:
        """Return the subscriber of one process of the group: two of a resource must not meet inside it."""

        def on_event(event: Event) -> None:
            pause_seconds = self._enter(name, event)
            try:
                self._never.wait(pause_seconds)  # a handler's own work; random, so that workers overtake each other
            finally:
                self._leave(name, event)

        return on_event

    def as_coroutine(self, name: str) -> Callable[[Event], object]:
        """Return the same as a coroutine subscriber."""

        async def on_event(event: Event) -> None:
            pause_seconds = self._enter(name, event)
            try:
                await asyncio.sleep(pause_seconds)
            finally:
                self._leave(name, event)

        return on_event

    def on_event(self, event: Event) -> None:
        self.as_member("only")(event)

    def _enter(self, name: str, event: Event) -> float:
        resource, number = event.resource_uuid, number_of(event)
        with self._changed:
            self._inside[name, resource] += 1
            if self._inside[name, resource] > 1:
                self._overlaps.append(f"{name}: {resource} {number}")
            self._most_inside = max(self._most_inside, self._inside.total())
            if (resource, number) not in self._seen:
                self._seen.add((resource, number))
                self._first.setdefault(resource, []).append(number)
                self._by[name] += 1
            self._changed.notify_all()
            return self._random.uniform(0, self._longest)

    def _leave(self, name: str, event: Event) -> None:
        with self._changed:
            self._inside[name, event.resource_uuid] -= 1

    @property
    def count(self) -> int:
        """How many different events were handled."""
        with self._changed:
            return len(self._seen)

    def handled_first_by(self, name: str) -> int:
        """How many events this member was the first to handle."""
        with self._changed:
            return self._by[name]

    def wait_for(self, count: int, timeout_seconds: float = 3 * TIMEOUT_SECONDS) -> None:
        """Wait until that many different events were handled."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while len(self._seen) < count:
                remaining = deadline - time.monotonic()
                assert remaining > 0, f"{len(self._seen)} of {count} events came in {timeout_seconds:g} s"
                self._changed.wait(remaining)

    def assert_in_order(self, events: Sequence[Event]) -> None:
        """Every event was handled, first handled in the order of ``events``, and never two of a resource at once."""
        with self._changed:
            first, overlaps = {key: list(value) for key, value in self._first.items()}, list(self._overlaps)
        assert first == _numbers_by_resource(events)
        assert overlaps == []

    def assert_workers_were_busy(self) -> None:
        """More than one handler ran at a time: without that, order proves nothing."""
        assert self._most_inside > 1


def _numbers_by_resource(events: Iterable[Event]) -> dict[str, list[int]]:
    numbers: dict[str, list[int]] = {}
    for event in events:
        numbers.setdefault(event.resource_uuid, []).append(number_of(event))
    return numbers
