"""P2, P7, P8 with a broker that confirms nothing, or rejects a burst: nothing is lost or hangs, and it is told."""

import time

import pytest

from bus_amqp import BusState, EventTopic, ReceiptState, UndeliveredError
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.withheld_confirms import withheld_confirms
from tests.promise.world import World


def test_p2_events_without_a_confirm_are_sent_again_and_told(world: World) -> None:
    """A quorum queue without a majority: without a deadline its receipts, and flush, would wait for a lost confirm."""
    recorder = Recorder()
    consumer = world.connect()
    consumer.subscribe(EventTopic(), recorder, group="billing")
    # A busy broker may take its time to close the channels that are given up: that is not a lost connection.
    patient = {"connect_timeout_seconds": TIMEOUT_SECONDS}
    bus = world.connect(publisher={"confirm_timeout_seconds": 1}, connection=patient)
    bus.publish(an_event(0)).result(TIMEOUT_SECONDS)
    events = [an_event(number) for number in range(1, 21)]

    with withheld_confirms(world, names.group_queue(world.exchange, "billing")):
        receipts = bus.publish_many(events)
        wait_until(lambda: bus.stats().resent >= 20, "all to be sent again")
        assert not any(receipt.done() for receipt in receipts)
        wait_until(lambda: "20 events unconfirmed" in bus.health().publisher.reason, "health to say so")
        assert "majority" in bus.health().publisher.reason
        assert bus.state is BusState.OPEN
        assert not bus.health()
        with pytest.raises(UndeliveredError, match="majority"):
            bus.flush(0.1)

    bus.flush(TIMEOUT_SECONDS)
    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
    recorder.wait_for(21, TIMEOUT_SECONDS)
    assert list(dict.fromkeys(event.details["number"] for event in recorder.events)) == list(range(21))
    wait_until(lambda: bus.health(), "the bus to be well")
    assert bus.stats().reconnects == 0


def test_p8_close_and_flush_end_in_time_without_confirms(world: World) -> None:
    """A broker that withholds confirms must not keep a program from ending."""
    consumer = world.connect()
    consumer.subscribe(EventTopic(), Recorder(), group="billing")
    bus = world.connect()
    bus.publish(an_event(0)).result(TIMEOUT_SECONDS)

    with withheld_confirms(world, names.group_queue(world.exchange, "billing")):
        receipts = bus.publish_many(events_of(5))
        started = time.monotonic()
        with pytest.raises(UndeliveredError) as told:
            bus.flush(0.5)
        assert told.value.count == 5
        with pytest.raises(UndeliveredError) as told:
            bus.close(0.5)
        assert told.value.count == 5
        assert time.monotonic() - started < 12  # a second, and what a busy broker may take to say goodbye

    assert {receipt.state for receipt in receipts} == {ReceiptState.FAILED}


def test_p2_a_burst_of_rejections_survives_a_lost_connection(amqp_world: AmqpWorld) -> None:
    """Two faults at once: what is rejected when the connection goes is sent again with the rest."""
    recorder = Recorder()
    bus, consumer = amqp_world.connect(), amqp_world.connect()
    consumer.subscribe(EventTopic(), recorder)
    full = f"{amqp_world.exchange}-full"
    amqp_world.declare_full_queue(full, routing_key="#")
    events = events_of(500)

    receipts = bus.publish_many(events)
    wait_until(lambda: bus.stats().resent >= 400, "the burst to be rejected")
    for times in (1, 2, 3):
        amqp_world.cut_connections()
        wait_until(lambda times=times: bus.stats().reconnects >= times, "the connection to be back")  # type: ignore[misc]
    assert sum(receipt.done() for receipt in receipts) < 500

    amqp_world.delete_queue(full)
    bus.flush(3 * TIMEOUT_SECONDS)
    assert {receipt.state for receipt in receipts} == {ReceiptState.CONFIRMED}
    wait_until(lambda: len(recorder.ids_without_duplicates()) >= 500, "every event")
    assert set(recorder.ids) == {event.event_id for event in events}
