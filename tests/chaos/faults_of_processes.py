"""Scenarios of processes: killed, restarted, upgraded, failing, with a full disk, with a clock that jumps."""

from __future__ import annotations

from itertools import pairwise

from bus_amqp.topology import names
from tests.chaos.consumer import EXIT_STATUS, FAILING_SHARE
from tests.chaos.part import NARROW, WIDE, Membership
from tests.chaos.scenario import LIBFAKETIME, TEMPORARY, USUAL_CAST, WORK, Scenario, bitten, register
from tests.chaos.scene import Scene
from tests.chaos.troupe import Actor

HOUR_SECONDS = 3600
FILE_LIMIT_BYTES = 4 * 1024 * 1024
PADDING_BYTES = 8 * 1024  # so that the outbox meets that limit within seconds, and the ledger never
_END_SECONDS = 60.0

_MOODY = WORK.model_copy(update={"has_moods": True})
_MOODY_CAST = tuple(tuple(_MOODY if one is WORK else one for one in cast) for cast in USUAL_CAST)
_QUICK_RETRY = {"attempts": 5, "delays_seconds": (1,)}
_RETRYING = _MOODY.model_copy(update={"retry": _QUICK_RETRY})
_NARROW_CAST: tuple[tuple[Membership, ...], ...] = tuple(
    (one.model_copy(update={"event_types": (NARROW,)}),) for one in (WORK, WORK, WORK)
)


def consumer_killed(scene: Scene) -> str:
    """SIGKILL the one that works for the ordered group; the operator's machinery starts another."""
    victim = _at_work(scene, "ordered")
    status = victim.kill()
    scene.heal()
    _replace(scene, victim)
    return bitten(status == -9, f"{victim.name} killed by signal 9 (pid {victim.process.pid})")


def consumers_restarted(scene: Scene) -> str:
    """A rolling restart: each process ends in good order, then its successor starts."""
    leaving = list(scene.consumers)
    for actor in leaving:
        faults = scene.troupe.end([actor], _END_SECONDS)
        bitten(not faults, f"a clean end: {faults}")
        _replace(scene, actor)
    return bitten(len(leaving) == 3, "3 processes ended with status 0, 3 started")


def topics_widened(scene: Scene) -> str:
    """A rolling upgrade: each successor of a process asks for one type of events more."""
    both = WORK.model_copy(update={"event_types": (NARROW, WIDE)})
    newest_before = 0
    for number, actor in enumerate(list(scene.consumers)):
        if number == 0:
            newest_before = max(scene.books.offered.values())
        scene.troupe.end([actor], _END_SECONDS)
        successor = scene.start_consumer((both,))
        scene.wait_ready(successor)
        if number == 0:
            bound_at = scene.books.noted("ready")[-1].at
    scene.heal()
    override = scene.override("work")
    offered = scene.books.offered
    # Between the start of the first successor and its word that it is ready, the binding came: nobody knows when.
    override.wants = lambda key: key.number % 2 == 0 or offered.get(key, 0) > bound_at
    override.may_want = lambda key: offered.get(key, 0) > newest_before
    scene.let_pass(scene.scale.phase_seconds)
    wide = [key for key in scene.books.handled_keys["work"] if key.number % 2]
    return f"{bitten(wide, 'events of the new type handled')}: {len(wide)}"


def handlers_raise(scene: Scene) -> str:
    """One event of twenty fails at its first attempt in each process, for two seconds."""
    mood = scene.directory / "raise"
    mood.touch()
    scene.let_pass(2.0)
    mood.unlink()
    scene.heal()
    raised = len(scene.books.noted("raised"))
    return f"{bitten(raised > 0, 'handlers raised')}: {raised}, one event of {FAILING_SHARE}"


def handlers_hang(scene: Scene) -> str:
    """Two handlers hang, for twice as long as a heartbeat."""
    for _ in range(2):
        (scene.directory / "hang").touch()
        scene.wait_until(lambda: not (scene.directory / "hang").exists(), "a handler that hangs")
        scene.let_pass(0.5)
    scene.heal()
    scene.let_pass(4.0)
    return f"{bitten(len(scene.books.noted('hung')) == 2, 'handlers hung')}: 2, for 4 s"


def handlers_exit(scene: Scene) -> str:
    """A handler ends its process; another is started in its place."""
    (scene.directory / "exit").touch()
    scene.wait_until(lambda: any(not actor.is_running for actor in scene.consumers), "a process that exits")
    scene.heal()
    (victim,) = (actor for actor in scene.consumers if not actor.is_running)
    _replace(scene, victim)
    return bitten(victim.process.returncode == EXIT_STATUS, f"{victim.name} ended with status {EXIT_STATUS}")


def publisher_killed(scene: Scene) -> str:
    """SIGKILL a publisher that cannot reach the broker; one on the same directory sends what it left."""
    victim = scene.publishers[0]
    scene.publish_path.refuse()
    scene.let_pass(1.0)
    status = victim.kill()
    scene.read()
    left = sum(
        key.publisher == victim.name and key not in scene.books.confirmed for key in scene.books.accepted
    )  # fmt: skip
    scene.publish_path.restore()
    scene.heal()
    scene.wait_ready(scene.start_publisher())
    return f"{bitten(status == -9 and left > 0, 'killed with accepted events unconfirmed')}: {left} of {victim.name}"


