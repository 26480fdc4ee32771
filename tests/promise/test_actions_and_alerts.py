"""Actions and alerts on real brokers: told in order and tied together; a bus that fails breaks no work."""

import pytest

from bus_amqp import Event, EventTopic
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails
from bus_amqp.source.alert import AlertGenerator
from bus_amqp.source.alert_details import AlertDetails
from bus_amqp.source.threshold import ThresholdPolicy
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS
from tests.promise.world import World

ACTIONS, ALERTS = EventTopic(event_category="ActionEvent"), EventTopic(event_category="AlertEvent")


def test_an_action_arrives_in_order_with_its_outcome_and_who_did_it(world: World) -> None:
    """The completion that a workflow waits for, and the failure that the original calls one."""
    bus, recorder = world.connect(), Recorder()
    bus.subscribe(ACTIONS, recorder)
    actions = ActionEvents(bus)

    with actions.on_behalf_of(user="ada", account="acme"):
        with actions.performing("VM.START", resource="6f2d"):
            pass
        with pytest.raises(LookupError), actions.performing("VM.START", resource="6f2d"):
            raise LookupError("no host")

    events = recorder.wait_for(4).events
    told = [ActionDetails.from_wire(event.details) for event in events]
    assert [one.status for one in told] == ["Started", "Completed", "Started", "Failed"]
    assert [one.start_event_id for one in told] == [None, events[0].event_id, None, events[2].event_id]
    assert {(one.user, one.account) for one in told} == {("ada", "acme")}
    assert {(event.resource_type, event.resource_uuid) for event in events} == {("VirtualMachine", "6f2d")}


def test_what_happens_inside_an_action_of_a_handler_is_one_undertaking(world: World) -> None:
    """An order leads to an action, the action to a change of state: one correlation id finds them all."""
    bus, recorder = world.connect(), Recorder()
    bus.subscribe([ACTIONS, EventTopic(event_type="STATE")], recorder)
    actions = ActionEvents(bus)

    def start(order: Event) -> None:
        with actions.performing("VM.START", resource="6f2d"):
            bus.publish(an_event(event_type="STATE", resource="6f2d"))

    bus.subscribe(EventTopic(event_type="ORDER"), start)
    order = an_event(event_type="ORDER", correlation_id="order-7")
    bus.publish(order)

    started, state, completed = recorder.wait_for(3).events
    assert {event.correlation_id for event in (started, state, completed)} == {"order-7"}
    assert started.causation_id == order.event_id
    assert state.causation_id == started.event_id
    assert completed.causation_id == started.event_id


def test_an_action_goes_on_without_its_broker_and_is_told_later(world: World) -> None:
    """Machines start while RabbitMQ restarts; whoever listens hears of it afterwards, in order."""
    bus, recorder = world.connect(), Recorder()
    bus.subscribe(ACTIONS, recorder)
    actions = ActionEvents(bus)
    perform = actions.performs("VM.START", resource=lambda uuid: uuid)(lambda uuid: f"{uuid} runs")

    world.take_broker_away()
    assert perform("6f2d") == "6f2d runs"
    world.bring_back()

    events = recorder.wait_for(2, timeout_seconds=TIMEOUT_SECONDS).events
    assert [event.details["status"] for event in events[:2]] == ["Started", "Completed"]
    assert actions.failed == 0


def test_an_action_goes_on_when_the_outbox_is_full(world: World) -> None:
    """P1 as a user meets it: nothing is dropped silently, and nothing that works is stopped for it."""
    bus = world.connect(publisher={"outbox_events": 1, "publish_timeout_seconds": 0})
    world.take_broker_away()
    bus.publish(an_event())
    actions = ActionEvents(bus)

    with actions.performing("VM.START", resource="6f2d"):
        pass

    assert actions.failed == 2
    world.bring_back()


def test_alerts_arrive_once_and_with_their_end(world: World) -> None:
    """A monitor on the other side of a broker sees red once, with the count, and then green."""
    bus, recorder = world.connect(), Recorder()
    bus.subscribe(ALERTS, recorder)
    alerts = AlertGenerator(bus)
    memory = alerts.watch(ThresholdPolicy(alert_type="ALERT.MEMORY", raise_above=0.9, clear_below=0.8))

    for value in (0.95, 0.97, 0.85, 0.5):
        memory.observe(value, resource="cluster-1", zone="zone-1")
    for _ in range(5):
        alerts.raise_alert("ALERT.STORAGE", "full", zone="zone-1")
    alerts.flush()

    events = recorder.wait_for(4).events
    told = [AlertDetails.from_wire(event.details) for event in events]
    of_memory = [one for event, one in zip(events, told, strict=True) if event.event_type == "ALERT.MEMORY"]
    of_storage = [one for event, one in zip(events, told, strict=True) if event.event_type == "ALERT.STORAGE"]
    assert [(one.status, one.value) for one in of_memory] == [("Raised", 0.95), ("Cleared", 0.5)]
    assert of_memory[1].alert_id == events[0].event_id
    assert [one.count for one in of_storage] == [1, 4]
