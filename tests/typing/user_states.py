"""What a user of state machines, usage and jobs writes.  Never run: mypy --strict reads it; see ``user_code``."""

from dataclasses import dataclass
from enum import StrEnum

from bus_amqp import Event, EventBus, IllegalTransitionError, Subscribers, TransitionConflictError
from bus_amqp.source.job import AsyncJob, AsyncJobEvents
from bus_amqp.source.machines.catalogue import machine_of
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE
from bus_amqp.source.redaction import redacted
from bus_amqp.source.secret_names import SECRET_NAMES
from bus_amqp.source.state import ResourceStateEvents, UserVmStateListener
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.state_listener import StateChange, StateListener
from bus_amqp.source.state_machine import StateMachine
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage import UsageEvents
from bus_amqp.source.usage_details import UsageFacts
from bus_amqp.source.usage_from_state import usage_subscribers
from bus_amqp.source.usage_meter import DEFAULT_RULES, Meter


class Backup(StrEnum):
    """A control plane's own states."""

    SCHEDULED = "Scheduled"
    DONE = "Done"


@dataclass
class Row:
    """A control plane's own row."""

    uuid: str
    state: str
    account: str


class Addresses(StateListener):
    """A listener without a bus, with the one method that it needs."""

    def post_state_transition(self, change: StateChange) -> None:
        old: str | None = change.old_state
        print(old, change.new_state, change.resource)


def changing(bus: EventBus, row: Row) -> None:
    machine = VIRTUAL_MACHINE.with_listeners(UserVmStateListener(bus, phases={"post"}), Addresses())

    def save(old: str, new: str) -> int:
        row.state = new
        return 1

    async def save_later(old: str, new: str) -> bool:
        return bool(save(old, new))

    async def change() -> str:
        await machine.transit_async("StopRequested", row.state, row, save=save)  # type: ignore[arg-type]  # not awaited
        return await machine.transit_async("StopRequested", row.state, row, save=save_later)

    try:
        state: str = machine.transit("StartRequested", row.state, row, save=save)
        machine.transit("StartRequested", row.state, row)  # type: ignore[call-arg]  # a store is needed
        machine.with_listeners(lambda change: None)  # type: ignore[arg-type]  # no listener
    except TransitionConflictError:
        return
    except IllegalTransitionError as error:
        allowed: tuple[str, ...] = error.allowed
        print(allowed)
    else:
        print(change, state)


def of_ones_own(bus: EventBus) -> StateMachine:
    backup = StateMachine("Backup", [(None, "Made", Backup.SCHEDULED)], initial=Backup.SCHEDULED)
    listener = ResourceStateEvents(bus, describe=lambda row: StatefulResource("b-1", UsageFacts(account="acme")))
    listener.phases = frozenset({StatePhase.POST})
    listener.phases = 7  # type: ignore[assignment]  # no phases
    print(machine_of("Volume").table.allowed("Ready"))
    return backup.with_listeners(listener)


def billing(bus: EventBus) -> Subscribers:
    usage = UsageEvents(bus)
    usage.publish("VM.START", resource_type="VirtualMachine", resource_uuid="6f2d", account="acme", size_bytes=7)
    usage.publish("VM.START", resource_type="VirtualMachine", resource_uuid="6f2d")  # type: ignore[call-arg]  # who pays?
    usage.try_publish("VM.START", resource_type="V", resource_uuid="6f2d", account="a", ofering="x")  # type: ignore[call-arg]  # a slip

    def facts(event: Event) -> UsageFacts | None:
        return UsageFacts(offering="small") if event.resource_uuid else None

    rules = (*DEFAULT_RULES, Meter("Backup", frozenset({Backup.DONE}), "BACKUP.CREATE", "BACKUP.DELETE"))
    return usage_subscribers(bus, facts=facts, rules=rules)


def working(bus: EventBus) -> None:
    jobs = AsyncJobEvents(bus, names=SECRET_NAMES | {"licence"})
    job = AsyncJob("j-1", "startVirtualMachine", instance_uuid="6f2d")
    jobs.submitted(job, parameters={"id": object()})
    jobs.progress(job, processed=1, total=2)
    jobs.failed(job, RuntimeError("no"), code=530)
    jobs.progress(job, percent="half")  # type: ignore[arg-type]  # no number
    print(redacted({"password": "x"}), jobs.unpublished)


def reading(event: Event) -> None:
    details = ResourceStateDetails.from_wire(event.details)
    phase: StatePhase = details.phase
    print(phase, details.size_bytes, details.oldState)  # type: ignore[attr-defined]  # the name on the wire
