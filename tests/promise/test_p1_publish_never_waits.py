"""P1: ``publish`` never waits for the network, is bounded, and drops nothing silently."""

import asyncio
import threading
import time

import pytest

from bus_amqp import (
    BusState,
    EventTopic,
    OutboxFullError,
    Receipt,
    ReceiptState,
    RoutingKeyTooLongError,
    UnroutableError,
)
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

LONG_SECONDS = 60.0  # a publish timeout that no test may spend


def test_p1_events_are_accepted_while_no_broker_answers_and_all_arrive_later(world: World) -> None:
    """Were publish to touch the network, callers would hang or fail for as long as the broker is away."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(), recorder)
    world.take_broker_away()
    bus = world.connect(require_broker=False, publisher={"outbox_events": 3000})
    events = events_of(3000)

    receipts = [bus.publish(event) for event in events]

    assert {receipt.state for receipt in receipts} == {ReceiptState.ACCEPTED}
    assert bus.state is BusState.CONNECTING
    with pytest.raises(OutboxFullError):
        bus.publish(an_event())

    world.bring_back()
    bus.flush(3 * TIMEOUT_SECONDS)
    recorder.wait_for(3000, 3 * TIMEOUT_SECONDS)
    assert recorder.ids_without_duplicates() == [event.event_id for event in events]
    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}


def test_p1_a_broker_that_stops_reading_does_not_slow_callers(world: World) -> None:
    """A full socket must never catch the caller: what the broker does not take stays in the outbox."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(), recorder)
    bus = world.connect(publisher={"outbox_events": 5000})
    bus.publish(an_event())
    bus.flush(TIMEOUT_SECONDS)
    world.stall()
    events = [an_event(number, description="x" * 4000) for number in range(5000)]  # 20 MB: more than sockets hold

    for event in events:
        bus.publish(event)

    assert bus.stats().waiting == 5000
    with pytest.raises(OutboxFullError):
        bus.publish(an_event())

    world.flow()
    bus.flush(3 * TIMEOUT_SECONDS)
    recorder.wait_for(5001, 3 * TIMEOUT_SECONDS)


def test_p1_a_full_outbox_waits_once_then_fails_at_once(world: World) -> None:
    """A thousand request threads must not each wait for a broker that is known to be stuck."""
    bus = world.connect(publisher={"outbox_events": 5, "publish_timeout_seconds": 0.5})
    world.take_broker_away()
    for number in range(5):
        bus.publish(an_event(number))

    started = time.monotonic()
    with pytest.raises(OutboxFullError, match="5 events"):
        bus.publish(an_event(5))
    assert time.monotonic() - started >= 0.5

    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(OutboxFullError):
            bus.publish(an_event(6))
    assert time.monotonic() - started < 5  # each waiting would be 10 s

    world.bring_back()
    bus.flush(TIMEOUT_SECONDS)
    bus.publish(an_event(7)).result(10)
    assert bus.stats().accepted == 6


def test_p1_who_waits_for_room_gets_it_when_the_broker_confirms(world: World) -> None:
    """The wait is for room, not for its own sake: it ends with the first confirm."""
    bus = world.connect(publisher={"outbox_events": 5, "publish_timeout_seconds": LONG_SECONDS})
    world.take_broker_away()
    for number in range(5):
        bus.publish(an_event(number))
    receipts: list[Receipt] = []
    entered = threading.Event()

    def publish() -> None:
        entered.set()
        receipts.append(bus.publish(an_event(5)))

    caller = threading.Thread(target=publish)
    caller.start()
    entered.wait()
    world.bring_back()
    caller.join(LONG_SECONDS / 2)

    assert not caller.is_alive()
    receipts[0].result(10)


