"""``Scenario``: one fault, where it is inflicted, and what holds all the same.  And the register of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bus_amqp
from bus_amqp import Settings
from tests.chaos.part import Membership
from tests.chaos.verdict import Bounds

if TYPE_CHECKING:
    from tests.chaos.scene import Scene

LOCAL, DOCKER, CLUSTER = "local", "docker", "cluster"
LIBFAKETIME = "libfaketime (apt-get install faketime)"
STAGES = (LOCAL, DOCKER, CLUSTER)

PUBLISHERS = 2
PREFETCH = 100
CONFIRM_WINDOW = 256
HEARTBEAT_SECONDS = 2

WORK = Membership(name="work", group="work", workers=2)
ORDERED = Membership(name="ordered", group="ordered", ordered=True, workers=2)
TEMPORARY = Membership(name="tmp", workers=2)  # one of its own for each process that has it
# Three processes: the plain group's, the ordered group's, and two temporary subscriptions on the first two.
USUAL_CAST: tuple[tuple[Membership, ...], ...] = (
    (WORK, ORDERED, TEMPORARY),
    (WORK, ORDERED, TEMPORARY),
    (WORK, ORDERED),
)


class FaultDidNotBiteError(AssertionError):
    """The fault left no trace: the scenario proves nothing."""


def bitten(condition: object, what: str) -> str:
    """Return the proof; raise ``FaultDidNotBiteError`` if there is none."""
    if not condition:
        raise FaultDidNotBiteError(f"the fault did not bite: not {what}")
    return what


@dataclass(frozen=True)
class Scenario:
    """``inflict(scene)`` does the damage, undoes it, and returns the proof that it bit."""

    name: str
    title: str
    inflict: Callable[[Scene], str]
    stages: tuple[str, ...] = (LOCAL, DOCKER)
    needs: tuple[str, ...] = ()
    cast: tuple[tuple[Membership, ...], ...] = USUAL_CAST
    publisher: Mapping[str, Any] = field(default_factory=dict)  # settings
    consumer: Mapping[str, Any] = field(default_factory=dict)
    interruptions: int = 1  # how often all that is in hand may come a second time
    extra_duplicates: int = 0
    publisher_part: Mapping[str, Any] = field(default_factory=dict)
    publishers_have_outbox: bool = False  # on disk
    clock_file: bool = False  # processes run under libfaketime
    bounds: Mapping[str, float] = field(default_factory=dict)  # others than the usual

    def bounds_for(self, consumers: int, interruptions: int) -> Bounds:
        """Return the bounds with that many consumer processes, and what they had in hand lost that often."""
        in_hand = PREFETCH * consumers + CONFIRM_WINDOW * PUBLISHERS
        return Bounds(duplicates=interruptions * in_hand + self.extra_duplicates, **self.bounds)  # type: ignore[arg-type]

    def missing(self) -> list[str]:
        """Return which of its needs this bus, or this machine, does not have."""
        return [need for need in self.needs if not _has(need)]


REGISTER: dict[str, Scenario] = {}


def register(scenario: Scenario) -> Scenario:
    """Make it known.  Raises ``ValueError`` for a name that is taken."""
    if scenario.name in REGISTER:
        raise ValueError(f"there are two scenarios {scenario.name!r}")
    REGISTER[scenario.name] = scenario
    return scenario


def find_faketime() -> Path | None:
    """Return the library that lies to a process about the time, if this machine has it."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def _has(need: str) -> bool:
    """Whether the bus has a setting ``section.field`` or a name ``bus_amqp.Name``, or the machine ``libfaketime``."""
    if need == LIBFAKETIME:
        return find_faketime() is not None
    owner, _, name = need.rpartition(".")
    if owner == "bus_amqp":
        return hasattr(bus_amqp, name)
    section = Settings.model_fields[owner].annotation
    return name in section.model_fields  # type: ignore[union-attr]
