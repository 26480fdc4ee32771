"""P2: an accepted event reaches every subscription whose queue stays on the broker."""

import threading
from typing import Any

import pytest

from bus_amqp import DeadlineExceededError, Event, EventBus, EventTopic, ReceiptState
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.transport.memory.connection import MemoryConnection
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate, an_event, events_of, number_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import MemoryWorld, World

COUNT = 5000


def test_p2_every_event_arrives_at_every_subscription_through_lost_connections(world: World) -> None:
    """What was sent and not confirmed when a connection broke is sent again; what was not handled comes again."""
    bus, other = world.connect(publisher={"publish_timeout_seconds": 60}), world.connect()
    recorders = [Recorder() for _ in range(3)]
    other.subscribe(EventTopic(), recorders[0])
    other.subscribe(EventTopic(event_type="VM.#"), recorders[1], workers=4)
    bus.subscribe(EventTopic(), recorders[2], group="billing")
    events = events_of(COUNT, resources=50)
    publisher = _publish_in_a_thread(bus, events)

    for percent in (5, 20, 40, 60, 80):
        recorders[0].wait_for(COUNT * percent // 100, 3 * TIMEOUT_SECONDS)
        world.cut_connections()

    publisher.join(3 * TIMEOUT_SECONDS)
    bus.flush(3 * TIMEOUT_SECONDS)
    for recorder in recorders:
        recorder.wait_for(COUNT, 3 * TIMEOUT_SECONDS)
        assert set(recorder.ids_without_duplicates()) == {event.event_id for event in events}
    # Of the one whose progress the cuts follow: the other may still be waiting to connect when the next cut comes.
    assert other.stats().reconnects >= 5, (other.stats().reconnects, bus.stats().reconnects)


def test_p2_what_the_broker_had_not_confirmed_is_sent_again_in_order(memory_world: MemoryWorld) -> None:
    """A message counts as published only when the broker has confirmed it."""
    recorder = Recorder()
    consumer = memory_world.connect()
    consumer.subscribe(EventTopic(), recorder)
    bus = memory_world.connect()
    memory_world.broker.hold_confirms()
    receipts = [bus.publish(an_event(number)) for number in range(50)]
    recorder.wait_for(50)
    assert not any(receipt.done() for receipt in receipts)

    memory_world.cut_connections()
    memory_world.broker.release_confirms()

    bus.flush(TIMEOUT_SECONDS)
    wait_until(lambda: len(recorder.events) >= 100, "the second copy of each event")
    assert [event.details["number"] for event in recorder.events[-50:]] == list(range(50))
    assert bus.stats().resent == 50


def test_p2_rejected_messages_are_sent_again_in_order(memory_world: MemoryWorld) -> None:
    """A basic.nack means *not stored*: neither a success nor a reason to give up."""
    recorder = Recorder()
    bus = memory_world.connect()
    bus.subscribe(EventTopic(), recorder)
    memory_world.broker.reject_next(62)

    receipts = bus.publish_many([an_event(number) for number in range(60)])  # one batch; then its first event, twice

    bus.flush(TIMEOUT_SECONDS)
    assert [event.details["number"] for event in recorder.wait_for(60).events] == list(range(60))
    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
    assert bus.stats().resent == 62


def test_p2_rejected_messages_are_sent_again_until_the_broker_takes_them(amqp_world: AmqpWorld) -> None:
    """One full queue makes RabbitMQ reject a message that others have stored: receipts wait, nothing is lost."""
    recorder = Recorder()
    bus = amqp_world.connect()
    bus.subscribe(EventTopic(), recorder)
    full = f"{amqp_world.exchange}-full"
    amqp_world.declare_full_queue(full, routing_key="#")

    receipts = [bus.publish(an_event(number)) for number in range(20)]
    wait_until(lambda: bus.stats().resent >= 10, "the rejected messages to be sent again")
    wait_until(lambda: "rejecting" in bus.health().publisher.reason, "health to say so")
    assert not bus.health(), "one queue holds up all events"
    assert sum(receipt.done() for receipt in receipts) < 20

    amqp_world.delete_queue(full)
    bus.flush(TIMEOUT_SECONDS)
    recorder.wait_for(20)
    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
    assert bus.health()


def test_p2_a_group_loses_nothing_when_the_broker_is_killed(world: World) -> None:
    """What the broker has confirmed it has stored; what it has not, the outbox keeps."""
    recorder = Recorder()
    bus = world.connect(publisher={"publish_timeout_seconds": 60})
    bus.subscribe(EventTopic(), recorder, group="billing", workers=4)
    events = events_of(2000, resources=20)
    publisher = _publish_in_a_thread(bus, events)
    recorder.wait_for(500, 2 * TIMEOUT_SECONDS)

    world.crash_broker()
    world.start_broker()

    publisher.join(3 * TIMEOUT_SECONDS)
    bus.flush(3 * TIMEOUT_SECONDS)
    recorder.wait_for(2000, 3 * TIMEOUT_SECONDS)
    assert set(recorder.ids) == {event.event_id for event in events}


def test_p2_a_deleted_queue_is_restored_and_the_gap_is_reported(world: World) -> None:
    """An operator's slip costs the events of that time, is told in health, and nothing after it."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder)
    bus.publish(an_event(0))
    recorder.wait_for(1)
    [before] = bus.health().subscriptions

    world.delete_queue(before.queue)
    wait_until(lambda: bus.health().subscriptions[0].gaps and bus.health(), "the subscription to be restored")

    [after] = bus.health().subscriptions
    [gap] = after.gaps
    assert after.queue == before.queue
    assert gap.since <= gap.until
    events = events_of(50)
    for event in events:
        bus.publish(event)
    recorder.wait_for(51)


def test_p2_a_queue_deleted_while_the_bus_is_away_is_restored_and_reported(world: World) -> None:
    """The gap then begins with the lost connection: that is the last moment the queue was known to be there."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder, group="billing")
    queue = names.group_queue(world.exchange, "billing")

    world.take_broker_away()
    wait_until(lambda: not bus.health().subscriptions[0].is_consuming, "the loss to be seen")
    world.delete_queue(queue)
    world.bring_back()

    wait_until(lambda: bus.health().subscriptions[0].gaps and bus.health(), "the subscription to be restored")
    bus.publish(an_event())
    recorder.wait_for(1)


def test_p2_a_gap_is_reported_though_the_connection_broke_during_the_repair(
    memory_world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second repair finds the queue that the first one made: what the first one knew must not be forgotten."""
    bus = memory_world.connect()
    bus.subscribe(EventTopic(), Recorder())
    consume_channel = MemoryConnection.consume_channel
    cuts = iter([True])

    def consume_after_a_cut(connection: MemoryConnection, *arguments: Any, **options: Any) -> object:
        if next(cuts, False):
            memory_world.broker.cut_connections("consumer")
        return consume_channel(connection, *arguments, **options)

    monkeypatch.setattr(MemoryConnection, "consume_channel", consume_after_a_cut)
    memory_world.delete_queue(bus.health().subscriptions[0].queue)

    wait_until(lambda: bus.stats().reconnects == 1 and bus.health(), "the second repair")
    assert len(bus.health().subscriptions[0].gaps) == 1


def test_p2_an_event_in_hand_when_the_connection_breaks_is_handled_once(world: World) -> None:
    """It comes again behind its own handler; once that has succeeded it is acknowledged, and nobody is called twice."""
    recorder = Recorder()
    bus = world.connect()
    inside, go_on = threading.Event(), threading.Event()

    def on_event(event: Event) -> None:
        recorder.on_event(event)
        inside.set()
        go_on.wait(TIMEOUT_SECONDS)

    bus.subscribe(EventTopic(), on_event, group="billing", prefetch=2)
    events = events_of(20, resources=1)
    for event in events:
        bus.publish(event)
    assert inside.wait(TIMEOUT_SECONDS)
    bus.flush(TIMEOUT_SECONDS)  # what the broker has not confirmed is sent again, and is another message

    for cut in range(1, 4):
        world.cut_connections()
        wait_until(lambda cut=cut: bus.stats().reconnects >= 2 * cut and bus.health(), "both connections to be back")
    go_on.set()

    recorder.wait_for(20)
    queue = names.group_queue(world.exchange, "billing")
    wait_until(lambda: (state := world.queue_state(queue)) and state.ready == 0 and bus.health(), "an empty queue")
    assert recorder.ids_without_duplicates() == [event.event_id for event in events]
    assert recorder.ids.count(events[0].event_id) == 1
    [stats] = bus.stats().subscriptions.values()
    assert stats.spared >= 1


def test_p2_an_acknowledgement_of_an_older_session_settles_nothing(world: World) -> None:
    """Tags begin anew with each session: an acknowledgement that is late would settle what nobody has handled."""
    bus, successor = world.connect(), world.connect()
    gates = {number: Gate() for number in range(4, 12)}
    handled, canary, recorder = Recorder(), Recorder(), Recorder()

    def on_event(event: Event) -> None:
        if number_of(event) in gates:
            gates[number_of(event)].on_event(event)
        handled.on_event(event)

    bus.subscribe(EventTopic(event_category="UsageEvent"), on_event, group="billing", workers=2)
    bus.subscribe(EventTopic(event_category="AlertEvent"), canary)
    events = [an_event(number, f"r-{number}", event_category="UsageEvent") for number in range(12)]
    for event in events[:4]:
        bus.publish(event)
    handled.wait_for(4)
    for event in events[4:]:
        bus.publish(event)
    bus.flush(TIMEOUT_SECONDS)
    gates[4].wait_entered()
    gates[5].wait_entered()

    # The fifth message of the first session is number 4; the fifth of the second will be number 8.
    world.cut_consumer_of(bus)
    wait_until(lambda: bus.stats().reconnects > 0 and bus.health(), "the second session")
    wait_until(lambda: _in_hand(bus) == 2 + 8, "the second session's deliveries")
    gates[4].let_go()
    handled.wait_for(5)
    for number in range(2):  # one after the other: then the consumer thread has seen all that was left for it
        bus.publish(an_event(number, event_category="AlertEvent"))
        canary.wait_for(number + 1)
    with pytest.raises(DeadlineExceededError):
        bus.close(timeout_seconds=0.2)

    successor.subscribe(EventTopic(event_category="UsageEvent"), recorder, group="billing")
    # Number 4 may come too: its second delivery belonged to the session that has ended.
    unhandled = {event.event_id for event in events[5:]}
    wait_until(lambda: unhandled <= set(recorder.ids), "what nobody has handled")


@pytest.mark.parametrize("workers", [1, 8])
def test_p2_an_event_whose_handler_did_not_end_goes_to_another_member(world: World, workers: int) -> None:
    """Acknowledged before it is handled, an event would be lost with the process that had it in hand."""
    bus, successor = world.connect(), world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(), gate, group="billing", workers=workers)
    events = [an_event(number, f"r-{number}") for number in range(10)]
    for event in events:
        bus.publish(event)
    bus.flush(TIMEOUT_SECONDS)
    gate.wait_entered(workers)

    with pytest.raises(DeadlineExceededError, match="in hand"):
        bus.close(timeout_seconds=0.2)
    successor.subscribe(EventTopic(), recorder, group="billing")

    recorder.wait_for(10)
    assert set(recorder.ids) == {event.event_id for event in events}
    gate.let_go()


def _in_hand(bus: EventBus) -> int:
    return sum(one.running + one.waiting for one in bus.health().subscriptions)


def _publish_in_a_thread(bus: EventBus, events: list[Event]) -> threading.Thread:
    def publish() -> None:
        for event in events:
            bus.publish(event)

    thread = threading.Thread(target=publish)
    thread.start()
    return thread
