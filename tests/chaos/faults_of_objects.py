"""Scenarios of queues, bindings and consumers: what an operator, or the broker itself, takes away from a subscription.

The one place where events may be lost: what lay in a queue that was deleted, and what was published while a
subscription had no queue or no binding.  The bound is the gap that the bus reported; for a binding, which cannot be
seen over AMQP, the interval of the audit.
"""

from __future__ import annotations

import time

from tests.chaos.scenario import PREFETCH, Scenario, bitten, register
from tests.chaos.scene import Scene
from tests.chaos.verdict import Excuse

AUDIT_SECONDS = 1.0
GROUPS = ("work", "ordered")
_SECOND = 1_000_000_000


def queues_deleted(scene: Scene) -> str:
    """The operator deletes the queues of both groups."""
    struck = time.monotonic_ns()
    # What lay in a consumer's hands can still be handled, and need not be: its acknowledgement has no queue any more.
    held = {name: scene.operator.delete_queue(scene.queue_of(name)) for name in GROUPS}
    scene.wait_until(lambda: {gap.subscription for gap in scene.books.gaps} >= set(GROUPS), "the gaps reported", 20)
    scene.wait_until(lambda: all(scene.operator.consumers(scene.queue_of(name)) for name in GROUPS), "consumers", 20)
    told = []
    for name in GROUPS:
        until = max(_monotonic(gap.until) for gap in scene.books.gaps if gap.subscription == name)
        scene.override(name).excuse = Excuse(since=struck, until=until, held=held[name] + _in_hand(scene))
        told.append(f"{name}: {(until - struck) / _SECOND:.2f} s")
    scene.heal()
    return f"{bitten(len(told) == 2, 'queues deleted, gaps reported')}: {', '.join(told)}"


def bindings_deleted(scene: Scene) -> str:
    """The operator removes the groups' bindings; nothing tells the bus."""
    struck = time.monotonic_ns()
    for name in GROUPS:
        scene.operator.unbind(scene.queue_of(name), scene.exchange)
    counts = {name: len(scene.books.handled[name]) for name in GROUPS}
    scene.let_pass(0.5)
    counts = {name: len(scene.books.handled[name]) for name in GROUPS}
    scene.wait_until(
        lambda: all(len(scene.books.handled[name]) > counts[name] + 20 for name in GROUPS), "events again", 20
    )
    scene.heal()
    missed = {}
    for name in GROUPS:
        scene.override(name).excuse = Excuse(since=struck, until=struck + int(3 * AUDIT_SECONDS * _SECOND))
        missed[name] = sum(
            key not in scene.books.handled_keys[name] for key, at in scene.books.confirmed.items()
            if struck <= at < scene.healed_at - _SECOND // 2  # type: ignore[operator]
        )  # fmt: skip
    return f"{bitten(all(missed.values()), 'events confirmed that no binding led to a queue')}: {missed}"


def consumers_cancelled(scene: Scene) -> str:
    """The broker cancels all consumers, and says so.

    It hands on to the next member at once, and takes back what the cancelled one holds when that closes its channel.
    By itself it cancels only where there is no next one: when the queue is deleted or its node is lost.
    """
    scene.override("ordered").late_at_most = _in_hand(scene)
    count = scene.operator.cancel_consumers(scene.exchange)
    scene.heal()
    return f"{bitten(count >= 5, 'consumers cancelled')}: {count}"


def ghosts(scene: Scene) -> str:
    """The broker has no consumer any more, and the processes believe they consume."""
    scene.override("ordered").late_at_most = _in_hand(scene)  # as above
    count = scene.operator.take_consumers_away(scene.exchange)
    # While one member of a plain group keeps the queue empty, nobody can see over AMQP that another is a ghost.
    scene.override("work").counts_as_one = True
    scene.wait_until(lambda: all(scene.operator.consumers(scene.queue_of(name)) for name in GROUPS), "consumers", 30)
    scene.heal()
    return f"{bitten(count >= 5, 'consumers taken away in silence')}: {count}"


def channels_closed(scene: Scene) -> str:
    """The broker closes each consumer's channel with 406."""
    count = scene.operator.break_channels(scene.exchange)
    scene.heal()
    told = sum("unknown delivery tag" in actor.log.read_text() for actor in scene.consumers)
    return f"{bitten(count >= 5, 'channels closed with 406')}: {count}, {told} processes logged it"


def _in_hand(scene: Scene) -> int:
    """Return how many events of a group its processes hold at most."""
    return len(scene.consumers) * PREFETCH


def _monotonic(wall_seconds: float) -> int:
    """Return the monotonic nanoseconds of a time of the wall clock."""
    return time.monotonic_ns() + int((wall_seconds - time.time()) * _SECOND)


_AUDIT = {"audit_seconds": AUDIT_SECONDS}
register(Scenario("queues-deleted", "operator deletes the groups' queues", queues_deleted))
register(
    Scenario(
        "bindings-deleted", "operator deletes the groups' bindings", bindings_deleted,
        needs=("consumer.audit_seconds",), consumer=_AUDIT, interruptions=0,
    )
)  # fmt: skip
register(Scenario("consumers-cancelled", "broker cancels all consumers", consumers_cancelled))
register(
    Scenario(
        "ghosts", "consumers gone at the broker, nobody told", ghosts, needs=("consumer.audit_seconds",),
        consumer=_AUDIT,
    )
)  # fmt: skip
register(Scenario("channels-closed", "broker closes channels with 406", channels_closed))
