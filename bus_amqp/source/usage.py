"""``UsageEvents``: publishes what billing charges for, with all that it needs to know in the event itself.

    usage.publish("VM.START", resource_type="VirtualMachine", resource_uuid=vm.uuid, account=vm.account, zone="z1")

Who has state machines need not call it at all: ``usage_from_state`` derives usage from their changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict, Unpack
from uuid import UUID

from pydantic import JsonValue, ValidationError

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.details import does_not_fit
from bus_amqp.source.emitter import DEFAULT_SOURCE, Emitter, EventPublisher, IsEnabled
from bus_amqp.source.switched import Switched
from bus_amqp.source.usage_details import UsageDetails


class UsageFields(TypedDict, total=False):
    """What may be said about usage beside who pays: the fields of ``UsageDetails``, and those of the event."""

    domain: str | None
    zone: str | None
    offering: str | None
    template: str | None
    size_bytes: int | None
    cpu_count: int | None
    memory_bytes: int | None
    network: str | None
    resource_name: str | None
    more: dict[str, JsonValue] | None
    start_time: datetime | None
    description: str
    event_time: datetime | None
    event_id: UUID | None
    correlation_id: str | None
    causation_id: UUID | None


_OF_THE_EVENT = ("description", "event_time", "event_id", "correlation_id", "causation_id")


class UsageEvents(Switched):
    """``is_enabled`` may be changed while running, or be a function that is asked for each event.

    ``publish`` raises what the bus raises: usage that nobody hears of is money.  ``try_publish`` is for the middle of
    work that must go on; what it could not publish is logged, and counted in ``failed``.
    """

    def __init__(
        self, publisher: EventPublisher, *, source: str = DEFAULT_SOURCE, is_enabled: IsEnabled = True
    ) -> None:
        category = EventCategory.USAGE.value  # a plain text is validated in half the time
        self._emitter = Emitter(
            publisher, category=category, source=source, is_enabled=is_enabled, event_types=known_event_types()
        )

    def __repr__(self) -> str:
        return f"<UsageEvents {self._emitter!r}>"

    @property
    def failed(self) -> int:
        """How many events ``try_publish`` could not publish."""
        return self._emitter.failed

    def publish(
        self, event_type: str, *, resource_type: str, resource_uuid: str, account: str, **fields: Unpack[UsageFields]
    ) -> object | None:
        """Publish one usage event; return what ``publish`` of the bus returned, or None while switched off.

        Raises ``InvalidArgumentError`` naming the field that does not fit, and what the bus raises.
        """
        given: dict[str, object] = dict(fields)
        of_the_event = {name: given.pop(name) for name in _OF_THE_EVENT if name in given}
        if not resource_uuid:
            raise InvalidArgumentError(f"{event_type} without a resource_uuid: nobody can be charged for nothing")
        try:
            details = UsageDetails.checked({"account": account, **given})
        except ValidationError as exc:
            raise does_not_fit(exc) from exc
        return self._emitter.emit(
            event_type,
            details,
            resource_type=resource_type,
            resource_uuid=resource_uuid,
            **of_the_event,  # type: ignore[arg-type]  # taken from the typed fields above
        )

    def try_publish(
        self, event_type: str, *, resource_type: str, resource_uuid: str, account: str, **fields: Unpack[UsageFields]
    ) -> object | None:
        """Publish as ``publish`` does; what is refused is logged and counted, and None is returned."""
        try:
            return self.publish(
                event_type, resource_type=resource_type, resource_uuid=resource_uuid, account=account, **fields
            )
        except Exception as exc:  # noqa: BLE001 -- whatever a publisher raises: the caller's work matters more
            self._emitter.note_failure(event_type, exc)
            return None
