"""``Scene``: one scenario on one broker: its processes, the paths between them and the broker, its books.

Used by one thread.  It inflicts nothing by itself: the scenario's function does, with what the scene gives it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.topology import names
from tests.chaos.books import Books, Key
from tests.chaos.operator import Operator
from tests.chaos.part import Membership, Part
from tests.chaos.referee import Audience
from tests.chaos.scenario import CONFIRM_WINDOW, HEARTBEAT_SECONDS, PREFETCH, Scenario, find_faketime
from tests.chaos.troupe import Actor, Troupe
from tests.chaos.verdict import Excuse

_LOOK_SECONDS = 0.05
_RUNGS = ("1s", "5s", "30s", "2m", "10m", "1h")  # of retries
_READY_SECONDS = 60.0


class ScenarioFailedError(AssertionError):
    """It could not be played to its end."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much traffic a scenario has."""

    rate: float  # events a second, of each publisher
    phase_seconds: float  # before the fault, and after it, at least
    events: int  # offered in all, at least


@dataclass(slots=True)
class Override:
    """What the scenario's function wants the referee to know of a subscription."""

    wants: Callable[[Key], bool] | None = None
    may_want: Callable[[Key], bool] | None = None
    excuse: Excuse | None = None
    counts_as_one: bool = False  # a plain group: it is enough that one of its processes consumes again
    late_at_most: int = 0  # the fault has the broker itself break the order of what an ordered group has in hand


