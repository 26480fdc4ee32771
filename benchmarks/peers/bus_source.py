"""Publishing through a source beside building and publishing the same event by hand: CPU time of the caller's thread.

There is no broker: what both have in common after the outbox would only hide the difference.  A new source adds its
line to ``SOURCES``.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.task import EXCHANGE, Task, wait_for_start
from bus_amqp import Event, EventBus, Settings, connect
from bus_amqp.errors import UndeliveredError
from bus_amqp.event import new_event_id
from bus_amqp.settings import PublisherSettings
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.actor import Actor
from bus_amqp.source.alert import AlertGenerator
from bus_amqp.source.emitter import Emitter, EventPublisher
from bus_amqp.source.job import AsyncJob, AsyncJobEvents
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE
from bus_amqp.source.state import UserVmStateListener
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage import UsageEvents
from bus_amqp.source.usage_details import UsageFacts

_BATCH = 500  # calls in a row, so that the clock costs nothing; the two ways take turns
_DESCRIPTION = "Successfully completed: instance web-0042 of account acme has been started on host-7"
_ZONE, _ACCOUNT, _USER, _PROJECT = "zone-1", "1f6f-acme", "77b1-ada", "90c2-apollo"

Call = Callable[[str], object]
Ways = tuple[Call, Call]  # by hand, through the source: each publishes the same for the resource that it is given


def emitter(bus: EventPublisher) -> Ways:
    """Return the ways of any source of one's own: one checked model, one event."""
    own = Emitter(bus, category="ActionEvent")

    def by_hand(uuid: str) -> None:
        bus.publish(
            Event(
                event_category="ActionEvent",
                event_type="VM.START",
                event_source="management-server",
                resource_type="VirtualMachine",
                resource_uuid=uuid,
                description=_DESCRIPTION,
                details={
                    "detailsVersion": 1, "account": _ACCOUNT, "status": "Completed", "user": _USER,
                    "project": _PROJECT, "durationSeconds": 0.25,
                },
            )
        )  # fmt: skip

    def through_source(uuid: str) -> None:
        details = ActionDetails(
            account=_ACCOUNT, status=ActionStatus.COMPLETED, user=_USER, project=_PROJECT, duration_seconds=0.25
        )
        own.emit(
            "VM.START", details, resource_type="VirtualMachine", resource_uuid=uuid, description=_DESCRIPTION
        )  # fmt: skip

    return by_hand, through_source


def actions(bus: EventPublisher) -> Ways:
    """Return the ways of an action: two events, tied together, with the time between them."""
    source = ActionEvents(bus, actor=lambda: Actor(user=_USER, account=_ACCOUNT, project=_PROJECT))
    perform = source.performs("VM.START", resource=lambda uuid: uuid, description=_DESCRIPTION)(lambda uuid: None)

    def by_hand(uuid: str) -> None:
        begun = time.monotonic()
        who = {"detailsVersion": 1, "account": _ACCOUNT, "user": _USER, "project": _PROJECT}
        about: dict[str, Any] = {
            "event_category": "ActionEvent", "event_type": "VM.START", "event_source": "management-server",
            "resource_type": "VirtualMachine", "resource_uuid": uuid, "description": _DESCRIPTION,
        }  # fmt: skip
        first = Event(**about, details={**who, "status": "Started"})
        bus.publish(first)
        start_event_id = str(first.event_id)
        outcome = {
            **who, "status": "Completed", "startEventId": start_event_id,
            "durationSeconds": time.monotonic() - begun,
        }  # fmt: skip
        bus.publish(Event(**about, details=outcome, causation_id=first.event_id, correlation_id=start_event_id))

    return by_hand, perform


def alerts(bus: EventPublisher) -> Ways:
    """Return the ways of an alert at a place that has none yet."""
    source = AlertGenerator(bus)

    def by_hand(uuid: str) -> None:
        bus.publish(
            Event(
                event_category="AlertEvent",
                event_type="ALERT.COMPUTE.HOST",
                event_source="management-server",
                resource_type="Host",
                resource_uuid=uuid,
                description="Host is down",
                details={
                    "detailsVersion": 1, "status": "Raised", "subject": "Host is down", "body": _DESCRIPTION,
                    "zone": _ZONE, "host": uuid, "count": 1,
                },
            )
        )  # fmt: skip

    def through_source(uuid: str) -> None:
        source.raise_alert("ALERT.COMPUTE.HOST", "Host is down", _DESCRIPTION, zone=_ZONE, host=uuid)

    return by_hand, through_source


def states(bus: EventPublisher) -> Ways:
    """Return the ways of a change of state: the event before it is stored, and the one after."""
    machine = VIRTUAL_MACHINE.with_listeners(UserVmStateListener(bus))
    facts = UsageFacts(account=_ACCOUNT, zone=_ZONE, offering="small")

    def by_hand(uuid: str) -> None:
        transition_id = new_event_id()
        who = {"account": _ACCOUNT, "zone": _ZONE, "offering": "small", "detailsVersion": 1}
        change = {
            "event": "StartRequested", "oldState": "Stopped", "newState": "Starting",
            "transitionId": str(transition_id),
        }  # fmt: skip
        about: dict[str, Any] = {
            "event_category": "ResourceStateEvent", "event_type": "StartRequested",
            "event_source": "management-server", "resource_type": "VirtualMachine", "resource_uuid": uuid,
        }  # fmt: skip

        def save(old: str, new: str) -> None:
            details = {**who, **change, "phase": "pre"}
            description = f"{old} -> {new}, about to be stored"
            bus.publish(Event(**about, description=description, details=details, event_id=transition_id))

        VIRTUAL_MACHINE.transit("StartRequested", "Stopped", uuid, save=save)
        details = {**who, **change, "phase": "post"}
        bus.publish(
            Event(**about, description="Stopped -> Starting, stored", details=details, causation_id=transition_id)
        )

    def through_source(uuid: str) -> None:
        machine.transit("StartRequested", "Stopped", StatefulResource(uuid, facts), save=lambda old, new: True)

    return by_hand, through_source


