"""P3: events of one resource are first handled in publish order, one at a time, whatever breaks."""

import threading

import pytest

from bus_amqp import Event, EventBus, EventTopic
from tests.promise.subscribers import OrderWitness, an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

COUNT = 900
WORKERS = 8
CUTS_AT = (60, 250, 450, 700)  # events handled when the connections are cut


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_p3_a_temporary_subscription_keeps_order_while_connections_are_cut(world: World, is_coroutine: bool) -> None:
    """Eight workers, random handler times, three resources: one busy key forgotten and two of a kind meet."""
    witness = OrderWitness()
    bus = world.connect(publisher={"publish_timeout_seconds": 60})
    subscriber = witness.as_coroutine("only") if is_coroutine else witness
    bus.subscribe(EventTopic(), subscriber, workers=WORKERS)
    events = events_of(COUNT)
    publisher = _publish_in_a_thread(bus, events)

    for handled in CUTS_AT:
        witness.wait_for(handled)
        world.cut_connections()

    witness.wait_for(COUNT)
    publisher.join(3 * TIMEOUT_SECONDS)
    witness.assert_in_order(events)
    witness.assert_workers_were_busy()


def test_p3_a_single_worker_keeps_order_while_connections_are_cut(world: World) -> None:
    """One worker takes events in batches: what it has not started of a batch is stale with the connection."""
    witness = OrderWitness(longest_seconds=0.002)
    bus = world.connect(publisher={"publish_timeout_seconds": 60})
    bus.subscribe(EventTopic(), witness)
    events = events_of(COUNT)
    publisher = _publish_in_a_thread(bus, events)

    for handled in CUTS_AT:
        witness.wait_for(handled)
        world.cut_connections()

    witness.wait_for(COUNT)
    publisher.join(3 * TIMEOUT_SECONDS)
    witness.assert_in_order(events)


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_p3_an_ordered_group_keeps_order_when_its_active_member_is_cut_off(world: World, is_coroutine: bool) -> None:
    """The member that stood by takes over at the first event that the other has not settled."""
    witness = OrderWitness()
    publisher_bus = world.connect(publisher={"publish_timeout_seconds": 60})
    members = {name: world.connect() for name in ("one", "two")}
    for name, member in members.items():
        subscriber = witness.as_coroutine(name) if is_coroutine else witness.as_member(name)
        member.subscribe(EventTopic(), subscriber, group="workflow", ordered=True, workers=WORKERS)
    events = events_of(COUNT)
    publisher = _publish_in_a_thread(publisher_bus, events)

    for handled, name in zip(CUTS_AT, ("one", "two", "one", "two"), strict=True):
        witness.wait_for(handled)
        world.cut_consumer_of(members[name])
        wait_until(lambda name=name: members[name].health(), f"{name} to be back")

    witness.wait_for(COUNT)
    publisher.join(3 * TIMEOUT_SECONDS)
    witness.assert_in_order(events)
    witness.assert_workers_were_busy()
    assert witness.handled_first_by("one") > 0
    assert witness.handled_first_by("two") > 0


def test_p3_an_ordered_group_keeps_order_when_its_active_member_closes(world: World) -> None:
    """A rolling restart: what the leaving member had not started goes to the next one, in order."""
    witness = OrderWitness()
    publisher_bus = world.connect(publisher={"publish_timeout_seconds": 60})
    members = [world.connect() for _ in range(4)]
    for index, member in enumerate(members):
        member.subscribe(EventTopic(), witness.as_member(f"{index}"), group="workflow", ordered=True, workers=WORKERS)
    events = events_of(COUNT)
    publisher = _publish_in_a_thread(publisher_bus, events)

    for index, member in enumerate(members[:-1]):
        witness.wait_for(200 * (index + 1))
        member.close()

    witness.wait_for(COUNT)
    publisher.join(3 * TIMEOUT_SECONDS)
    witness.assert_in_order(events)
    assert all(witness.handled_first_by(f"{index}") for index in range(4))


def test_p3_only_one_member_of_an_ordered_group_works(world: World) -> None:
    """Two at work would be two at one resource sooner or later."""
    witness = OrderWitness(longest_seconds=0.001)
    members = {name: world.connect() for name in ("one", "two")}
    for name, member in members.items():
        member.subscribe(EventTopic(), witness.as_member(name), group="workflow", ordered=True)

    for event in events_of(200):
        members["two"].publish(event)

    witness.wait_for(200)
    assert (witness.handled_first_by("one"), witness.handled_first_by("two")) == (200, 0)


def test_p3_one_slow_resource_does_not_hold_up_the_others(world: World) -> None:
    """Order is per resource: waiting behind a stranger would be the price of a queue, not of order."""
    go_on, inside = threading.Event(), threading.Event()
    handled: list[str] = []
    bus = world.connect()

    def on_event(event: Event) -> None:
        if event.resource_uuid == "slow":
            inside.set()
            go_on.wait(TIMEOUT_SECONDS)
        handled.append(event.resource_uuid)

    bus.subscribe(EventTopic(), on_event, workers=2)
    for number in range(20):
        bus.publish(an_event(number, "slow"))
    assert inside.wait(TIMEOUT_SECONDS)
    for number in range(20):
        bus.publish(an_event(number, "quick"))

    wait_until(lambda: handled.count("quick") == 20, "the other resource's events")
    assert "slow" not in handled
    go_on.set()
    wait_until(lambda: len(handled) == 40, "the slow resource's events")


def test_p3_events_without_a_resource_share_the_workers_freely(world: World) -> None:
    """No uuid, no order: such events must not queue up behind each other."""
    everybody_is_in = threading.Barrier(WORKERS)
    met = threading.Semaphore(0)
    bus = world.connect()

    def on_event(event: Event) -> None:
        everybody_is_in.wait(TIMEOUT_SECONDS)  # passes only when as many callbacks run at once
        met.release()

    bus.subscribe(EventTopic(), on_event, workers=WORKERS)
    for number in range(WORKERS):
        bus.publish(an_event(number, resource=""))

    for _ in range(WORKERS):
        assert met.acquire(timeout=TIMEOUT_SECONDS)


def _publish_in_a_thread(bus: EventBus, events: list[Event]) -> threading.Thread:
    def publish() -> None:
        for event in events:
            bus.publish(event)

    thread = threading.Thread(target=publish)
    thread.start()
    return thread
