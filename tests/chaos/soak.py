"""The soak: ten minutes of traffic in which one fault after the other strikes at random, and nothing may grow.

The processes live through all of it: what they held in the first minute they hold in the last one.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from tests.chaos import faults_of_brokers as brokers
from tests.chaos import faults_of_objects as objects
from tests.chaos import faults_of_paths as paths
from tests.chaos.scenario import Scenario, bitten
from tests.chaos.scene import Scene

PAUSE_SECONDS = (1.0, 5.0)
SETTLE_SECONDS = 60.0
FAULTS = (
    brokers.broker_killed,
    brokers.broker_restarted,
    brokers.connections_closed,
    brokers.memory_alarm,
    brokers.disk_alarm,
    objects.consumers_cancelled,
    objects.channels_closed,
    paths.reset,
    paths.blackhole_up,
    paths.blackhole_down,
    paths.half_open,
    paths.latency,
    paths.throttled,
    paths.dribbled,
)


def soak(seconds: float, seed: int) -> Scenario:
    """Return the scenario; the same seed makes the same faults in the same order."""

    def inflict(scene: Scene) -> str:
        chance = random.Random(seed)
        until = time.monotonic() + seconds
        struck: Counter[str] = Counter()
        usual = len(scene.operator.lasting_connections())
        while time.monotonic() < until:
            _settle(scene, usual)
            fault = chance.choice(FAULTS)
            fault(scene)
            struck[fault.__name__] += 1
            scene.interruptions = sum(struck.values()) * paths.REPEATS
            scene.let_pass(chance.uniform(*PAUSE_SECONDS))
        scene.heal()
        told = ", ".join(f"{name} {count}" for name, count in sorted(struck.items()))
        return f"{bitten(sum(struck.values()) >= seconds / 60, 'faults')}, seed {seed}: {told}"

    return Scenario("soak", f"{seconds:g} s of random faults", inflict)


def _settle(scene: Scene, usual: int) -> None:
    """Wait until all is as usual, or a fault would be held to account for the one before it.

    After a path was silent, the broker lists for some heartbeats what the processes have given up, and a fault that
    must leave all connections alone would be told that one is missing; one that must make confirms late would find
    them late already.
    """
    scene.wait_until(
        lambda: len(scene.operator.lasting_connections()) == usual, f"the usual {usual} connections", SETTLE_SECONDS
    )
    books = scene.books
    scene.wait_until(
        lambda: len(books.accepted) - len(books.confirmed) < scene.scale.rate, "the backlog sent", SETTLE_SECONDS
    )
