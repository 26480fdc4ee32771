"""P1, P4, P7 through an alarm of many heartbeats under full load: callers go on, and the connection stays."""

import threading
import time
from itertools import count

import pytest

from bus_amqp import BusState, EventTopic, OutboxFullError
from bus_amqp.testing.recorder import Recorder
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until

# Not one second: RabbitMQ 4 under a memory alarm, with two cores for it and three test workers, was silent for 2.2 s on
# an idle connection whose socket was looked at twice.
HEARTBEAT = {"heartbeat_seconds": 2}
ALARM_SECONDS = 12.0
OUTBOX_EVENTS = 20_000

# What the operator's tools say to raise it and to end it.
ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.6")),
    "disk": (("set_disk_free_limit", "900000GB"), ("set_disk_free_limit", "50MB")),
}


class Load:
    """A caller that publishes as fast as it may, and what it met."""

    def __init__(self, bus: object) -> None:
        self.bus = bus
        self.accepted = 0
        self.refused = 0
        self.longest_seconds = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in count():
            event = an_event(number, description="x" * 1000)
            while not self._is_over.is_set():
                started = time.monotonic()
                try:
                    self.bus.publish(event)  # type: ignore[attr-defined]
                except OutboxFullError:
                    self.refused += 1
                    self._is_over.wait(0.001)
                else:
                    self.accepted += 1
                    break
                finally:
                    self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
            if self._is_over.is_set():
                return

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALARMS)
def test_p1_an_alarm_of_many_heartbeats_under_full_load(amqp_world: AmqpWorld, kind: str) -> None:
    """Blocked writes must neither stop heartbeats nor count as a missing confirm, and nothing sent may be lost."""
    recorder = Recorder()
    consumer = amqp_world.connect(connection=HEARTBEAT)
    consumer.subscribe(EventTopic(), recorder)
    publisher = {"outbox_events": OUTBOX_EVENTS, "confirm_timeout_seconds": ALARM_SECONDS / 2}
    bus = amqp_world.connect(connection=HEARTBEAT, publisher=publisher)
    raise_alarm, end_alarm = ALARMS[kind]

    load = Load(bus)
    try:
        recorder.wait_for(2000, TIMEOUT_SECONDS)
        amqp_world.rabbitmq.rabbitmqctl(*raise_alarm)
        try:
            wait_until(lambda: bus.state is BusState.BLOCKED, "the block to be told")
            assert kind in bus.health().publisher.reason
            since = time.monotonic()
            wait_until(lambda: bus.stats().waiting == OUTBOX_EVENTS, "the outbox to be full")
            wait_until(lambda refused=load.refused: load.refused > refused, "the caller to hear of it")  # type: ignore[misc]
            delivered = len(recorder.events)
            wait_until(lambda: time.monotonic() - since >= ALARM_SECONDS, "many heartbeats")
            assert bus.state is BusState.BLOCKED
            assert len(recorder.events) >= delivered
        finally:
            amqp_world.rabbitmq.rabbitmqctl(*end_alarm)
        wait_until(lambda: len(recorder.events) > delivered + 1000, "the flow to come back")
    finally:
        load.end()

    bus.flush(6 * TIMEOUT_SECONDS)
    wait_until(lambda: len(recorder.events) >= load.accepted, "every event", 3 * TIMEOUT_SECONDS)
    assert [event.details["number"] for event in recorder.events] == list(range(load.accepted))
    # A caller that waited for the broker would have waited for the whole alarm.  How long one that does not wait may
    # take, with two cores for everything, is for the benchmarks and the chaos suite to measure.
    assert load.longest_seconds < ALARM_SECONDS / 4
    assert bus.stats().reconnects == consumer.stats().reconnects == 0
    assert (amqp_world.connections_made(bus), bus.stats().resent) == (1, 0)


@pytest.mark.parametrize("kind", ALARMS)
def test_p1_an_alarm_raised_before_we_connect(amqp_world: AmqpWorld, kind: str) -> None:
    """A process that starts during an alarm is told so with its first event, and sends it afterwards."""
    raise_alarm, end_alarm = ALARMS[kind]
    amqp_world.rabbitmq.rabbitmqctl(*raise_alarm)
    try:
        bus = amqp_world.connect(connection=HEARTBEAT, publisher={"confirm_timeout_seconds": 1})
        receipt = bus.publish(an_event(0))
        wait_until(lambda: bus.state is BusState.BLOCKED, "the block to be told")
        assert kind in bus.health().publisher.reason
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since >= 4, "four heartbeats")
        assert not receipt.done()
    finally:
        amqp_world.rabbitmq.rabbitmqctl(*end_alarm)

    receipt.result(TIMEOUT_SECONDS)
    wait_until(lambda: bus.health(), "the bus to be well")
    assert (amqp_world.connections_made(bus), bus.stats().resent) == (1, 0)