def usage(bus: EventPublisher) -> Ways:
    """Return the ways of a usage event."""
    source = UsageEvents(bus)

    def by_hand(uuid: str) -> None:
        bus.publish(
            Event(
                event_category="UsageEvent",
                event_type="VM.START",
                event_source="management-server",
                resource_type="VirtualMachine",
                resource_uuid=uuid,
                details={"detailsVersion": 1, "account": _ACCOUNT, "zone": _ZONE, "offering": "small", "template": "t"},
            )
        )

    def through_source(uuid: str) -> None:
        source.publish(
            "VM.START", resource_type="VirtualMachine", resource_uuid=uuid,
            account=_ACCOUNT, zone=_ZONE, offering="small", template="t",
        )  # fmt: skip

    return by_hand, through_source


def jobs(bus: EventPublisher) -> Ways:
    """Return the ways of a job that is submitted and completed.  By hand nobody looks for secrets."""
    source = AsyncJobEvents(bus)
    parameters = {
        "command": "startVirtualMachine", "response": "json", "ctxUserId": "2", "httpmethod": "GET",
        "ctxAccountId": "2", "id": "6f2d41aa",
    }  # fmt: skip

    def by_hand(uuid: str) -> None:
        about: dict[str, Any] = {
            "event_category": "AsyncJobEvent", "event_source": "management-server",
            "resource_type": "VirtualMachine", "resource_uuid": uuid, "correlation_id": uuid,
        }  # fmt: skip
        job = {
            "detailsVersion": 1, "jobId": uuid, "command": "startVirtualMachine", "user": _USER, "account": _ACCOUNT,
        }  # fmt: skip
        details = {**job, "status": "submitted", "parameters": dict(parameters)}
        bus.publish(Event(**about, event_type="submitted", details=details))
        bus.publish(Event(**about, event_type="completed", details={**job, "status": "completed", "result": "done"}))

    def through_source(uuid: str) -> None:
        job = AsyncJob(
            uuid, "startVirtualMachine", instance_type="VirtualMachine", instance_uuid=uuid,
            user=_USER, account=_ACCOUNT,
        )  # fmt: skip
        source.submitted(job, parameters=parameters)
        source.completed(job, result="done")

    return by_hand, through_source


SOURCES: dict[str, Callable[[EventPublisher], Ways]] = {
    "emitter": emitter, "actions": actions, "alerts": alerts, "states": states, "usage": usage, "jobs": jobs,
}  # fmt: skip


def run(task: Task) -> dict[str, Any]:
    """Measure each source; return microseconds of both ways and the median of the ratios of neighbouring batches."""
    wait_for_start()
    figures: dict[str, float] = {}
    for name, make in SOURCES.items():
        _check_that_both_say_the_same(name, make)
        with _bus(task) as bus:
            figures |= {f"{name}_{what}": value for what, value in _measure(make(bus), task).items()}
    return figures


class _Recorder:
    def __init__(self) -> None:
        self.said: list[tuple[str, str, str, str, str, list[str]]] = []

    def publish(self, event: Event, /) -> None:
        about = (event.event_category, event.event_type, event.resource_type, event.resource_uuid, event.description)
        self.said.append((*about, sorted(event.details)))


def _check_that_both_say_the_same(name: str, make: Callable[[EventPublisher], Ways]) -> None:
    recorder = _Recorder()
    for way in make(recorder):
        way("6f2d41aa")
    half = len(recorder.said) // 2
    if not half or recorder.said[:half] != recorder.said[half:]:
        raise SystemExit(f"{name}: not the same events: {recorder.said}")


def _measure(ways: Ways, task: Task) -> dict[str, float]:
    numbers = itertools.count()
    by_hand, through_source = ways
    for way in ways:
        _microseconds(way, numbers)  # the first calls build what is kept
    pairs = []
    for number in range(task.events // _BATCH):
        # In turn, and each first every other time: what the machine does beside hits both.
        if number % 2:
            pairs.append((_microseconds(by_hand, numbers), _microseconds(through_source, numbers)))
        else:
            source = _microseconds(through_source, numbers)
            pairs.append((_microseconds(by_hand, numbers), source))
    ratios = sorted(source / hand for hand, source in pairs)
    return {
        "by_hand_us": statistics.median(hand for hand, _ in pairs),
        "source_us": statistics.median(source for _, source in pairs),
        "ratio": statistics.median(ratios),
        "least_ratio": ratios[len(ratios) // 10],
        "most_ratio": ratios[-1 - len(ratios) // 10],
    }


def _microseconds(way: Call, numbers: Iterator[int]) -> float:
    uuids = [f"{number:08x}-2d5c-4b44-9a3e-0b8c1d2e3f40" for number in itertools.islice(numbers, _BATCH)]
    begun = time.thread_time_ns()
    for uuid in uuids:
        way(uuid)
    spent = time.thread_time_ns() - begun
    gc.freeze()  # nobody takes what is in the outbox; without this each collection would look through all of it
    return spent / 1_000 / _BATCH


@contextlib.contextmanager
def _bus(task: Task) -> Iterator[EventBus]:
    publisher = PublisherSettings(outbox_events=10_000_000, outbox_bytes=2**33)
    bus = connect(task.url, settings=Settings(exchange=EXCHANGE, publisher=publisher), require_broker=False)
    yield bus
    with contextlib.suppress(UndeliveredError):  # there is no broker: nothing could be sent
        bus.close(timeout_seconds=0)
