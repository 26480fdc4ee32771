"""P7: an operator deletes an exchange or a queue; it comes back with what hung on it, and the time without is told."""

import random
from datetime import UTC, datetime

import pytest

from bus_amqp import NO_RETRY, Event, EventTopic, SubscriptionHealth
from bus_amqp.backoff import Backoff
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import an_event, number_of
from tests.promise.waiting import wait_until
from tests.promise.world import World


def test_p7_a_deleted_exchange_comes_back_with_its_bindings(world: World) -> None:
    """The publisher would make it again without them: confirmed, healthy, and nobody would hear anything any more."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder)
    bus.subscribe(EventTopic(), Recorder(), group="billing")
    world.delete_exchange()

    bus.publish(an_event(0))
    wait_until(lambda: all(one.gaps for one in bus.health().subscriptions), "the gap to be reported")
    bus.publish(an_event(1))

    wait_until(lambda: 1 in map(number_of, recorder.events), "an event after the gap")
    [gap] = bus.health().subscriptions[0].gaps
    assert gap.since <= gap.until
    assert bus.health()


def test_p7_a_deleted_dead_letter_exchange_stops_nobody(world: World) -> None:
    """P2, P4: the copy cannot be stored; sent again and again it would cost every channel that is opened for it."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(event_type="VM.START"), recorder)

    def fail(event: Event) -> None:
        raise LookupError("no such account")

    bus.subscribe(EventTopic(event_type="VM.STOP"), fail, group="billing", retry=NO_RETRY)
    world.delete_exchange(names.dead_exchange(world.exchange))

    # By another bus: unconfirmed beside the copy it would be sent again with it, and rightly be dead-lettered twice.
    world.connect().publish(an_event(0, event_type="VM.STOP"))
    events = [an_event(number, event_type="VM.START") for number in range(1, 50)]
    for event in events:
        bus.publish(event)
    bus.flush(20)

    recorder.wait_for(len(events))
    [letter] = world.wait_dead_letters(1, "billing")
    assert "LookupError" in str(letter.headers["x-bus-exception"])
    wait_until(bus.health, "the bus to be well")

    # A gap is told a while later, and the next one after it.
    deleted_at = datetime.now(UTC)
    world.delete_exchange()
    bus.publish(an_event(50, event_type="VM.START"))
    wait_until(lambda: min(_last_gap(one) for one in bus.health().subscriptions) >= deleted_at, "the gap")
    assert [len(one.gaps) for one in bus.health().subscriptions] == [1, 1], "while letters had no way, events had"


def test_p7_every_deletion_of_a_queue_is_told_however_soon_somebody_looks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ cancels up to 30 ms before the queue is gone: declared in between, it came out as a new one."""
    monkeypatch.setattr(Backoff, "next_delay", lambda _: random.uniform(0.0, 0.02))
    bus = world.connect()
    bus.subscribe(EventTopic(), Recorder(), group="billing")
    queue = names.group_queue(world.exchange, "billing")

    for _ in range(20):
        deleted_at = datetime.now(UTC)
        world.delete_queue(queue)
        wait_until(lambda since=deleted_at: _last_gap(bus.health().subscriptions[0]) >= since, "the gap to be told")  # type: ignore[misc]
        wait_until(bus.health, "consuming to be well again")


def _last_gap(subscription: SubscriptionHealth) -> datetime:
    return subscription.gaps[-1].since if subscription.gaps else datetime.min.replace(tzinfo=UTC)
