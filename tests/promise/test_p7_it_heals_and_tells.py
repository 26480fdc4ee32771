"""P7: it repairs what breaks, without the user, and tells the truth about itself meanwhile."""

import threading

import pytest

from bus_amqp import BusState, EventBus, EventTopic, Receipt
from bus_amqp.consume import outage
from bus_amqp.health import SubscriptionHealth
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.wire.routing_key import binding_key
from tests.promise.subscribers import Gate, an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World


def test_p7_health_is_false_with_the_reason_while_the_broker_is_away(world: World) -> None:
    """*TCP is up* is not *consuming*, and a process that says it is well when it is not gets no help."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder)
    assert bus.state is BusState.OPEN
    assert bus.health()

    world.take_broker_away()
    wait_until(lambda: bus.health().publisher.reason and bus.health().subscriptions[0].reason, "the loss to be seen")

    health = bus.health()
    assert health.state is BusState.RECONNECTING
    assert not health
    assert health.publisher.state is BusState.RECONNECTING
    assert health.publisher.reason
    assert health.subscriptions[0].reason
    bus.publish(an_event())
    assert bus.health().publisher.waiting == 1

    world.bring_back()
    wait_until(lambda: bus.health(), "the bus to be well")
    recorder.wait_for(1)
    health = bus.health()
    assert (health.state, health.publisher.reason, health.subscriptions[0].reason) == (BusState.OPEN, "", "")
    assert health.broker
    assert bus.stats().reconnects == 2


def test_p7_a_subscription_that_is_not_consuming_is_not_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection may be perfect: what counts is that the broker delivers."""
    monkeypatch.setattr(outage, "REFUSED_PAUSE_SECONDS", 0.3)
    bus = world.connect()
    bus.subscribe(EventTopic(), Recorder(), group="billing")
    queue = names.group_queue(world.exchange, "billing")

    world.declare_otherwise(queue)  # so that the bus cannot repair it
    wait_until(lambda: bus.health().subscriptions[0].reason, "the loss to be seen")

    health = bus.health()
    assert not health
    assert (health.state, health.subscriptions[0].is_consuming) == (BusState.OPEN, False)
    world.delete_queue(queue)
    wait_until(lambda: bus.health(), "the subscription to be repaired")


def test_p7_a_bus_that_never_reached_its_broker_says_connecting(world: World) -> None:
    """Starting up and breaking down look different to an operator."""
    world.take_broker_away()
    bus = world.connect(require_broker=False)
    wait_until(lambda: bus.health().publisher.reason, "the first failure")

    assert bus.state is BusState.CONNECTING
    assert not bus.health()

    world.bring_back()
    wait_until(lambda: bus.health(), "the first connection")
    bus.close()
    assert bus.state is BusState.CLOSED
    assert not bus.health()


def test_p7_an_alarm_is_seen_and_deliveries_go_on(world: World) -> None:
    """A broker low on memory blocks publishers; consuming is what empties it, so that must not stop."""
    bus = world.connect()
    recorder, gate = Recorder(), Gate()
    bus.subscribe(EventTopic(), gate, group="billing")
    bus.subscribe(EventTopic(), recorder)
    before = events_of(20)
    for event in before:
        bus.publish(event)
    recorder.wait_for(20)

    world.raise_alarm()
    receipts: list[Receipt] = []

    def is_blocked() -> bool:  # RabbitMQ tells a connection when it publishes, not when the alarm is raised
        receipts.append(bus.publish(an_event(99)))
        return bus.state is BusState.BLOCKED

    wait_until(is_blocked, "the block to be told")

    assert bus.health().publisher.reason
    assert not bus.health()
    gate.let_go()
    wait_until(lambda: len(gate.finished) >= 20, "deliveries during the alarm")

    world.end_alarm()
    receipts[-1].result(TIMEOUT_SECONDS)
    wait_until(lambda: bus.health(), "the bus to be well")
    assert bus.stats().reconnects == 0


