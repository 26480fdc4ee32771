"""Scenarios of the network: what a path between a process and the broker can do to them."""

from __future__ import annotations

import statistics
import time

from tests.chaos.books import Books
from tests.chaos.scenario import HEARTBEAT_SECONDS, Scenario, bitten, register
from tests.chaos.scene import Scene

REPEATS = 3  # of faults that take no time: traffic flows in between
SILENCE_SECONDS = 3.5 * HEARTBEAT_SECONDS  # longer than both sides wait
SLOW_SECONDS = 2.0
USUAL_NS = 2_000_000_000  # before the fault: in a soak, events of earlier faults have waited for seconds
DELAY_SECONDS = 0.15
THROTTLED_BYTES = 40_000  # a second, each connection and direction
DRIBBLE_PIECES = 1000


def reset(scene: Scene) -> str:
    """Reset all connections, three times in a row."""
    cut = 0
    before = _made(scene)
    for _ in range(REPEATS):
        cut += _open_connections(scene)
        for path in scene.paths:
            path.cut()
        scene.wait_until(lambda: all(path.connections >= 1 for path in scene.paths), "new connections")
        scene.let_pass(0.3)
    return f"{bitten(cut >= 4, 'connections cut')}: {cut}, {_made(scene) - before} new ones"


def blackhole_up(scene: Scene) -> str:
    """Hold back all that goes to the broker."""
    return _blackhole(scene, up=True, down=False)


def blackhole_down(scene: Scene) -> str:
    """Hold back all that the broker sends."""
    return _blackhole(scene, up=False, down=True)


def _blackhole(scene: Scene, *, up: bool, down: bool) -> str:
    before = _made(scene)
    for path in scene.paths:
        path.blackhole(up=up, down=down)
    scene.let_pass(SILENCE_SECONDS)
    held = sum(path.held_bytes for path in scene.paths)
    for path in scene.paths:
        path.restore()
    scene.heal()
    scene.wait_until(lambda: _made(scene) > before, "connections made again")
    return f"{bitten(held > 0, 'bytes held back')}: {held} at the end, {_made(scene) - before} connections made again"


def half_open(scene: Scene) -> str:
    """Reset the broker's side; the processes hear nothing, and have two heartbeats to notice."""
    before, lost = _made(scene), _open_connections(scene)
    for path in scene.paths:
        path.half_open()
    scene.let_pass(2 * HEARTBEAT_SECONDS)
    scene.heal()
    scene.wait_until(lambda: _made(scene) - before >= lost, "connections made again")
    return f"{bitten(lost >= 4, 'connections half-open')}: {lost}, {_made(scene) - before} made again"


def latency(scene: Scene) -> str:
    """Every byte comes later."""
    for path in scene.paths:
        path.delay(DELAY_SECONDS)
    return _slowed(scene, at_least_seconds=2 * DELAY_SECONDS)


def throttled(scene: Scene) -> str:
    """A narrow path."""
    for path in scene.paths:
        path.throttle(THROTTLED_BYTES)
    return _slowed(scene, at_least_seconds=0.0)


def dribbled(scene: Scene) -> str:
    """One byte at a time."""
    before = sum(path.pieces for path in scene.paths)
    for path in scene.paths:
        path.chop(1)
    slowed = _slowed(scene, at_least_seconds=0.0)
    pieces = sum(path.pieces for path in scene.paths) - before
    return f"{bitten(pieces > DRIBBLE_PIECES, 'pieces of one byte')}: {pieces}; {slowed}"


def _slowed(scene: Scene, *, at_least_seconds: float) -> str:
    """Let it be slow for a while, then restore; prove by the ledgers that confirms took longer."""
    before = scene.operator.lasting_connections()
    usual = _median_confirm(scene.books, since=time.monotonic_ns() - USUAL_NS)
    known = set(scene.books.confirmed)
    scene.let_pass(SLOW_SECONDS)
    for path in scene.paths:
        path.restore()
    scene.heal()
    scene.let_pass(1.0)
    slow = _median_confirm(scene.books, but=known)
    proof = bitten(slow > max(2 * usual, at_least_seconds), "confirms late")
    bitten(before and scene.operator.lasting_connections() == before, "the same connections kept")
    return f"{proof}: median {slow * 1000:.0f} ms after {usual * 1000:.0f} ms, the same connections kept"


def _median_confirm(books: Books, *, since: int = 0, but: object = ()) -> float:
    """Return the median of the seconds to the confirm, of events accepted since then."""
    seconds = [
        (at - books.accepted[key]) / 1e9 for key, at in books.confirmed.items()
        if books.accepted.get(key, -1) >= since and key not in but  # type: ignore[operator]
    ]  # fmt: skip
    return statistics.median(seconds) if seconds else 0.0


def _made(scene: Scene) -> int:
    return sum(path.accepted for path in scene.paths)


def _open_connections(scene: Scene) -> int:
    return sum(path.connections for path in scene.paths)


register(Scenario("reset", "connections reset, three times", reset, interruptions=REPEATS))
register(Scenario("blackhole-up", "nothing reaches the broker", blackhole_up, interruptions=2))
register(Scenario("blackhole-down", "nothing comes from the broker", blackhole_down, interruptions=2))
register(Scenario("half-open", "the broker has lost the connections, the processes have not heard", half_open))
register(Scenario("latency", f"every byte {DELAY_SECONDS * 1000:.0f} ms late", latency, interruptions=0))
register(Scenario("throttled", f"{THROTTLED_BYTES // 1000} kB/s", throttled, interruptions=0))
register(Scenario("dribbled", "one byte at a time", dribbled, interruptions=0))
