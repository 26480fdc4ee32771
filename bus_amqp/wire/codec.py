"""Events to messages, and deliveries to events.  Pure; called on callers' and workers' threads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid5

from pydantic import ValidationError

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError, UndecodableError
from bus_amqp.event import Event, check_json
from bus_amqp.wire.faults import told
from bus_amqp.wire.message import Delivery, Message, Properties
from bus_amqp.wire.routing_key import routing_key
from bus_amqp.wire.typed_details import RANDOM_ID_MARK, as_it_travels

# What people publish by hand: no content type at all, and text, as the design document's first implementation did.
_JSON_TYPES = frozenset({"", "application/json", "application/json; charset=utf-8", "text/plain", "text/json"})
_ID_NAMESPACE = UUID("8a9d3a5e-6f0b-5c7e-9a51-7c0a4f1f5b21")  # of ids made from foreign message ids; never change
_WIRE_NAMES = {name: field.alias or name for name, field in Event.model_fields.items()}
_ID_MARK, _ID_CHARACTERS = b'"eventId":"', 36
_to_json = Event.__pydantic_serializer__.to_json
_from_json = Event.__pydantic_validator__.validate_json


def encode(event: Event[object], *, max_event_bytes: int) -> Message:
    """Return the message of an event.

    Raises ``InvalidArgumentError``, ``RoutingKeyTooLongError``, ``EventTooLargeError``.
    """
    if event.__class__ is not Event:
        event = plain(event)
    try:
        if event.details:  # the one part that can have changed since the event was checked; NaN would travel as null
            check_json(event.details)
        body = _to_json(event, by_alias=True, exclude_none=True)
    except ValueError as exc:  # changed details, or half a surrogate pair
        raise InvalidArgumentError(f"event cannot be written as JSON: {exc}") from exc
    if len(body) > max_event_bytes:
        raise EventTooLargeError(
            f"event has {len(body)} bytes, max_event_bytes is {max_event_bytes}: "
            "shorten description or details, or publish a reference to the data"
        )
    # The id stands in the body as text already, and in no string before it: there the quotes are escaped.
    at = body.index(_ID_MARK) + len(_ID_MARK)
    return Message(
        routing_key(event),
        body,
        body[at : at + _ID_CHARACTERS].decode(),
        max(0, int(event.event_time.timestamp())),  # unsigned in AMQP; the body has the time in any case
        # AMQP short strings: what does not fit is in the body anyway.
        short_string(event.event_type),
        short_string(event.event_source),
    )


def plain(event: object) -> Event:
    """Return the event with details as they travel.  Raises ``InvalidArgumentError`` for what is no event."""
    if not isinstance(event, Event):
        raise InvalidArgumentError(f"publish takes an Event, not {type(event).__name__}")
    return event if event.__details_type__ is None else as_it_travels(event)


def short_string(value: str) -> str:
    """Return as much of a text as fits AMQP's 255 bytes."""
    return value if len(value) <= 63 else value.encode()[:255].decode(errors="ignore")


def decode(delivery: Delivery, *, received: datetime | None = None) -> Event:
    """Return the event of a delivery.  Raises ``UndecodableError`` whose ``reason`` names the fault."""
    body = delivery.body
    if body is None:
        raise UndecodableError(f"message has {delivery.body_bytes} bytes: over max_event_bytes", reason="too-large")
    if delivery.content_type not in _JSON_TYPES and not _is_json(delivery.content_type):
        raise UndecodableError(f"content type {delivery.content_type!r} is not JSON", reason="content-type")
    try:
        event: Event = _from_json(body, by_alias=True, by_name=False, extra="ignore")
    except ValidationError as exc:
        reason = "not-json" if exc.errors(include_url=False)[0]["type"] == "json_invalid" else "not-an-event"
        raise UndecodableError(told(exc), reason=reason) from exc
    # Our own encoder leaves nulls out, so the word is rare, and only then does anybody look twice.
    given = event.__pydantic_fields_set__ if b"null" not in body else _given_fields(event, body)
    if "event_id" in given and "event_time" in given:
        return event
    return _with_envelope(event, given, delivery.properties, received)


def _is_json(content_type: str) -> bool:
    """Return whether a content type in somebody else's spelling is JSON in UTF-8."""
    kind, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    return kind.strip() in _JSON_TYPES and charset in ("", "charset=utf-8", "charset=utf8", "charset=us-ascii")


def _given_fields(event: Event, body: bytes) -> set[str]:
    """Return the fields that have a value in the body: null is as good as missing."""
    values = json.loads(body)
    return {name for name in event.__pydantic_fields_set__ if values.get(_WIRE_NAMES[name]) is not None}


def _with_envelope(event: Event, given: set[str], properties: Properties, received: datetime | None) -> Event:
    """Complete a bare message: id from the message id, time from the timestamp property or the receipt."""
    update: dict[str, object] = {}
    if "event_id" not in given:
        if properties.message_id:
            update["event_id"] = _id_from(properties)
        else:
            # A random id changes with each redelivery, so receivers cannot drop duplicates by it: say so.
            update["details"] = {**event.details, RANDOM_ID_MARK: True}
    if "event_time" not in given:
        update["event_time"] = time_from(properties) or received or datetime.now(UTC)
    return event.model_copy(update=update)


def _id_from(properties: Properties) -> UUID:
    try:
        return UUID(properties.message_id)
    except ValueError:
        return uuid5(_ID_NAMESPACE, f"{properties.app_id}\n{properties.message_id}")


def time_from(properties: Properties) -> datetime | None:
    """Return the moment that the timestamp property names; None: it names none."""
    try:
        return datetime.fromtimestamp(properties.timestamp, UTC) if properties.timestamp else None
    except (ValueError, OverflowError, OSError):  # 64 bits of seconds reach further than datetime does
        return None
