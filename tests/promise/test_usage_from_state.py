"""Usage that is derived from changes of state: by a group of processes, over real brokers, with nothing lost."""

import threading
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from bus_amqp import Event, EventBus, EventTopic
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE
from bus_amqp.source.state import UserVmStateListener
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_details import UsageDetails, UsageFacts
from bus_amqp.source.usage_from_state import GROUP, usage_subscribers
from bus_amqp.testing.recorder import Recorder
from tests.promise.waiting import TIMEOUT_SECONDS
from tests.promise.world import World

USAGE = EventTopic(event_category="UsageEvent")
LIFE = (
    ("CreateRequested", None), ("StartRequested", "Stopped"), ("OperationSucceeded", "Starting"),
    ("AgentReportRunning", "Running"), ("StopRequested", "Running"), ("OperationSucceeded", "Stopping"),
    ("DestroyRequested", "Stopped"),
)  # fmt: skip
BILLED = ("VM.CREATE", "VM.START", "VM.STOP", "VM.DESTROY")


def live(bus: EventBus, uuids: Sequence[str]) -> None:
    """Take machines through their whole lives; nobody in here knows of usage."""
    machine = VIRTUAL_MACHINE.with_listeners(UserVmStateListener(bus))
    for uuid in uuids:
        vm = StatefulResource(uuid, UsageFacts(account="acme", zone="z1", offering="small"))
        for event, state in LIFE:
            machine.transit(event, state, vm, save=lambda old, new: True)


def bill(events: Sequence[Event]) -> dict[str, list[str]]:
    """Return what each machine is charged for: each id once, in the order of the times."""
    by_machine: dict[str, list[str]] = {}
    for event in sorted({event.event_id: event for event in events}.values(), key=lambda event: event.event_time):
        by_machine.setdefault(event.resource_uuid, []).append(event.event_type)
    return by_machine


def test_a_group_derives_the_usage_of_each_change_once(world: World) -> None:
    """Two billing processes share the changes; what they publish has owner, offering and the time of the change."""
    server, ledger = world.connect(), Recorder()
    server.subscribe(USAGE, ledger)
    for process in (world.connect(), world.connect()):
        process.subscribe_all(usage_subscribers(process))
    uuids = [f"vm-{number}" for number in range(40)]

    live(server, uuids)

    ledger.wait_for(len(uuids) * len(BILLED), 2 * TIMEOUT_SECONDS)
    assert bill(ledger.events) == {uuid: list(BILLED) for uuid in uuids}
    for event in ledger.events:
        assert UsageDetails.from_wire(event.details) == UsageDetails(account="acme", zone="z1", offering="small")


def test_no_usage_is_lost_or_invented_through_lost_connections(world: World) -> None:
    """A change may be handled twice then; its usage has the same id, so the ledger counts it once."""
    server = world.connect(publisher={"publish_timeout_seconds": 60})
    watcher, ledger = world.connect(), Recorder()
    watcher.subscribe(USAGE, ledger)
    for process in (world.connect(), world.connect()):
        process.subscribe_all(usage_subscribers(process))
    uuids = [f"vm-{number}" for number in range(150)]
    expected = len(uuids) * len(BILLED)
    living = threading.Thread(target=live, args=(server, uuids))
    living.start()

    for percent in (10, 40, 70):
        ledger.wait_for(expected * percent // 100, 3 * TIMEOUT_SECONDS)
        world.cut_connections()

    living.join(3 * TIMEOUT_SECONDS)
    ledger.wait_for(expected, 3 * TIMEOUT_SECONDS)
    assert bill(ledger.events) == {uuid: list(BILLED) for uuid in uuids}
    copies = {(event.event_id, event.resource_uuid, event.event_type, event.event_time) for event in ledger.events}
    assert len(copies) == expected


def test_a_change_never_waits_for_the_broker(world: World) -> None:
    """The original publishes in the middle of the transition: a broker without disk has stopped a whole cloud."""
    server, ledger = world.connect(), Recorder()
    server.subscribe(EventTopic(event_category="ResourceStateEvent"), ledger, group="states")
    world.take_broker_away()

    began = time.monotonic()
    live(server, [f"vm-{number}" for number in range(20)])
    took_seconds = time.monotonic() - began

    assert took_seconds < 2, "140 changes, 280 events, and nobody there to take them"
    world.bring_back()
    ledger.wait_for(20 * len(LIFE) * 2, 3 * TIMEOUT_SECONDS)


@pytest.mark.parametrize("fault", ["nobody pays", "no state"])
def test_what_cannot_be_billed_is_set_aside_with_the_reason(world: World, fault: str) -> None:
    """Not dropped, and not tried again for ten minutes: an operator finds it, and puts it back once it can be."""
    server = world.connect()
    process = world.connect()
    process.subscribe_all(usage_subscribers(process))
    details = {
        "phase": "post", "event": "OperationSucceeded", "oldState": "Starting", "newState": "Running",
        "transitionId": "0b6ac0a2-2d5c-4b44-9a3e-0b8c1d2e3f40",
    }  # fmt: skip
    if fault == "no state":
        del details["newState"]

    server.publish(
        Event(
            event_category="ResourceStateEvent", event_type="OperationSucceeded", event_source="s",
            resource_type="VirtualMachine", resource_uuid="vm-1", details=dict(details),
        )
    )  # fmt: skip

    (letter,) = world.wait_dead_letters(1, GROUP)
    told = str(Counter(map(str, letter.headers.values())))
    assert ("account: nobody knows who pays" if fault == "nobody pays" else "newState") in told
