"""P7: each subscription compares what should be with what is, repairs it, and leaves alone what is well."""

import threading

import pytest

from bus_amqp import EventBus, EventTopic
from bus_amqp.consume import consumer as consumer_module
from bus_amqp.health import SubscriptionHealth
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.wire.routing_key import binding_key
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate, an_event, events_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import MemoryWorld, World

AUDIT_SECONDS = 0.2
QUICK_AUDIT = {"audit_seconds": AUDIT_SECONDS}
AUDITS_IN_TEN_MINUTES = 20

# Stops the broker's channel process: its consumer stays listed, its connection open, and nothing comes any more.
SUSPEND = """
rabbit_amqqueue:with(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>),
    fun(Q) -> [sys:suspend(element(1, C)) || C <- rabbit_amqqueue:consumers(Q)] end).
"""


def test_p7_a_removed_binding_is_back_within_an_audit_and_a_peers_is_left_alone(world: World) -> None:
    """A binding that is gone cannot be seen by who consumes, and without a reconnect nothing would make it again."""
    bus = world.connect(consumer=QUICK_AUDIT)
    recorder = Recorder()
    topic = EventTopic(event_category="UsageEvent")
    bus.subscribe(topic, recorder, group="billing")
    queue = names.group_queue(world.exchange, "billing")
    peers = binding_key(EventTopic(event_category="AlertEvent"))
    world.bind(queue, peers)

    world.unbind(queue, binding_key(topic))
    _wait_audits(bus, 2)
    event = an_event(1, event_category="UsageEvent")
    bus.publish(event)

    assert recorder.wait_for(1).ids == [event.event_id]
    assert bus.stats().reconnects == 0
    if world.is_amqp:  # memory's way to unbind takes all the bindings of a queue
        bus.publish(an_event(2, event_category="AlertEvent"), mandatory=True).result(TIMEOUT_SECONDS)


def test_p7_ten_quiet_minutes_disturb_nobody(world: World) -> None:
    """As many audits as in ten minutes: a session begun anew would deliver again what is in hand."""
    bus = world.connect(consumer={"audit_seconds": 0.05})
    gates = [Gate(), Gate(), Gate()]
    bus.subscribe(EventTopic(), gates[0], group="plain")
    bus.subscribe(EventTopic(), gates[1], group="in-order", ordered=True)
    bus.subscribe(EventTopic(), gates[2])
    bus.publish(an_event())
    for gate in gates:
        gate.wait_entered()

    _wait_audits(bus, AUDITS_IN_TEN_MINUTES)

    assert bus.health()
    assert [one.delivered for one in bus.stats().subscriptions.values()] == [1, 1, 1]
    for gate in gates:
        gate.let_go()
    wait_until(lambda: all(len(gate.finished) == 1 for gate in gates), "all to end")
    assert [len(gate.started) for gate in gates] == [1, 1, 1]
    assert bus.stats().reconnects == 0


