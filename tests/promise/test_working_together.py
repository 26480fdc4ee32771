"""What buses and handlers do together: groups share, handlers' events name their cause, counts agree."""

import threading

import pytest

from bus_amqp import NO_RETRY, Event, EventTopic, GroupConflictError, InvalidArgumentError, Subscribers
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event, events_of, number_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World


def test_the_members_of_a_group_share_the_work(world: World) -> None:
    """Each event goes to one of them, and each of them gets some."""
    buses = [world.connect(), world.connect()]
    recorders = [Recorder(), Recorder()]
    for bus, recorder in zip(buses, recorders, strict=True):
        bus.subscribe(EventTopic(), recorder, group="billing", prefetch=10)
    events = events_of(400)

    for event in events:
        buses[0].publish(event)

    wait_until(lambda: sum(len(recorder.events) for recorder in recorders) >= 400, "all events")
    handled = [event_id for recorder in recorders for event_id in recorder.ids]
    assert sorted(handled) == sorted(event.event_id for event in events)
    assert all(recorder.events for recorder in recorders)


def test_every_group_and_every_temporary_subscription_gets_its_own_copy(world: World) -> None:
    """Parties do not know each other."""
    bus = world.connect()
    recorders = {name: Recorder() for name in ("billing", "workflow", "first", "second")}
    bus.subscribe(EventTopic(), recorders["billing"], group="billing")
    bus.subscribe(EventTopic(), recorders["workflow"], group="workflow")
    bus.subscribe(EventTopic(), recorders["first"])
    bus.subscribe(EventTopic(), recorders["second"])
    events = events_of(50)

    for event in events:
        bus.publish(event)

    for recorder in recorders.values():
        assert recorder.wait_for(50).ids == [event.event_id for event in events]


def test_a_topic_list_brings_each_event_once(world: World) -> None:
    """Several bindings of one queue are one queue."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe([EventTopic(event_type="VM.#"), EventTopic(event_category="UsageEvent")], recorder)

    wanted = [
        an_event(0, event_type="VM.STOP"),
        an_event(1, event_category="UsageEvent", event_type="VOLUME.CREATE"),
        an_event(2, event_category="UsageEvent", event_type="VM.START"),
    ]
    bus.publish_many([wanted[0], an_event(9, event_type="VOLUME.DELETE"), wanted[1], wanted[2]])
    bus.flush(TIMEOUT_SECONDS)

    assert recorder.wait_for(3).ids == [event.event_id for event in wanted]


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_what_a_handler_publishes_names_its_cause(world: World, is_coroutine: bool) -> None:
    """Three events deep, anybody can tell what led to what."""
    bus = world.connect()
    recorder = Recorder()

    def follow_up(event: Event) -> None:
        if number_of(event) < 3:
            bus.publish(an_event(number_of(event) + 1))

    async def follow_up_async(event: Event) -> None:
        follow_up(event)

    bus.subscribe(EventTopic(), follow_up_async if is_coroutine else follow_up, group="workflow")
    bus.subscribe(EventTopic(), recorder)
    bus.publish(an_event(0))

    events = sorted(recorder.wait_for(4).events, key=number_of)
    first = events[0]
    assert (first.causation_id, first.correlation_id) == (None, None)
    assert [event.causation_id for event in events[1:]] == [event.event_id for event in events[:-1]]
    assert {event.correlation_id for event in events[1:]} == {str(first.event_id)}


def test_what_the_handler_names_itself_is_kept(world: World) -> None:
    """The bus fills what is empty, and corrects nobody."""
    bus = world.connect()
    recorder = Recorder()
    own = an_event(1, event_category="ActionEvent", correlation_id="job-7", causation_id=an_event().event_id)

    def follow_up(event: Event) -> None:
        bus.publish(own)
        bus.publish_many([an_event(2, event_category="ActionEvent")])

    bus.subscribe(EventTopic(event_category="UsageEvent"), follow_up)
    bus.subscribe(EventTopic(event_category="ActionEvent"), recorder)
    cause = an_event(0, event_category="UsageEvent", correlation_id="job-6")
    bus.publish(cause)

    first, second = recorder.wait_for(2).events
    assert first == own
    assert (second.causation_id, second.correlation_id) == (cause.event_id, "job-6")
    bus.publish(an_event(3, event_category="ActionEvent"))
    assert recorder.wait_for(3).events[-1].causation_id is None


def test_one_group_has_one_set_of_topics_in_a_process(world: World) -> None:
    """Its members share a queue: with two sets of topics each would dead-letter what the other wants."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(event_category="UsageEvent"), recorder, group="billing")

    with pytest.raises(GroupConflictError, match="billing"):
        bus.subscribe(EventTopic(event_category="AlertEvent"), Recorder(), group="billing")
    with pytest.raises(GroupConflictError, match="ordered"):
        bus.subscribe(EventTopic(event_category="UsageEvent"), Recorder(), group="billing", ordered=True)

    bus.subscribe(EventTopic(event_category="UsageEvent"), recorder, group="billing")
    assert len(bus.health().subscriptions) == 2
    bus.publish(an_event(event_category="UsageEvent"))
    recorder.wait_for(1)


