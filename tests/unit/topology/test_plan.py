"""``bus_amqp.topology.plan``: what should exist on the broker.

The arguments are written out here a second time on purpose: they are for life, and a change must hurt.
"""

from uuid import UUID

import pytest

from bus_amqp.topology.plan import (
    Binding,
    Exchange,
    Plan,
    Queue,
    exclusive_plan,
    publisher_plan,
    rung_plan,
    subscription_plan,
    subscription_queue,
)

ID = UUID(int=7)
GROUP_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-dead-letter-exchange": "bus.events.dead",
    "x-dead-letter-routing-key": "billing",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-delivery-limit": 20,
}
TEMPORARY_ARGUMENTS = {
    "x-queue-type": "classic",
    "x-expires": 300_000,
    "x-single-active-consumer": True,
    "x-dead-letter-exchange": "bus.events.dead",
    "x-dead-letter-routing-key": "tmp",
}


def test_a_publisher_needs_the_exchange_and_nothing_else() -> None:
    """A user who may only publish has no right to more."""
    assert publisher_plan("bus.events") == Plan(exchanges=(Exchange("bus.events", "topic"),))


def test_a_groups_queue_has_the_designs_arguments() -> None:
    """Design, section 5: another value is refused by the broker on every machine that has the queue."""
    queue = subscription_queue("bus.events", "billing", ID, ordered=False)

    assert (queue.name, queue.arguments) == ("bus.events.billing", GROUP_ARGUMENTS)


def test_an_ordered_groups_queue_has_a_single_active_consumer() -> None:
    """P3: one process works, the others stand by."""
    queue = subscription_queue("bus.events", "billing", ID, ordered=True)

    assert queue.arguments == {**GROUP_ARGUMENTS, "x-single-active-consumer": True}


def test_a_temporary_queue_is_classic_and_expires() -> None:
    """A quorum queue with a random name costs the broker an atom for good; a queue that nobody reads must go."""
    queue = subscription_queue("bus.events", None, ID, ordered=False)

    assert (queue.name, queue.arguments) == (f"bus.events.tmp.{ID}", TEMPORARY_ARGUMENTS)


@pytest.mark.parametrize(("group", "key"), [("billing", "billing"), (None, "tmp")])
def test_a_subscription_comes_with_its_dead_letter_queue(group: str | None, key: str) -> None:
    """P5: dead letters need somewhere to land before the first of them."""
    queue = subscription_queue("bus.events", group, ID, ordered=False)

    plan = subscription_plan("bus.events", group, queue, ["*.*.*.*.*"])

    dead, main = plan.queues
    assert plan.exchanges[:2] == (Exchange("bus.events", "topic"), Exchange("bus.events.dead", "direct"))
    assert (dead.name, dead.arguments) == (
        f"bus.events.{key}.dead",
        {"x-queue-type": "quorum", "x-delivery-limit": 2147483647},
    )
    assert main is queue
    assert Binding("bus.events.dead", dead.name, key) in plan.bindings
    assert Binding("bus.events", queue.name, "*.*.*.*.*") in plan.bindings


def test_topics_that_share_a_binding_bind_once_and_in_order() -> None:
    """Two patterns of types have one coarse binding; the plan is the same however often it is made."""
    queue = subscription_queue("bus.events", "billing", ID, ordered=False)

    plan = subscription_plan("bus.events", "billing", queue, ["b.*.*.*.*", "a.*.*.*.*", "b.*.*.*.*"])

    keys = [binding.key for binding in plan.bindings if binding.exchange == "bus.events"]
    assert keys == ["b.*.*.*.*", "a.*.*.*.*"]


def test_dead_letters_of_a_queue_reach_the_queue_of_the_plan() -> None:
    """The queue's own dead-lettering and our copies must end in one place."""
    for group in ("billing", None):
        queue = subscription_queue("bus.events", group, ID, ordered=False)
        plan = subscription_plan("bus.events", group, queue, [])

        assert plan.bindings[0] == Binding(
            str(queue.arguments["x-dead-letter-exchange"]),
            plan.queues[0].name,
            str(queue.arguments["x-dead-letter-routing-key"]),
        )


@pytest.mark.parametrize(("group", "astray"), [("billing", "bus.events.billing"), (None, "bus.events.tmp.*")])
def test_what_has_waited_returns_to_its_queue_or_to_its_dead_letters(group: str | None, astray: str) -> None:
    """P5: by the queue's own name; what cannot return must not stay at the head of a rung and hold up the others.

    One binding for all temporary subscriptions: one for each would stay behind with every process that dies.
    """
    queue = subscription_queue("bus.events", group, ID, ordered=False)

    plan = subscription_plan("bus.events", group, queue, [])

    assert Binding("bus.events.return", queue.name, queue.name) in plan.bindings
    assert Binding("bus.events.astray", plan.queues[0].name, astray) in plan.bindings
    assert Exchange("bus.events.return", "direct", {"alternate-exchange": "bus.events.astray"}) in plan.exchanges


@pytest.mark.parametrize(("rung", "name"), [(1, "1s"), (30, "30s"), (120, "2m"), (600, "10m"), (3600, "1h")])
def test_a_rung_holds_what_waits_for_its_time(rung: int, name: str) -> None:
    """Arguments are for life: these are those of the design, on every version of the broker."""
    plan = rung_plan("bus.events", rung)

    [queue] = plan.queues
    assert (queue.name, queue.arguments) == (
        f"bus.events.wait.{name}",
        {
            "x-queue-type": "quorum",
            "x-message-ttl": rung * 1000,
            "x-dead-letter-exchange": "bus.events.return",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": 2147483647,
        },
    )
    assert plan.exchanges[-1] == Exchange(queue.name, "fanout")
    assert plan.bindings == (Binding(queue.name, queue.name, ""),)


def test_a_foreign_source_is_bound_to_the_exchange_of_others_which_is_not_declared() -> None:
    """Its dead letters and its returns are ours; of the others' exchange we need the right to read, and no more."""
    queue = subscription_queue("bus.events", "bridge", ID, ordered=True)

    plan = subscription_plan("bus.events", "bridge", queue, ("#", "a.*"), bound_to="theirs")

    own = subscription_plan("bus.events", "bridge", queue, ("#", "a.*"))
    assert (plan.exchanges, plan.queues) == (own.exchanges, own.queues)
    assert plan.bindings[:-2] == own.bindings[:-2]
    assert plan.bindings[-2:] == (Binding("theirs", queue.name, "#"), Binding("theirs", queue.name, "a.*"))


def test_who_only_looks_on_declares_a_queue_of_its_own_and_nothing_else() -> None:
    """On somebody's cloud nothing of ours may be left, nor any right be needed but for that queue."""
    plan = exclusive_plan("bus.events", ID, ("#",), bound_to="theirs")

    queue = Queue(f"bus.events.tmp.{ID}", {"x-queue-type": "classic"}, is_exclusive=True)
    assert plan == Plan(queues=(queue,), bindings=(Binding("theirs", queue.name, "#"),))
    assert plan.is_exclusive
    assert not publisher_plan("bus.events").is_exclusive
