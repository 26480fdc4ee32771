"""``CloudStackPublisher``: our events in CloudStack's own format, for consumers of its exchange that are there already.

The body has the keys that CloudStack 4.18 writes for the category, and one more, ``busEvent``: the whole event, which
those consumers ignore and a bridge reads back without loss.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, cast

from pydantic import JsonValue

from bus_amqp import Event, ForeignMessage, Receipt, RoutingKeyTooLongError, Settings, connect
from bus_amqp.extension.cloudstack.dates import text_of
from bus_amqp.extension.cloudstack.decoder import EXCHANGE
from bus_amqp.extension.cloudstack.key import MAX_KEY_BYTES, key_of
from bus_amqp.extension.cloudstack.naming import is_entity
from bus_amqp.extension.cloudstack.translation import OWN

CONTENT_TYPE = "text/plain"  # as CloudStack's own
_STATUS_OF_PHASE = {"pre": "preStateTransitionEvent", "post": "postStateTransitionEvent"}
# CloudStack has no word for a change that did not come about, and publishes nothing then.  A word that its consumers do
# not know is one that they pass over, as they pass over the phase that they do not wait for.
_STATUS_OF_FAILED = "failedStateTransitionEvent"
# Usage alone is still about classes, in the key too: consumers bind by them.
_CLASS_OF = {
    "VirtualMachine": "com.cloud.vm.VirtualMachine",
    "Volume": "com.cloud.storage.Volume",
    "Snapshot": "com.cloud.storage.Snapshot",
    "Network": "com.cloud.network.Network",
    "IpAddress": "com.cloud.network.IpAddress",
    "VirtualMachineTemplate": "com.cloud.template.VirtualMachineTemplate",
}
_STATUS_OF_JOBS = {
    "submitted": "IN_PROGRESS", "progress": "IN_PROGRESS", "completed": "SUCCEEDED", "failed": "FAILED",
}  # fmt: skip
_TYPE_OF_JOBS = {"submitted": "submit", "progress": "update", "completed": "complete", "failed": "complete"}
Body = dict[str, JsonValue]


def cloudstack_message(event: Event) -> ForeignMessage:
    """Return the message that CloudStack would publish for this event.

    Raises ``RoutingKeyTooLongError`` for one whose routing key would be longer than AMQP allows.
    """
    routing_key = key_of(event, event_type=_event_type_of(event), resource_type=_resource_type_of(event))
    if (size_bytes := len(routing_key.encode())) > MAX_KEY_BYTES:
        raise RoutingKeyTooLongError(
            f"CloudStack's routing key of event {event.event_id} has {size_bytes} bytes, AMQP allows {MAX_KEY_BYTES}"
        )
    body = {**_body_of(event), OWN: event.model_dump(mode="json", by_alias=True, exclude_none=True)}
    return ForeignMessage(
        routing_key=routing_key,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        content_type=CONTENT_TYPE,
        message_id=str(event.event_id),
        timestamp=event.event_time,
        type=event.event_type,
        app_id=event.event_source,
    )


class CloudStackPublisher:
    """Publishes to CloudStack's exchange; beside a bus, or behind a ``FanOut``.  A context manager that closes itself.

    ``bus``: it has what every bus has: receipts, ``flush``, ``health``, a disk outbox if the settings name one.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        exchange: str = EXCHANGE,
        client_name: str | None = None,
        require_broker: bool = True,
        settings: Settings | None = None,
    ) -> None:
        self.bus = connect(
            url,
            exchange=exchange,
            client_name=client_name or "cloudstack-publisher",
            require_broker=require_broker,
            settings=settings,
            encoder=cloudstack_message,
        )

    def __repr__(self) -> str:
        return f"<CloudStackPublisher {self.bus!r}>"

    def publish(self, event: Event[object], /, *, mandatory: bool = False) -> Receipt:
        """Accept an event for sending, as ``EventBus.publish`` does, and raise what that raises."""
        return self.bus.publish(event, mandatory=mandatory)

    def close(self, timeout_seconds: float = 30) -> None:
        """Send what is accepted, and end."""
        self.bus.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _event_type_of(event: Event) -> str:
    if event.event_category == "AsyncJobEvent":
        return _TYPE_OF_JOBS.get(event.event_type, event.event_type)
    return event.event_type


def _resource_type_of(event: Event) -> str:
    if event.event_category == "UsageEvent":
        return _CLASS_OF.get(event.resource_type, event.resource_type)
    return event.resource_type


def _body_of(event: Event) -> Body:
    details = cast(Mapping[str, JsonValue], event.details)
    moment: Body = {"eventDateTime": text_of(event.event_time)}
    match event.event_category:
        case "ActionEvent":
            body: Body = {**moment, "event": event.event_type, "description": event.description}
            body |= _named(details, "user", "account", "project", "status")
            if body.get("status") == "Failed":  # a word that CloudStack does not have
                body["status"] = "Completed"
                if not event.description.startswith("Error while"):
                    body["description"] = f"Error while {event.description}".rstrip()
            if event.resource_type:
                body["entity"] = event.resource_type
            if event.resource_uuid:
                body["entityuuid"] = event.resource_uuid
                if event.resource_type:
                    body[event.resource_type] = event.resource_uuid
            context = details.get("context")
            concerned = context.items() if isinstance(context, dict) else ()
            return {**{name: uuid for name, uuid in concerned if is_entity(name)}, **body}
        case "UsageEvent":
            return {
                **_named(details, "account", "zone"), "event": event.event_type, "resource": _resource_type_of(event),
                "id": event.resource_uuid, **moment,
            }  # fmt: skip
        case "AlertEvent":
            told = _named(details, "subject", "body", "dataCenterId", "podId")
            return {"event": event.event_type, "subject": event.description, **told, **moment}
        case "ResourceStateEvent":
            body = {"resource": event.resource_type, "id": event.resource_uuid, **moment}
            for ours, theirs in (("oldState", "old-state"), ("newState", "new-state")):
                if ours in details:
                    body[theirs] = details[ours]
            phase = str(details.get("phase"))
            if phase == "failed":
                body["status"] = _STATUS_OF_FAILED
            elif phase in _STATUS_OF_PHASE and event.resource_type == "VirtualMachine":  # the others do not say
                body["status"] = _STATUS_OF_PHASE[phase]
            return body
        case "AsyncJobEvent":
            known = _named(details, "jobId", "command", "commandEventType", "user", "account")
            for ours, theirs in (("parameters", "cmdInfo"), ("result", "jobResult")):
                if ours in details:
                    known[theirs] = details[ours]
            if (job_status := _STATUS_OF_JOBS.get(str(details.get("status")))) is not None:
                known["status"] = job_status
            return {**known, "instanceType": event.resource_type, "instanceUuid": event.resource_uuid}
        case _:
            return {"event": event.event_type, "description": event.description, **moment}


def _named(details: Mapping[str, JsonValue], *names: str) -> Body:
    return {name: details[name] for name in names if name in details}
