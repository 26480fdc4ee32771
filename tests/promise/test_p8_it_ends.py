"""P8: ``close`` finishes what is in hand, leaves the rest to others, and leaves nothing running."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bus_amqp import (
    BusClosedError,
    BusState,
    Event,
    EventBus,
    EventTopic,
    ReceiptState,
    Subscribers,
    UndeliveredError,
)
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import Gate, an_event, events_of, number_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

DESCRIPTORS = Path("/dev/fd")


@pytest.mark.parametrize("workers", [1, 4])
def test_p8_close_finishes_what_is_in_hand_and_leaves_the_rest_in_order(world: World, workers: int) -> None:
    """What was handled must not come again, and what was not started must not be skipped."""
    bus, successor = world.connect(), world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(), gate, group="billing", workers=workers)
    events = [an_event(number, f"r-{number}") for number in range(30)]
    for event in events:
        bus.publish(event)
    bus.flush()
    gate.wait_entered(workers)

    closer = threading.Thread(target=bus.close)
    closer.start()
    wait_until(lambda: _is_refused(bus), "close to begin")
    gate.let_go()
    closer.join(TIMEOUT_SECONDS)

    assert not closer.is_alive()
    in_hand = {event.event_id for event in gate.started}
    assert len(gate.finished) == len(in_hand) == workers
    successor.subscribe(EventTopic(), recorder, group="billing")
    assert recorder.wait_for(30 - workers).ids == [event.event_id for event in events if event.event_id not in in_hand]


def test_p8_close_leaves_no_thread_and_no_socket(world: World) -> None:
    """A worker that is recycled a thousand times must not grow."""
    _use_and_close(world)  # the first use imports and opens what stays for the process
    descriptors = len(list(DESCRIPTORS.iterdir()))

    for _ in range(3):
        _use_and_close(world)

    wait_until(lambda: world.open_connections() == 0, "the connections to be closed")
    if not world.is_amqp:  # elsewhere the proxies of this very test hold sockets
        assert len(list(DESCRIPTORS.iterdir())) <= descriptors


def test_p8_close_sends_what_was_accepted(world: World) -> None:
    """A script publishes and ends: that is enough."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(), recorder)
    events = events_of(2000)

    with world.connect() as bus:
        receipts = [bus.publish(event) for event in events]

    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
    assert recorder.wait_for(2000).ids_without_duplicates() == [event.event_id for event in events]


def test_p8_events_that_could_not_be_sent_are_an_error_with_their_number(world: World) -> None:
    """And every one of their receipts knows."""
    bus = world.connect()
    world.take_broker_away()
    receipts = [bus.publish(event) for event in events_of(7)]

    with pytest.raises(UndeliveredError, match="7 events") as caught:
        bus.close(timeout_seconds=0.3)

    assert caught.value.count == 7
    for receipt in receipts:
        with pytest.raises(BusClosedError):
            receipt.result(0)
    assert _thread_names() == []


def test_p8_flush_tells_how_many_are_not_confirmed(world: World) -> None:
    """They stay in the outbox: flush is a question, not an end."""
    bus = world.connect()
    world.take_broker_away()
    receipts = [bus.publish(event) for event in events_of(7)]

    with pytest.raises(UndeliveredError) as caught:
        bus.flush(timeout_seconds=0.1)

    assert caught.value.count == 7
    world.bring_back()
    bus.flush()
    assert all(receipt.done() for receipt in receipts)


def test_p8_handlers_that_are_finishing_may_still_publish(world: World) -> None:
    """Inbound ends before outbound: the follow-up of the last event is not lost."""
    recorder, gate = Recorder(), Gate()
    consumer, bus = world.connect(), world.connect()
    consumer.subscribe(EventTopic(event_category="ActionEvent"), recorder)

    def follow_up(event: Event) -> None:
        gate.on_event(event)
        bus.publish(an_event(number_of(event), event_category="ActionEvent"))

    bus.subscribe(EventTopic(event_category="UsageEvent"), follow_up, group="workflow")
    bus.publish(an_event(1, event_category="UsageEvent"))
    gate.wait_entered()
    closer = threading.Thread(target=bus.close)
    closer.start()
    wait_until(lambda: _is_refused(bus), "close to begin")
    gate.let_go()
    closer.join(TIMEOUT_SECONDS)

    recorder.wait_for(1)


def test_p8_after_close_every_method_says_so(world: World) -> None:
    """An object that half works is worse than one that says it is over."""
    bus = world.connect()
    subscription_id = bus.subscribe(EventTopic(), Recorder())
    receipt = bus.publish(an_event())
    bus.close()

    calls: list[Callable[[], object]] = [
        lambda: bus.publish(an_event()),
        lambda: bus.publish_many([an_event()]),
        lambda: bus.publish_many([]),
        lambda: bus.subscribe(EventTopic(), Recorder()),
        lambda: bus.subscribe_all(Subscribers()),
        lambda: bus.unsubscribe(subscription_id),
        lambda: bus.on_failed(lambda receipt: None),
        bus.flush,
    ]
    for call in calls:
        with pytest.raises(BusClosedError):
            call()
    assert bus.state is BusState.CLOSED
    assert bus.health().state is BusState.CLOSED
    assert (bus.stats().accepted, bus.stats().waiting) == (1, 0)
    assert receipt.state is ReceiptState.CONFIRMED
    bus.close()


def test_p8_what_was_handled_is_settled_before_close_returns(world: World) -> None:
    """An acknowledgement that is left behind is an event handled twice."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, group="billing", workers=4)
    for event in events_of(500):
        bus.publish(event)
    recorder.wait_for(500)

    bus.close()

    state = world.queue_state(names.group_queue(world.exchange, "billing"))
    assert state is not None
    assert (state.ready, state.consumers) == (0, 0)


def _use_and_close(world: World) -> None:
    bus = world.connect()
    recorder = Recorder()

    async def on_event(event: Event) -> None:
        recorder.on_event(event)

    bus.subscribe(EventTopic(), on_event, workers=2)
    bus.subscribe(EventTopic(), recorder, workers=2, group="billing")
    bus.publish(an_event()).add_done_callback(lambda receipt: None)
    wait_until(lambda: len(recorder.events) == 2, "both subscribers")
    bus.close()
    assert _thread_names() == []


def _is_refused(bus: EventBus) -> bool:
    try:
        bus.on_failed(print)
    except BusClosedError:
        return True
    return False


def _thread_names() -> list[str]:
    """Return the names of the bus's threads; those of tests and proxies are their own affair."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("bus-"))