def test_p7_who_stands_by_or_is_slow_is_not_taken_for_a_ghost(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Messages wait and nothing comes: for a standby, and for who has full hands, that is as it should be."""
    buses = [world.connect(consumer={"audit_seconds": 0.05}) for _ in range(2)]
    gate = Gate()
    for bus in buses:
        bus.subscribe(EventTopic(), gate, group="in-order", ordered=True, prefetch=2)
    for event in events_of(10):
        buses[0].publish(event)
    gate.wait_entered()

    for bus in buses:
        _wait_audits(bus, 6)

    assert "not consuming" not in caplog.text, "nobody was begun anew"
    assert sum(_only(bus).running + _only(bus).waiting for bus in buses) == 2
    gate.let_go()
    wait_until(lambda: len(gate.finished) >= 10, "the rest")
    assert len(gate.started) == 10


def test_p7_a_silent_ghost_is_found_and_brought_back(amqp_world: AmqpWorld) -> None:
    """Listed, connected, healthy by its own word, and deaf: what users of ten libraries restart their pods for."""
    bus = amqp_world.connect(consumer=QUICK_AUDIT, connection={"connect_timeout_seconds": 1})
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, group="billing", prefetch=2)
    queue = names.group_queue(amqp_world.exchange, "billing")
    bus.publish(an_event(0))
    recorder.wait_for(1)

    amqp_world.rabbitmq.rabbitmqctl("eval", SUSPEND.format(queue=queue))
    for event in events_of(10):
        bus.publish(event)

    recorder.wait_for(11, timeout_seconds=TIMEOUT_SECONDS)
    wait_until(lambda: bus.health(), "the bus to be well")


@pytest.mark.parametrize("is_listed", [True, False])
def test_p7_a_consumer_that_the_broker_has_forgotten_is_made_again(
    memory_world: MemoryWorld, is_listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ``basic.cancel``, no closed channel: only a look at the queue can tell.  The neighbour goes on undisturbed."""
    monkeypatch.setattr(consumer_module, "SECOND_LOOK_SECONDS", 0.05)
    bus = memory_world.connect(consumer=QUICK_AUDIT)
    recorder, gate = Recorder(), Gate()
    bus.subscribe(EventTopic(), recorder, group="billing")
    bus.subscribe(EventTopic(), gate, group="workflow")
    bus.publish(an_event(0))
    recorder.wait_for(1)
    gate.wait_entered()
    objects = memory_world.broker.objects
    with memory_world.broker.lock:
        queue = objects.existing_queue(names.group_queue(memory_world.exchange, "billing"))
        if is_listed:
            queue._consumers[0]._is_open = False  # type: ignore[attr-defined]
        else:
            queue._consumers.clear()

    bus.publish(an_event(1))

    recorder.wait_for(2)
    gate.let_go()
    wait_until(lambda: len(gate.finished) == 2, "the neighbour")
    assert len(gate.started) == 2


def test_p7_a_backlog_is_told_before_it_fills_the_broker(world: World) -> None:
    """A subscriber that cannot keep up is somebody's business long before the disk is full."""
    bus = world.connect(consumer={**QUICK_AUDIT, "backlog_warning": 10})
    gate = Gate()
    bus.subscribe(EventTopic(), gate, group="billing", prefetch=1)
    for event in events_of(30):
        bus.publish(event)
    gate.wait_entered()

    wait_until(lambda: _only(bus).warnings, "the warning")
    assert _only(bus).backlog == 29
    assert "29 events wait" in _only(bus).warnings[0]
    assert bus.health(), "a restart would not help, so it is a warning"
    gate.let_go()
    wait_until(lambda: _only(bus).backlog == 0 and not _only(bus).warnings, "the backlog to be gone")


def test_p7_an_audit_that_fails_is_told_and_ends_nothing(amqp_world: AmqpWorld) -> None:
    """What cannot be known is not called well; and the control connection's trouble is not the consumer's."""
    bus = amqp_world.connect(consumer=QUICK_AUDIT, connection={"connect_timeout_seconds": 1})
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, group="billing")
    _wait_audits(bus, 1)
    queue = names.group_queue(amqp_world.exchange, "billing")
    amqp_world.delete_exchange(names.dead_exchange(amqp_world.exchange))
    with amqp_world._channel() as channel:  # of another kind: the audit cannot declare it
        channel.exchange_declare(names.dead_exchange(amqp_world.exchange), "fanout", durable=True, auto_delete=False)

    wait_until(lambda: _only(bus).warnings, "the warning")
    bus.publish(an_event(0))
    recorder.wait_for(1)
    assert _only(bus).is_consuming
    assert "could not be looked at" in _only(bus).warnings[0]

    amqp_world.delete_exchange(names.dead_exchange(amqp_world.exchange))
    wait_until(lambda: not _only(bus).warnings, "the warning to go")
    state = amqp_world.queue_state(queue)
    assert state is not None
    assert state.consumers == 1


def test_p7_a_handler_that_takes_too_long_is_told_and_not_ended(world: World) -> None:
    """It hangs, says nobody, until the queue is full: log, health and count say which event it is."""
    bus = world.connect(consumer={"handler_timeout_seconds": 0.3})
    gate, recorder = Gate(), Recorder()
    bus.subscribe(EventTopic(), gate, workers=2)
    bus.subscribe(EventTopic(), recorder)
    bus.publish(an_event(0))
    gate.wait_entered()

    wait_until(lambda: any(one.slow_handlers for one in bus.health().subscriptions), "the report")
    assert sum(one.slow for one in bus.stats().subscriptions.values()) == 1
    recorder.wait_for(1)
    gate.let_go()
    wait_until(lambda: not any(one.slow_handlers for one in bus.health().subscriptions), "the report to be over")
    assert sum(one.handled for one in bus.stats().subscriptions.values()) == 2


def test_p7_a_coroutine_that_takes_too_long_is_told(memory_world: MemoryWorld) -> None:
    """An await that never ends looks the same from outside."""
    import asyncio

    bus = memory_world.connect(consumer={"handler_timeout_seconds": 0.2})
    is_over = threading.Event()

    async def on_event(event: object) -> None:
        while not is_over.is_set():
            await asyncio.sleep(0.01)

    bus.subscribe(EventTopic(), on_event, workers=3)
    bus.publish(an_event(0))

    wait_until(lambda: _only(bus).slow_handlers == 1, "the report")
    is_over.set()
    wait_until(lambda: _only(bus).slow_handlers == 0, "its end")


def _only(bus: EventBus) -> SubscriptionHealth:
    [one] = bus.health().subscriptions
    return one


def _wait_audits(bus: EventBus, count: int) -> None:
    """Wait until each subscription has been looked at that often."""
    seen: list[set[object]] = [set() for _ in bus.health().subscriptions]

    def are_enough() -> bool:
        for times, one in zip(seen, bus.health().subscriptions, strict=True):
            if one.audited_at is not None:
                times.add(one.audited_at)
        return all(len(times) > count for times in seen)

    wait_until(are_enough, f"{count} audits", 3 * TIMEOUT_SECONDS)