class Scene:
    """Owns the proxies; the troupe owns the processes."""

    def __init__(
        self, scenario: Scenario, broker: RealBroker, troupe: Troupe, directory: Path, scale: Scale,
        cluster: Any = None,
    ) -> None:  # fmt: skip
        self.scenario, self.broker, self.troupe, self.directory, self.scale = scenario, broker, troupe, directory, scale
        self.cluster = cluster
        self.operator = Operator(broker)
        self.exchange = f"chaos-{scenario.name}"
        self.books = Books()
        self.publishers: list[Actor] = []
        self.consumers: list[Actor] = []
        self.healed_at: int | None = None  # set by the scenario if it is not the end of its function
        self.interruptions = scenario.interruptions  # the scenario may count more
        self._overrides: dict[str, Override] = {}
        self._started = 0
        self._variables: dict[str, str] = {}
        self.clock_file = directory / "clock"
        if scenario.clock_file:
            self.set_clock("+0")
            self._variables = _faketime(self.clock_file)
        self._proxies = [] if cluster else [TcpProxy.to(broker.url), TcpProxy.to(broker.url)]

    @property
    def publish_path(self) -> TcpProxy:
        """The way of the publishers to the broker."""
        return self._proxies[0]

    @property
    def consume_path(self) -> TcpProxy:
        """The way of the consumers."""
        return self._proxies[1]

    @property
    def paths(self) -> list[TcpProxy]:
        """All ways to the broker."""
        return self._proxies

    def close(self) -> None:
        """Close the paths."""
        for proxy in self._proxies:
            proxy.close()

    # -- processes

    def start_publisher(self) -> Actor:
        """Start one more publishing process."""
        extra: dict[str, Any] = dict(self.scenario.publisher_part)
        actor = self._start("publisher", f"p{self._number()}", 0, rate=self.scale.rate, **extra)
        self.publishers.append(actor)
        return actor

    def start_consumer(self, memberships: tuple[Membership, ...]) -> Actor:
        """Start one more consuming process."""
        name = f"c{self._number()}"
        own = tuple(
            one if one.group else one.model_copy(update={"name": f"{one.name}-{name}"}) for one in memberships
        )  # fmt: skip
        actor = self._start("consumer", name, 1, memberships=own)
        self.consumers.append(actor)
        return actor

    def wait_ready(self, *actors: Actor) -> None:
        """Wait until they have subscribed, or connected."""
        names_wanted = {actor.name for actor in actors}
        self.wait_until(
            lambda: names_wanted <= {note.process for note in self.books.noted("ready")},
            f"{', '.join(sorted(names_wanted))} ready", _READY_SECONDS, actors,
        )  # fmt: skip

    def _number(self) -> int:
        self._started += 1
        return self._started

    def _start(self, module: str, name: str, path: int, **words: Any) -> Actor:
        urls = self.cluster.urls if self.cluster else (self._proxies[path].url_through(self.broker.url),)
        part = Part(
            name=name,
            directory=self.directory,
            urls=tuple(urls),
            exchange=self.exchange,
            settings=self._settings(is_publisher=module == "publisher"),
            **words,
        )
        return self.troupe.start(module, part, self._variables)

    def _settings(self, *, is_publisher: bool) -> Mapping[str, Any]:
        publisher: dict[str, Any] = {"confirm_window": CONFIRM_WINDOW, **self.scenario.publisher}
        if is_publisher and self.scenario.publishers_have_outbox:
            publisher["outbox_directory"] = str(self.directory / "outbox")
        return {
            "connection": {"heartbeat_seconds": HEARTBEAT_SECONDS},
            "publisher": publisher,
            "consumer": {"prefetch": PREFETCH, **self.scenario.consumer},
        }

    # -- time and books

    def read(self) -> None:
        """Bring the books up to date."""
        for actor in self.troupe.actors:
            self.books.read(actor.name, actor.ledger)

    def wait_until(
        self, condition: Callable[[], object], what: str, timeout_seconds: float = 30.0, actors: tuple[Actor, ...] = ()
    ) -> None:
        """Wait, reading the books; raise ``ScenarioFailedError`` at the deadline, or if one of ``actors`` ends."""
        deadline = time.monotonic() + timeout_seconds
        pause = threading.Event()
        while True:
            self.read()
            if condition():
                return
            for actor in actors:
                if not actor.is_running:
                    raise ScenarioFailedError(f"{actor.name} ended instead of {what}: {actor.last_words()}")
            if time.monotonic() > deadline:
                raise ScenarioFailedError(f"waited {timeout_seconds:g} s in vain: {what}")
            pause.wait(_LOOK_SECONDS)

    def let_pass(self, seconds: float) -> None:
        """Let the traffic go on that long: the length of a fault is part of it."""
        until = time.monotonic() + seconds
        self.wait_until(lambda: time.monotonic() >= until, "time", seconds + 30)

    def heal(self) -> None:
        """Say that the fault is over now."""
        self.healed_at = time.monotonic_ns()

    def set_clock(self, offset: str) -> None:
        """Set the clock of the processes (``-3600`` seconds, ``+0``)."""
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(offset + "\n")
        fresh.rename(self.clock_file)

    # -- the referee's

    def override(self, subscription: str) -> Override:
        """What the referee is told of a subscription; change it."""
        return self._overrides.setdefault(subscription, Override())

    def memberships(self) -> dict[str, Membership]:
        """All subscriptions that there were, by name."""
        return {one.name: one for actor in self.consumers for one in actor.part.memberships}

    def queue_of(self, subscription: str) -> str:
        """Return the queue of a group's subscription."""
        group = self.memberships()[subscription].group
        assert group is not None, f"{subscription} has no group: its queue is known to its process"
        return names.group_queue(self.exchange, group)

    def leftovers(self) -> list[str]:
        """Return the queues that the groups leave on the broker."""
        groups = {one.group for one in self.memberships().values() if one.group}
        own = [names.group_queue(self.exchange, group) for group in groups]
        waits = [f"{self.exchange}.wait.{rung}" for rung in _RUNGS]
        return [*own, *waits, *(names.dead_queue(self.exchange, group) for group in (*groups, None))]

    def exchanges(self) -> list[str]:
        """Return the exchanges that the buses leave on the broker."""
        ways = ["dead", "return", "astray", *(f"wait.{rung}" for rung in _RUNGS)]
        return [self.exchange, *(f"{self.exchange}.{way}" for way in ways)]

    def audiences(self) -> list[Audience]:
        """Return the subscriptions that are to have everything: groups, and temporary ones whose process lives."""
        found = []
        for name, membership in self.memberships().items():
            members = [
                actor.name
                for actor in self.consumers
                if actor.is_running and name in {one.name for one in actor.part.memberships}
            ]
            if not members:
                continue  # a temporary subscription ends with its process: nothing is promised to it
            override = self._overrides.get(name, Override())
            changes: dict[str, Any] = {}
            if override.wants:
                changes["wants"] = override.wants
            if override.may_want:
                changes["may_want"] = override.may_want
            found.append(
                Audience(
                    name=name,
                    keeps_order=membership.keeps_order,
                    since=0 if membership.group else self._ready_at(members[0]),
                    workers=() if membership.keeps_order or override.counts_as_one else tuple(members),
                    excuse=override.excuse,
                    late_at_most=override.late_at_most,
                    **changes,
                )
            )
        return found

    def _ready_at(self, process: str) -> int:
        return next((note.at for note in self.books.noted("ready") if note.process == process), 0)


def _faketime(clock_file: Path) -> dict[str, str]:
    library = find_faketime()
    if library is None:
        raise ScenarioFailedError("there is no libfaketime: on Debian and Ubuntu apt-get install faketime")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock_file),
        "FAKETIME_CACHE_DURATION": "1",  # seconds; without, each look at the clock reads the file
        # Else it mistakes the times that Python's interpreter lock waits for, and the processes crawl (measured:
        # threads that get the lock after 0.2 s instead of 0.04 s, publish() calls of 0.7 s, clock set back or not).
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
