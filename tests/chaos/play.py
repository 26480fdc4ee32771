"""Play one scenario: traffic, the fault, traffic again, the end, the verdict.

A ``Outcome`` comes out in every case; what went wrong is in it, with the last words of the processes.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace

import amqp

from bus_amqp import EventBusException
from bus_amqp.topology import names
from tests.chaos.books import Books, Key
from tests.chaos.referee import Audience, excused_from, judge, wanted_by
from tests.chaos.scenario import PUBLISHERS, FaultDidNotBiteError, Scenario
from tests.chaos.scene import ScenarioFailedError, Scene
from tests.chaos.verdict import Timeline, Verdict

FLOWING_EVENTS = 20  # handled by each subscription before the fault comes
AGAIN_SECONDS = 20.0  # after which a subscription that does not consume is given up; the bound is the referee's
DRAIN_SECONDS = 120.0
LOOK_INTO_DEAD_LETTERS_SECONDS = 1.0  # without one event handled
STALLED_SECONDS = 15.0  # without one event handled: what is missing will not come any more
FLUSH_SECONDS = 100.0
_SETTLE_SECONDS = 0.8  # three samples of each process, at rest


@dataclass(slots=True)
class Outcome:
    """What came of a scenario on a stage."""

    scenario: Scenario
    stage: str
    broker: str = ""
    proof: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    faults: list[str] = field(default_factory=list)  # why it was not played to its end, or ended badly
    seconds: float = 0.0

    @property
    def breaches(self) -> list[str]:
        """All that is wrong."""
        return [*self.faults, *self.verdict.breaches]

    @property
    def is_well(self) -> bool:
        """Whether every bound was kept."""
        return not self.breaches


def play(scene: Scene, outcome: Outcome) -> None:
    """Fill in the outcome.  Ends the scene's processes, whatever happens."""
    began_playing = time.monotonic()
    try:
        _play(scene, outcome)
    except (ScenarioFailedError, FaultDidNotBiteError, EventBusException, amqp.AMQPError, OSError) as exc:
        outcome.faults.append(f"{type(exc).__name__}: {exc}")
    finally:
        outcome.faults += _dead(scene)
        scene.troupe.__exit__(None, None, None)
        outcome.seconds = time.monotonic() - began_playing


def _play(scene: Scene, outcome: Outcome) -> None:
    _open(scene)
    began = time.monotonic_ns()
    scene.let_pass(scene.scale.phase_seconds)
    _wait_flowing(scene)
    struck = time.monotonic_ns()
    outcome.proof = scene.scenario.inflict(scene)
    healed = scene.healed_at or time.monotonic_ns()
    scene.let_pass(scene.scale.phase_seconds)
    _wait_consuming_again(scene, healed)
    scene.wait_until(lambda: len(scene.books.offered) >= scene.scale.events, "enough events", 300)
    outcome.faults += scene.troupe.end(scene.publishers, FLUSH_SECONDS)
    _drain(scene)
    scene.let_pass(_SETTLE_SECONDS)
    audiences = scene.audiences()  # now: they end with their processes
    ended = time.monotonic_ns()
    outcome.faults += scene.troupe.end(scene.consumers, 60)
    scene.read()
    audiences = [replace(one, parked=parked_in(scene, one.name)) for one in audiences]
    timeline = Timeline(began, struck, healed, ended)
    consumers = len([actor for actor in scene.consumers if actor.part.memberships])
    outcome.verdict = judge(scene.books, audiences, timeline, scene.scenario.bounds_for(consumers, scene.interruptions))


def _open(scene: Scene) -> None:
    actors = [scene.start_consumer(memberships) for memberships in scene.scenario.cast]
    scene.wait_ready(*actors)
    publishers = [scene.start_publisher() for _ in range(PUBLISHERS)]
    scene.wait_ready(*publishers)


def _wait_flowing(scene: Scene) -> None:
    audiences = scene.audiences()
    scene.wait_until(
        lambda: all(len(scene.books.handled[one.name]) >= FLOWING_EVENTS for one in audiences), "traffic everywhere"
    )


def _wait_consuming_again(scene: Scene, healed: int) -> None:
    """Wait until each subscription has handled an event of after the fault; give up quietly, the referee tells."""
    audiences = scene.audiences()
    deadline = time.monotonic() + AGAIN_SECONDS
    waiting = [one.name for one in audiences]
    while waiting and time.monotonic() < deadline:
        scene.let_pass(0.1)
        waiting = [name for name in waiting if not _handled_since(scene.books, name, healed)]


def _handled_since(books: Books, subscription: str, healed: int) -> bool:
    return any(books.offered.get(one.key, 0) >= healed for one in reversed(books.handled[subscription]))


def _drain(scene: Scene) -> None:
    """Wait until everything accepted was handled, parked or excused, or nothing comes any more."""
    audiences = scene.audiences()
    deadline = time.monotonic() + DRAIN_SECONDS
    last_count, since, has_looked = -1, time.monotonic(), False
    while time.monotonic() < deadline:
        scene.let_pass(0.2)
        books = scene.books
        count = sum(len(books.handled_keys[one.name]) for one in audiences)
        if count != last_count:
            last_count, since, has_looked = count, time.monotonic(), False
        idle_seconds = time.monotonic() - since
        if idle_seconds > LOOK_INTO_DEAD_LETTERS_SECONDS and not has_looked:
            has_looked = True
            audiences = [replace(one, parked=parked_in(scene, one.name)) for one in audiences]
        if idle_seconds > STALLED_SECONDS or not any(_missing(one, books) for one in audiences):
            return


def _missing(audience: Audience, books: Books) -> set[Key]:
    missing = wanted_by(audience, books) - books.handled_keys[audience.name] - audience.parked
    return missing - excused_from(missing, books, audience.excuse)


def parked_in(scene: Scene, subscription: str) -> frozenset[Key]:
    """Return the events in a group's dead-letter queue."""
    membership = scene.memberships()[subscription]
    if membership.group is None:
        return frozenset()
    return frozenset(
        Key(publisher, int(number))
        for body in scene.operator.bodies(names.dead_queue(scene.exchange, membership.group))
        if (told := _description(body)) and len(words := told.split(" ")) == 2
        for publisher, number in [words]
    )


def _description(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:  # poison: a scenario counts those itself
        return ""
    return str(found.get("description", "")) if isinstance(found, dict) else ""


def _dead(scene: Scene) -> list[str]:
    """Tell of processes that ended by themselves, with their last words."""
    return [
        f"{actor.name} ended by itself with status {actor.process.returncode}: {actor.last_words()}"
        for actor in scene.troupe.actors
        if not actor.is_running and actor.process.returncode > 0 and actor.process.returncode != 17
    ]
