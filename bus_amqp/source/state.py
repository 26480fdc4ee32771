"""``ResourceStateEvents``: publishes the changes that a state machine makes, and a listener for each resource.

    machine = VIRTUAL_MACHINE.with_listeners(UserVmStateListener(bus))

``event_type`` is the machine's event (OperationSucceeded), as Apache CloudStack has it; phase, old and new state are
in the details.  Called on the thread that makes the change; waits for nothing that ``publish`` does not wait for.
What cannot be published is logged and counted, and never harms the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import ValidationError

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.details import does_not_fit
from bus_amqp.source.emitter import DEFAULT_SOURCE, Emitter, EventPublisher, IsEnabled
from bus_amqp.source.redaction import redacted
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.state_listener import StateChange, StateListener
from bus_amqp.source.stateful_resource import StatefulResource, described
from bus_amqp.source.switched import Switched

ALL_PHASES: Final = frozenset({StatePhase.PRE, StatePhase.POST, StatePhase.FAILED})  # a source knows which
MAX_ERROR_LENGTH = 500  # characters
_PRE, _POST, _FAILED = StatePhase.PRE, StatePhase.POST, StatePhase.FAILED


class ResourceStateEvents(Switched, StateListener):
    """Publishes *pre*, then *post* or *failed*, for any machine; the listeners below are for one resource each.

    ``phases``: which of them (``{"post"}`` halves the traffic); pre never without the other two.  ``describe``: what
    makes of a caller's resource its uuid and its facts.  ``is_enabled`` and ``phases`` may be changed while running; a
    change whose pre is out gets its end all the same.

    One change has one ``transitionId``, which is also the ``eventId`` of its pre; its post or failed names that as
    ``causationId``, so the chain leads from the post over the pre to what caused both.
    """

    resource_type: ClassVar[str] = ""  # of the machine that it listens to; "": any

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        source: str = DEFAULT_SOURCE,
        is_enabled: IsEnabled = True,
        phases: Iterable[StatePhase | str] = ALL_PHASES,
        describe: Callable[[object], StatefulResource] = described,
    ) -> None:
        self._emitter = Emitter(
            publisher, category=EventCategory.RESOURCE_STATE.value, source=source, is_enabled=is_enabled
        )
        self._phases = _checked_phases(phases)
        self.describe = describe

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'+'.join(sorted(self._phases))}, {self.failed} failed>"

    @property
    def phases(self) -> frozenset[StatePhase]:
        """Which phases are published."""
        return self._phases

    @phases.setter
    def phases(self, phases: Iterable[StatePhase | str]) -> None:
        self._phases = _checked_phases(phases)

    @property
    def failed(self) -> int:
        """How many events could not be published."""
        return self._emitter.failed

    def pre_state_transition(self, change: StateChange, /) -> None:
        """Publish that the change is about to be stored."""
        if _PRE in self._phases and self._is_on():
            # Somebody waits for how it ends, unless the bus has refused it.
            change.notes[self] = self._publish(change, _PRE, "about to be stored", event_id=change.transition_id)

    def post_state_transition(self, change: StateChange, /) -> None:
        """Publish that the change is stored."""
        if change.notes.get(self) or (_POST in self._phases and self._is_on()):
            self._publish(change, _POST, "stored")

    def failed_state_transition(self, change: StateChange, error: BaseException, /) -> None:
        """Publish that the change that *pre* told of was not stored."""
        if change.notes.get(self) or (_FAILED in self._phases and self._is_on()):
            self._publish(change, _FAILED, "not stored", error)

    def _is_on(self) -> bool:
        return self._emitter.is_enabled is True or self._emitter.is_on()

    def _publish(
        self,
        change: StateChange,
        phase: StatePhase,
        told: str,
        error: BaseException | None = None,
        *,
        event_id: UUID | None = None,
    ) -> bool:
        """Publish one event, whatever the switch says.  Return whether the bus has taken it."""
        emitter = self._emitter
        try:
            resource = self.describe(change.resource)
            event = emitter.build(
                change.event,
                _details(change, phase, resource, error),
                resource_type=change.machine,
                resource_uuid=resource.uuid,
                description=f"{change.old_state or '(new)'} -> {change.new_state}, {told}",
                correlation_id=change.correlation_id,
                causation_id=change.transition_id if change.notes.get(self) else None,
                event_id=event_id,
            )
            emitter.publisher.publish(event)
        except ValidationError as exc:
            emitter.note_failure(change.event, does_not_fit(exc))
        except Exception as exc:  # noqa: BLE001 -- the caller's publisher and description run here: the change goes on
            emitter.note_failure(change.event, exc)
        else:
            return True
        return False


class UserVmStateListener(ResourceStateEvents):
    """Publishes the changes of virtual machines."""

    resource_type = "VirtualMachine"


class VolumeStateListener(ResourceStateEvents):
    """Publishes the changes of volumes."""

    resource_type = "Volume"


class NetworkStateListener(ResourceStateEvents):
    """Publishes the changes of networks."""

    resource_type = "Network"


class SnapshotStateListener(ResourceStateEvents):
    """Publishes the changes of snapshots."""

    resource_type = "Snapshot"


class NicStateListener(ResourceStateEvents):
    """Publishes the changes of network interfaces."""

    resource_type = "Nic"


class HostStateListener(ResourceStateEvents):
    """Publishes the changes of physical hosts."""

    resource_type = "Host"


def _details(
    change: StateChange, phase: StatePhase, resource: StatefulResource, error: BaseException | None
) -> ResourceStateDetails:
    facts = resource.facts
    given: dict[str, Any] = {name: getattr(facts, name) for name in facts.model_fields_set}
    if change.old_state is not None:
        given["old_state"] = change.old_state
    if error is not None:
        given["error_class"] = type(error).__name__
        given["error_message"] = str(redacted(error))[:MAX_ERROR_LENGTH]  # a database's error may tell its password
    given["phase"] = phase
    given["event"] = change.event
    given["new_state"] = change.new_state
    given["transition_id"] = change.transition_id
    return ResourceStateDetails.checked(given)


def _checked_phases(phases: Iterable[StatePhase | str]) -> frozenset[StatePhase]:
    known = ", ".join(phase for phase in StatePhase if phase in ALL_PHASES)
    if isinstance(phases, str):
        raise InvalidArgumentError(f"phases must be several of {known}, not the text {phases!r}: write [{phases!r}]")
    given = frozenset(phases)
    if unknown := sorted(str(phase) for phase in given if phase not in ALL_PHASES):
        raise InvalidArgumentError(f"{', '.join(unknown)} is no phase of a change: there are {known}")
    if not given:
        raise InvalidArgumentError("a listener without a phase would publish nothing: set is_enabled to False instead")
    if StatePhase.PRE in given and given != ALL_PHASES:
        raise InvalidArgumentError("pre needs post and failed too: nobody would learn whether it came true")
    return frozenset(map(StatePhase, given))
