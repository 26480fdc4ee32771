"""P6: after ``unsubscribe`` no callback runs or will run."""

import threading
from uuid import UUID, uuid4

import pytest

from bus_amqp import (
    DeadlineExceededError,
    Event,
    EventTopic,
    UnknownSubscriptionError,
)
from bus_amqp.engine import building
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import Gate, an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import MemoryWorld, World


@pytest.mark.parametrize("workers", [1, 8])
def test_p6_no_callback_runs_after_unsubscribe_has_returned(world: World, workers: int) -> None:
    """Whoever tears down what the callback uses relies on it."""
    bus = world.connect(publisher={"publish_timeout_seconds": TIMEOUT_SECONDS})
    never = threading.Event()
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            bus.publish(an_event(number, f"r-{number % 50}"))
            number += 1
            never.wait(0.0005)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for _ in range(10):
            watched = _Watched(never)
            subscription_id = bus.subscribe(EventTopic(), watched, workers=workers)
            wait_until(lambda watched=watched: watched.started > 20, "events")
            bus.unsubscribe(subscription_id, watched)
            inside, watched.is_over = watched.inside, True
            assert inside == 0
            never.wait(0.01)  # time for a stray callback to show itself
            assert watched.late == 0
    finally:
        stop.set()
        publisher.join()


def test_p6_unsubscribe_waits_for_the_callback_that_runs(world: World) -> None:
    """And what that callback had in hand is settled, not handed to somebody else."""
    bus = world.connect()
    gate = Gate()
    subscription_id = bus.subscribe(EventTopic(), gate, group="billing")
    bus.publish(an_event(0))
    gate.wait_entered()
    ended = threading.Event()

    def unsubscribe() -> None:
        bus.unsubscribe(subscription_id)
        ended.set()

    caller = threading.Thread(target=unsubscribe)
    caller.start()
    assert not ended.wait(0.1)
    gate.let_go()
    assert ended.wait(TIMEOUT_SECONDS)
    caller.join()

    assert len(gate.finished) == 1
    bus.close()
    state = world.queue_state(names.group_queue(world.exchange, "billing"))
    assert state is not None
    assert (state.ready, state.consumers) == (0, 0)


def test_p6_unsubscribe_raises_when_a_callback_will_not_end(world: World) -> None:
    """The time is the caller's; the event is settled when the callback ends after all."""
    bus, other = world.connect(), world.connect()
    gate, recorder = Gate(), Recorder()
    subscription_id = bus.subscribe(EventTopic(), gate, group="billing")
    events = [an_event(number) for number in range(3)]
    for event in events:
        bus.publish(event)
    gate.wait_entered()

    with pytest.raises(DeadlineExceededError, match="in hand"):
        bus.unsubscribe(subscription_id, timeout_seconds=0.1)
    gate.let_go()
    other.subscribe(EventTopic(), recorder, group="billing")

    assert recorder.wait_for(2).ids == [event.event_id for event in events[1:]]
    assert gate.started == events[:1]


@pytest.mark.parametrize("is_coroutine", [False, True], ids=["threads", "coroutines"])
def test_p6_a_callback_may_end_its_own_subscription(world: World, is_coroutine: bool) -> None:
    """It returns at once, since waiting for oneself is a deadlock, and no other callback starts."""
    bus, other = world.connect(), world.connect()
    started: list[Event] = []
    ended = threading.Event()
    ids: list[UUID] = []
    is_known = threading.Event()

    def unsubscribe(event: Event) -> None:
        started.append(event)
        assert is_known.wait(TIMEOUT_SECONDS)
        bus.unsubscribe(ids[0])
        ended.set()

    async def unsubscribe_async(event: Event) -> None:
        unsubscribe(event)

    events = events_of(20)
    ids.append(bus.subscribe(EventTopic(), unsubscribe_async if is_coroutine else unsubscribe, group="billing"))
    for event in events:
        bus.publish(event)
    bus.flush(TIMEOUT_SECONDS)
    is_known.set()

    assert ended.wait(TIMEOUT_SECONDS)
    recorder = Recorder()
    wait_until(lambda: _consumers(world, "billing") == 0, "the subscription to end")
    other.subscribe(EventTopic(), recorder, group="billing")
    assert recorder.wait_for(19).ids == [event.event_id for event in events[1:]]
    assert started == events[:1]


