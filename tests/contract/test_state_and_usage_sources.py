"""The design document's state listeners and its usage component, each given a bus as the document says.

On ``memory://``: what a real RabbitMQ adds is asked in ``tests/promise``.
"""

from collections.abc import Iterator

import pytest

from bus_amqp import EventBus, EventTopic, connect
from bus_amqp.source.job import AsyncJob, AsyncJobEvents
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.state import (
    NetworkStateListener,
    ResourceStateEvents,
    SnapshotStateListener,
    UserVmStateListener,
    VolumeStateListener,
)
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage import UsageEvents
from bus_amqp.source.usage_details import UsageFacts
from bus_amqp.source.usage_from_state import subscribers
from bus_amqp.testing.recorder import Recorder


@pytest.fixture
def bus(exchange: str) -> Iterator[EventBus]:
    with connect(f"memory://{exchange}", exchange=exchange) as bus:
        yield bus


def heard(bus: EventBus, category: str) -> Recorder:
    """Return a recorder that hears all events of a category."""
    recorder = Recorder()
    bus.subscribe(EventTopic(event_category=category), recorder)
    return recorder


@pytest.mark.parametrize(
    "component", [UserVmStateListener, NetworkStateListener, VolumeStateListener, SnapshotStateListener]
)
def test_a_state_listener_is_given_the_bus_and_publishes_on_it(
    bus: EventBus, component: type[ResourceStateEvents]
) -> None:
    """They "shall inject EventBus and use publish method to publish an event on to event bus"; four of the seven."""
    recorder = heard(bus, "ResourceStateEvent")
    machine = MACHINES[component.resource_type].with_listeners(component(bus))
    line = machine.table.transitions[-1]

    machine.transit(line.event, line.state, "6f2d", save=lambda old, new: True)

    pre, post = recorder.wait_for(2).events
    assert (pre.resource_type, pre.resource_uuid) == (component.resource_type, "6f2d")
    assert (pre.details["phase"], post.details["phase"]) == ("pre", "post")


def test_usage_is_given_the_bus_and_publishes_on_it(bus: EventBus) -> None:
    """The same for UsageEventUtils."""
    recorder = heard(bus, "UsageEvent")

    UsageEvents(bus).publish("VM.START", resource_type="VirtualMachine", resource_uuid="6f2d", account="acme")

    (event,) = recorder.wait_for(1).events
    assert (event.event_type, event.details["account"]) == ("VM.START", "acme")


def test_jobs_are_told_on_the_bus(bus: EventBus) -> None:
    """The category AsyncJobEvent has its component too."""
    recorder = heard(bus, "AsyncJobEvent")

    AsyncJobEvents(bus).submitted(AsyncJob("j-1", "startVirtualMachine"), parameters={"sessionkey": "Xy12"})

    (event,) = recorder.wait_for(1).events
    assert event.details["parameters"] == {"sessionkey": "[redacted]"}


def test_usage_needs_no_code_in_the_orchestration(bus: EventBus) -> None:
    """The document complains that its code "is spread across the orchestration components": here none has any."""
    recorder = heard(bus, "UsageEvent")
    bus.subscribe_all(subscribers(bus))
    machine = MACHINES["VirtualMachine"].with_listeners(UserVmStateListener(bus))
    vm = StatefulResource("6f2d", UsageFacts(account="acme", offering="small"))

    machine.transit("OperationSucceeded", "Starting", vm, save=lambda old, new: True)
    machine.transit("FollowAgentPowerOffReport", "Running", vm, save=lambda old, new: True)

    events = recorder.wait_for(2).events
    assert [event.event_type for event in events] == ["VM.START", "VM.STOP"]
    assert {event.details["offering"] for event in events} == {"small"}