def test_subscribers_declared_without_a_bus_are_made_all_or_none(world: World) -> None:
    """A consumer process with half its subscriptions would look well."""
    bus = world.connect()
    recorder = Recorder()
    subscribers = Subscribers()
    subscribers.on(EventTopic(event_category="UsageEvent"), group="billing")(recorder)
    subscribers.on(EventTopic(event_category="AlertEvent"))(recorder)
    conflicting = Subscribers()
    conflicting.on(EventTopic(), group="audit")(Recorder())
    conflicting.on(EventTopic(event_type="VM.#"), group="audit")(Recorder())

    assert len(bus.subscribe_all(subscribers)) == 2
    with pytest.raises(GroupConflictError):
        bus.subscribe_all(conflicting)

    assert len(bus.health().subscriptions) == 2
    bus.publish(an_event(0, event_category="UsageEvent"))
    bus.publish(an_event(1, event_category="AlertEvent"))
    recorder.wait_for(2)


def test_what_cannot_be_subscribed_is_refused_and_leaves_nothing(world: World) -> None:
    """The message says what was expected; no queue, no thread, no registration is left."""
    bus = world.connect()

    with pytest.raises(InvalidArgumentError, match="on_event"):
        bus.subscribe(EventTopic(), object())  # type: ignore[arg-type]  # what a user may do
    with pytest.raises(InvalidArgumentError, match="an instance"):
        bus.subscribe(EventTopic(), Recorder)  # type: ignore[arg-type]  # what a user may do
    with pytest.raises(InvalidArgumentError, match="EventTopic"):
        bus.subscribe("VM.#", Recorder())  # type: ignore[arg-type]  # what a user may do
    with pytest.raises(InvalidArgumentError, match="workers"):
        bus.subscribe(EventTopic(), Recorder(), workers=0)
    with pytest.raises(InvalidArgumentError, match="group"):
        bus.subscribe(EventTopic(), Recorder(), group="a.b")
    with pytest.raises(InvalidArgumentError, match="ordered"):
        bus.subscribe(EventTopic(), Recorder(), ordered=True)

    assert bus.health().subscriptions == ()
    assert bus.health()


def test_the_counts_agree_with_what_happened(world: World) -> None:
    """An operator compares them with the broker's own."""
    bus = world.connect()
    recorder = Recorder()

    def on_event(event: Event) -> None:
        recorder.on_event(event)
        if number_of(event) % 10 == 0:
            raise LookupError("every tenth")

    subscription_id = bus.subscribe(EventTopic(event_type="VM.#"), on_event, group="billing", workers=4, retry=NO_RETRY)
    for number in range(100):
        bus.publish(an_event(number, f"r-{number}", event_type="VM.START" if number % 4 else "VOLUME.CREATE"))
    world.wait_dead_letters(5, "billing")
    recorder.wait_for(75)
    wait_until(lambda: bus.stats().subscriptions[subscription_id].handled == 70, "the counts")
    bus.flush(TIMEOUT_SECONDS)

    stats = bus.stats()
    one = stats.subscriptions[subscription_id]
    assert (one.delivered, one.handled, one.filtered, one.dead_lettered, one.discarded) == (100, 70, 25, 5, 0)
    assert (stats.accepted, stats.confirmed, stats.failed, stats.waiting) == (105, 105, 0, 0)  # with the dead letters
    assert (stats.resent, stats.reconnects) == (0, 0)


def test_two_workers_of_one_subscription_run_at_the_same_time(world: World) -> None:
    """``workers`` is a promise of parallel work."""
    bus = world.connect()
    both_are_in = threading.Barrier(2)
    met = threading.Semaphore(0)

    def on_event(event: Event) -> None:
        both_are_in.wait(TIMEOUT_SECONDS)
        met.release()

    bus.subscribe(EventTopic(), on_event, workers=2)
    bus.publish_many([an_event(0, "one"), an_event(1, "two")])

    assert met.acquire(timeout=TIMEOUT_SECONDS)
    assert met.acquire(timeout=TIMEOUT_SECONDS)