def test_p6_a_callback_does_not_wait_for_the_others_of_its_subscription(world: World) -> None:
    """From inside: at once, even while the other workers hang."""
    bus = world.connect()
    gate = Gate()
    ended = threading.Event()

    def on_event(event: Event) -> None:
        if event.resource_uuid == "last":
            bus.unsubscribe(subscription_id)
            ended.set()
        else:
            gate.on_event(event)

    subscription_id = bus.subscribe(EventTopic(), on_event, workers=4)
    for number in range(3):
        bus.publish(an_event(number, f"r-{number}"))
    gate.wait_entered(3)
    bus.publish(an_event(3, "last"))

    assert ended.wait(TIMEOUT_SECONDS)
    assert gate.finished == []
    gate.let_go()


def test_p6_none_starts_after_a_callback_has_ended_its_subscription(
    memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker that is still decoding when ``unsubscribe`` returns must not call the subscriber any more."""
    decode = building.decode
    is_decoding, has_ended = threading.Event(), threading.Event()

    def slow_decode(delivery: object) -> Event:
        event = decode(delivery)  # type: ignore[arg-type]
        if event.resource_uuid == "late":
            is_decoding.set()
            has_ended.wait(TIMEOUT_SECONDS)
        return event

    monkeypatch.setattr(building, "decode", slow_decode)
    bus = memory_world.connect()
    started: list[str] = []
    ids: list[UUID] = []

    def on_event(event: Event) -> None:
        started.append(event.resource_uuid)
        if event.resource_uuid == "ender":
            bus.unsubscribe(ids[0])
            has_ended.set()

    ids.append(bus.subscribe(EventTopic(), on_event, workers=2))
    bus.publish(an_event(0, "late"))
    assert is_decoding.wait(TIMEOUT_SECONDS)
    bus.publish(an_event(1, "ender"))

    assert has_ended.wait(TIMEOUT_SECONDS)
    bus.close()
    assert started == ["ender"]


def test_p6_unsubscribing_what_is_not_subscribed_is_an_error(world: World) -> None:
    """Silence would hide a leak: CloudStack's unsubscribe never worked, and nobody noticed."""
    bus = world.connect()
    recorder, stranger = Recorder(), Recorder()
    subscription_id = bus.subscribe(EventTopic(), recorder)

    with pytest.raises(UnknownSubscriptionError):
        bus.unsubscribe(uuid4())
    with pytest.raises(UnknownSubscriptionError, match="belongs to"):
        bus.unsubscribe(subscription_id, stranger)
    bus.publish(an_event())
    recorder.wait_for(1)

    bus.unsubscribe(subscription_id, recorder)
    with pytest.raises(UnknownSubscriptionError):
        bus.unsubscribe(subscription_id, recorder)


def test_p6_unsubscribe_needs_no_broker(world: World) -> None:
    """A shutdown must not hang on the outage that may be its reason."""
    bus = world.connect()
    recorder = Recorder()
    subscription_id = bus.subscribe(EventTopic(), recorder, group="billing")
    world.take_broker_away()
    wait_until(lambda: not bus.health(), "the loss to be seen")

    bus.unsubscribe(subscription_id, timeout_seconds=5)

    assert bus.health().subscriptions == ()
    world.bring_back()
    wait_until(lambda: bus.health(), "the bus to be back")
    bus.publish(an_event())
    bus.flush(TIMEOUT_SECONDS)
    wait_until(lambda: (state := _state(world, "billing")) and state.ready == 1, "the event to wait for a member")
    assert recorder.events == []


def test_p6_unsubscribe_leaves_other_subscriptions_alone(world: World) -> None:
    """They share a connection, and must not notice."""
    bus = world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(), gate, workers=2)
    leaving = bus.subscribe(EventTopic(), recorder)
    for number in range(2):
        bus.publish(an_event(number, f"r-{number}"))
    gate.wait_entered(2)
    recorder.wait_for(2)

    bus.unsubscribe(leaving)

    gate.let_go()
    bus.publish(an_event(2))
    wait_until(lambda: len(gate.finished) == 3, "the other subscription to go on")
    assert len(gate.started) == 3
    assert bus.stats().reconnects == 0


class _Watched:
    """Counts the callbacks that run, and those that begin when all should be over."""

    def __init__(self, never: threading.Event) -> None:
        self._never = never
        self._lock = threading.Lock()
        self.started = self.inside = self.late = 0
        self.is_over = False

    def on_event(self, event: Event) -> None:
        with self._lock:
            self.started += 1
            self.inside += 1
            self.late += self.is_over
        self._never.wait(0.001)
        with self._lock:
            self.inside -= 1


def _state(world: World, group: str) -> object:
    return world.queue_state(names.group_queue(world.exchange, group))


def _consumers(world: World, group: str) -> int | None:
    state = world.queue_state(names.group_queue(world.exchange, group))
    return None if state is None else state.consumers