def publisher_killed_without_disk(scene: Scene) -> str:
    """The same with the outbox in memory: what the broker had not confirmed dies with the process, and no more."""
    victim = scene.publishers[0]
    scene.publish_path.refuse()
    scene.let_pass(1.0)
    status = victim.kill()
    scene.read()
    left = {key for key in scene.books.accepted if key.publisher == victim.name and key not in scene.books.confirmed}
    for name in scene.memberships():
        override = scene.override(name)
        override.wants, override.may_want = (lambda key: key not in left), (lambda key: key in left)
    scene.publish_path.restore()
    scene.heal()
    scene.wait_ready(scene.start_publisher())
    return f"{bitten(status == -9 and left, 'killed with accepted events unconfirmed, which are gone')}: {len(left)}"


def outbox_disk_full(scene: Scene) -> str:
    """The broker away, and no room on disk for what waits: the callers are told, and what was accepted is kept."""
    scene.publish_path.refuse()
    scene.wait_until(lambda: len(scene.books.refused) > 20, "events refused for want of room", 60)
    scene.publish_path.restore()
    scene.heal()
    refused = len(scene.books.refused)
    kinds = sorted(set(scene.books.refused.values()))
    before = len(scene.books.accepted)
    scene.wait_until(lambda: len(scene.books.accepted) > before, "events accepted again", 30)
    return f"{bitten(refused > 0, 'events refused')}: {refused}, with {', '.join(kinds)}"


def clock_set_back(scene: Scene) -> str:
    """The clock of all processes goes back an hour."""
    scene.set_clock(f"-{HOUR_SECONDS}")
    processes = len(scene.publishers) + len(scene.consumers)
    scene.wait_until(lambda: _clocks_set_back(scene) == processes, "all clocks set back", 20)
    scene.let_pass(1.0)
    scene.heal()
    return f"clocks of {_clocks_set_back(scene)} processes set back {HOUR_SECONDS} s"


def _clocks_set_back(scene: Scene) -> int:
    return sum(
        any(earlier.wall - later.wall > HOUR_SECONDS / 2 for earlier, later in pairwise(samples))
        for samples in scene.books.samples.values()
    )


def poison_flood(scene: Scene) -> str:
    """Thousands of messages that nobody can decode, in the middle of the others."""
    count = 3000
    queue = names.dead_queue(scene.exchange, "work")
    scene.operator.publish_raw(scene.exchange, "A.B.C.D.E", b"{ this is no JSON", count)
    scene.heal()

    def parked() -> int:
        state = scene.operator.queue_state(queue)
        return state[0] if state else 0

    scene.wait_until(lambda: parked() >= count, "all poison in the dead-letter queue", 60)
    return f"{bitten(parked() == count, 'poison dead-lettered')}: {count} messages, for each group"


def _at_work(scene: Scene, subscription: str) -> Actor:
    """Return the process that handled the last event of a subscription."""
    scene.read()
    last = scene.books.handled[subscription][-1].process
    return next(actor for actor in scene.consumers if actor.name == last)


def _replace(scene: Scene, actor: Actor) -> Actor:
    memberships = tuple(
        one if one.group else one.model_copy(update={"name": TEMPORARY.name}) for one in actor.part.memberships
    )
    successor = scene.start_consumer(memberships)
    scene.wait_ready(successor)
    return successor


# Their consumers lose no connection: what is measured is the one other publisher's way back, a single random pause.
_ONE_PUBLISHER = {"again_p50_seconds": 5.0}
_RUNNING = 12  # what may run at once: two workers of three processes, and their successors
register(Scenario("consumer-killed", "consumer: kill -9", consumer_killed))
register(
    Scenario(
        "rolling-restart",
        "rolling restart of consumers",
        consumers_restarted,
        interruptions=0,
        extra_duplicates=_RUNNING,
    )
)
register(
    Scenario(
        "rolling-upgrade", "rolling upgrade that widens topics", topics_widened, cast=_NARROW_CAST,
        interruptions=0, extra_duplicates=_RUNNING,
    )
)  # fmt: skip
register(
    Scenario(
        "handlers-raise", "handlers that raise", handlers_raise, needs=("bus_amqp.RetryPolicy",),
        cast=tuple(tuple(_RETRYING if one is WORK else one for one in cast) for cast in USUAL_CAST), interruptions=0,
    )
)  # fmt: skip
register(Scenario("handlers-hang", "handlers that hang", handlers_hang, cast=_MOODY_CAST, interruptions=0))
register(Scenario("handlers-exit", "a handler that ends its process", handlers_exit, cast=_MOODY_CAST))
register(Scenario("poison-flood", "flood of undecodable messages", poison_flood, interruptions=0))
register(
    Scenario(
        "clock-set-back",
        "clock set back an hour",
        clock_set_back,
        needs=(LIBFAKETIME,),
        clock_file=True,
        interruptions=0,
    )
)
register(
    Scenario(
        "publisher-killed", "publisher: kill -9, disk outbox", publisher_killed,
        needs=("publisher.outbox_directory",), publishers_have_outbox=True, bounds=_ONE_PUBLISHER,
    )
)  # fmt: skip
register(
    Scenario(
        "publisher-killed-memory", "publisher: kill -9, outbox in memory", publisher_killed_without_disk,
        bounds=_ONE_PUBLISHER,
    )
)  # fmt: skip
register(
    Scenario(
        "outbox-disk-full", "disk of the outbox full", outbox_disk_full,
        needs=("publisher.outbox_directory",), publishers_have_outbox=True,
        bounds=_ONE_PUBLISHER, publisher_part={"file_limit_bytes": FILE_LIMIT_BYTES, "padding_bytes": PADDING_BYTES},
    )
)  # fmt: skip
