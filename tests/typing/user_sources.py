"""What a user of the sources writes.  Never run: mypy --strict reads it; see ``user_code``."""

from typing import Literal
from uuid import UUID

from bus_amqp import EventBus, EventTopic
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.actor import Actor
from bus_amqp.source.alert import AlertGenerator
from bus_amqp.source.alert_details import AlertStatus
from bus_amqp.source.alert_type import AlertType
from bus_amqp.source.details import OwnedDetails
from bus_amqp.source.emitter import Emitter
from bus_amqp.source.event_type import EventType
from bus_amqp.source.threshold import ThresholdPolicy


class Machines:
    """A control plane's own class; the decorator leaves its methods as they were."""

    actions: ActionEvents

    def __init__(self, bus: EventBus) -> None:
        self.actions = ActionEvents(bus, actor=lambda: Actor(user="ada"))
        self.stop = self.actions.performs(EventType.VM_STOP, resource=lambda uuid: uuid)(self._stop)

    def _stop(self, uuid: str, *, forced: bool = False) -> int:
        return 1 if forced else 0


def acting(bus: EventBus, machines: Machines) -> None:
    actions = ActionEvents(bus, is_enabled=lambda: True)
    actions.is_enabled = False

    @actions.performs("VM.START", resource=lambda uuid: ("VirtualMachine", uuid))
    async def start(uuid: UUID) -> str:
        return str(uuid)

    async def use() -> str:
        await start("6f2d")  # type: ignore[arg-type]  # the signature is kept
        return await start(UUID(int=7))

    stopped: int = machines.stop("6f2d", forced=True)
    machines.stop("6f2d", force=True)  # type: ignore[call-arg]  # the signature is kept
    print(use, stopped)

    with actions.on_behalf_of(user="ada"), actions.performing(EventType.VM_CREATE, begins_with=None) as action:
        action.created()
        action.concerns(UUID(int=7))
    start_event_id: UUID | None = action.start_event_id
    print(start_event_id)


def of_ones_own(bus: EventBus) -> None:
    class DoorDetails(OwnedDetails, frozen=True):
        is_open: bool

    emitter = Emitter(bus, category="DoorEvent", source="building")
    emitter.emit("DOOR.OPEN", DoorDetails(account="acme", is_open=True), resource_uuid="door-7")
    emitter.emit("DOOR.OPEN", {"isOpen": True})  # type: ignore[arg-type]  # details are checked
    DoorDetails(is_opened=True)  # type: ignore[call-arg]  # a field that it does not have


def alerting(bus: EventBus) -> None:
    alerts = AlertGenerator(bus, fold_seconds=60)
    alerts.raise_alert(AlertType.STORAGE, "full", zone="zone-1")
    alerts.raise_alert(AlertType.STORAGE, "full", zoom="zone-1")  # type: ignore[call-arg]  # a place that there is not
    memory = alerts.watch(ThresholdPolicy(alert_type=AlertType.MEMORY, raise_above=0.9, clear_below=0.8))
    crossing: AlertStatus | None = memory.observe(0.95, resource="cluster-1", zone="zone-1")
    print(crossing, alerts.flush())


def reading() -> None:
    details = ActionDetails.from_wire({"status": "Completed"})
    status: ActionStatus = details.status
    memory: Literal["ALERT.MEMORY"] = AlertType.MEMORY
    print(status, details.duration_seconds, EventTopic(event_type=memory), EventType.VM_STRAT)  # type: ignore[attr-defined]  # a slip