def test_p1_a_full_outbox_by_bytes_refuses(world: World) -> None:
    """Few large events must not take the memory of many small ones."""
    bound = 200_000
    bus = world.connect(publisher={"outbox_bytes": bound, "max_event_bytes": 100_000, "publish_timeout_seconds": 0.0})
    world.take_broker_away()
    events = [an_event(number, description="x" * 10_000) for number in range(20)]
    for event in events[:15]:
        bus.publish(event)

    with pytest.raises(OutboxFullError, match="bytes"):
        bus.publish_many(events[15:])

    assert bus.stats().accepted == 15
    assert 150_000 < bus.stats().waiting_bytes <= bound
    world.bring_back()
    bus.flush(TIMEOUT_SECONDS)
    assert bus.stats().waiting_bytes == 0


def test_p1_publish_many_accepts_all_or_none(world: World) -> None:
    """Half an undertaking on the wire is worse than none."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(), recorder)
    bus = world.connect(publisher={"outbox_events": 10, "publish_timeout_seconds": 0.0})
    world.take_broker_away()
    bus.publish_many([an_event(number) for number in range(7)])

    with pytest.raises(OutboxFullError):
        bus.publish_many([an_event(number) for number in range(7, 11)])
    with pytest.raises(RoutingKeyTooLongError, match="resource_uuid"):
        bus.publish_many([an_event(7), an_event(8, resource="u" * 300)])
    assert bus.stats().accepted == 7

    receipts = bus.publish_many([an_event(number) for number in range(7, 10)])
    world.bring_back()
    for receipt in receipts:
        receipt.result(10)
    assert [event.details["number"] for event in recorder.wait_for(10).events] == list(range(10))


def test_p1_a_batch_that_can_never_fit_is_refused_at_once(world: World) -> None:
    """Waiting for room that cannot come would be a hang with a time limit."""
    bus = world.connect(publisher={"outbox_events": 10, "publish_timeout_seconds": LONG_SECONDS})

    started = time.monotonic()
    with pytest.raises(OutboxFullError, match="never fit"):
        bus.publish_many([an_event(number) for number in range(11)])

    assert time.monotonic() - started < LONG_SECONDS / 2
    assert bus.stats().accepted == 0


def test_p1_publish_and_receipts_work_inside_a_running_event_loop(world: World) -> None:
    """A web handler publishes and, if it cares, awaits the confirm; its loop goes on while the broker is away."""
    bus = world.connect()
    world.take_broker_away()

    async def publish() -> int:
        receipts = [bus.publish(event) for event in events_of(100)]
        waiting = asyncio.gather(*receipts)
        await asyncio.sleep(0)
        assert not waiting.done()
        world.bring_back()
        await asyncio.wait_for(waiting, TIMEOUT_SECONDS)
        return sum(receipt.state is ReceiptState.CONFIRMED for receipt in receipts)

    assert asyncio.run(publish()) == 100


def test_p1_an_event_that_no_queue_takes_fails_its_receipt_and_is_told(world: World) -> None:
    """Mandatory means: stored in a queue, or an error; also for those who threw the receipt away."""
    bus = world.connect()
    told: list[Receipt] = []
    bus.on_failed(told.append)

    receipt = bus.publish(an_event(), mandatory=True)
    bus.publish(an_event())  # not mandatory: nobody wants it, and that is no error

    with pytest.raises(UnroutableError):
        receipt.result(10)
    bus.flush(TIMEOUT_SECONDS)
    wait_until(lambda: told == [receipt], "on_failed")
    assert (bus.stats().confirmed, bus.stats().failed) == (1, 1)


def test_p1_publishing_from_many_threads_loses_nothing(world: World) -> None:
    """Callers meet only in the outbox."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder)

    def publish(name: str) -> None:
        for number in range(200):
            bus.publish(an_event(number, name))

    callers = [threading.Thread(target=publish, args=(f"caller-{index}",)) for index in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    recorder.wait_for(1600, 2 * TIMEOUT_SECONDS)
    for index in range(8):
        numbers = [event.details["number"] for event in recorder.events if event.resource_uuid == f"caller-{index}"]
        assert numbers == list(range(200))