def test_p7_a_cancelled_consumer_is_repaired_and_the_others_do_not_notice(world: World) -> None:
    """The ghost consumer: connected, healthy by its own word, and nobody on the queue."""
    bus = world.connect()
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(), gate, group="workflow", workers=2)
    bus.subscribe(EventTopic(), recorder, group="billing")
    for number in range(2):
        bus.publish(an_event(number, f"r-{number}"))
    gate.wait_entered(2)
    recorder.wait_for(2)
    queue = names.group_queue(world.exchange, "billing")

    world.delete_queue(queue)
    wait_until(lambda: _of(bus, queue).gaps and bus.health(), "the subscription to be repaired")

    state = world.queue_state(queue)
    assert state is not None
    assert state.consumers == 1
    bus.publish(an_event(2))
    recorder.wait_for(3)
    gate.let_go()
    wait_until(lambda: len(gate.finished) == 3, "the other subscription")
    assert len(gate.started) == 3  # nothing was delivered to it again
    assert _of(bus, names.group_queue(world.exchange, "workflow")).gaps == ()
    assert bus.stats().reconnects == 0


def test_p7_a_deleted_binding_is_there_again_after_a_reconnect(world: World) -> None:
    """Each reconnect makes sure of everything that the subscription needs, not of the queue alone."""
    bus = world.connect()
    recorder = Recorder()
    topic = EventTopic(event_category="UsageEvent")
    bus.subscribe(topic, recorder, group="billing")
    world.unbind(names.group_queue(world.exchange, "billing"), binding_key(topic))
    bus.publish(an_event(0, event_category="UsageEvent"))
    bus.flush(TIMEOUT_SECONDS)

    world.cut_connections()
    wait_until(lambda: bus.stats().reconnects == 2 and bus.health(), "both connections to be back")

    event = an_event(1, event_category="UsageEvent")
    bus.publish(event)
    assert recorder.wait_for(1).ids == [event.event_id]


def test_p7_a_deleted_exchange_is_made_again(world: World) -> None:
    """The broker closes the publish channel with a 404: that must end neither the publisher nor the event."""
    bus = world.connect()
    bus.publish(an_event(0)).result(10)

    world.delete_exchange()
    receipts = [bus.publish(event) for event in events_of(20)]

    for receipt in receipts:
        receipt.result(TIMEOUT_SECONDS)
    wait_until(lambda: bus.health(), "the bus to be well")


def test_p7_it_survives_being_cut_off_again_and_again(world: World) -> None:
    """Twenty lost connections leave as many threads and connections as none."""
    bus = world.connect(publisher={"publish_timeout_seconds": 20})
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, workers=2)
    bus.publish(an_event(0))
    recorder.wait_for(1)
    threads = _thread_names()

    for number in range(1, 21):
        world.cut_connections()
        bus.publish(an_event(number))
        recorder.wait_for(number + 1)

    wait_until(lambda: bus.health(), "the bus to be well")
    wait_until(lambda: _thread_names() == threads, "no more threads than before")
    wait_until(lambda: world.open_connections() <= 3, "no more connections than one for each thread that has one")


def test_p7_a_subscription_tells_how_much_waits(world: World) -> None:
    """A backlog in the process is part of its health."""
    bus = world.connect()
    gate = Gate()
    bus.subscribe(EventTopic(), gate, prefetch=10)
    for event in events_of(50):
        bus.publish(event)
    gate.wait_entered()

    wait_until(lambda: _in_hand(bus) == 10, "ten in hand")
    gate.let_go()
    wait_until(lambda: len(gate.finished) == 50, "the backlog to be handled")
    wait_until(lambda: bus.health().subscriptions[0].running == 0, "nothing in hand")


def test_p7_a_callback_learns_of_failure_and_the_bus_goes_on_after_errors(world: World) -> None:
    """Errors of users' callbacks on receipts must not end the thread that serves them all."""
    bus = world.connect()
    called = threading.Event()

    def fail(receipt: object) -> None:
        raise RuntimeError("a callback of the user")

    world.stall()
    receipts = [bus.publish(an_event(number)) for number in range(2)]
    receipts[0].add_done_callback(fail)
    receipts[1].add_done_callback(lambda receipt: called.set())
    world.flow()

    assert called.wait(TIMEOUT_SECONDS)
    bus.publish(an_event()).result(10)


def _of(bus: EventBus, queue: str) -> SubscriptionHealth:
    [found] = [one for one in bus.health().subscriptions if one.queue == queue]
    return found


def _in_hand(bus: EventBus) -> int:
    [one] = bus.health().subscriptions
    return one.running + one.waiting


def _thread_names() -> list[str]:
    """Return the names of all threads but the control connection's, which come and go with the requests."""
    return sorted(thread.name for thread in threading.enumerate() if thread.name != "bus-control")
