"""From a message of CloudStack's to our ``Event``, or to a clear refusal.  Pure.

What is certain in the body is taken from there, the rest from the key: the key has lost dots and absences, and some
bodies say nothing of their type or resource.  Secrets are withheld at any depth before anything else is looked at.
``details`` has the fields of the category under our names; whatever the body had beside them is kept, opened, under
``details.cloudStack`` with its own name, and the routing key with it.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from uuid import UUID, uuid5

from pydantic import JsonValue, ValidationError

from bus_amqp import Event, ForeignMessage, UndecodableError
from bus_amqp.extension.cloudstack.body import JsonObject, opened, read_body
from bus_amqp.extension.cloudstack.categories import told_by
from bus_amqp.extension.cloudstack.dates import moment_of
from bus_amqp.extension.cloudstack.key import CloudStackKey, read_key, word_of
from bus_amqp.extension.cloudstack.naming import is_java_class, resource_type_of, without_proxy
from bus_amqp.source.redaction import redacted

DEFAULT_SOURCE = "management-server"
OWN = "busEvent"  # the body's key under which ``publisher`` sends our whole event along
_IDS = UUID("5f1c1a52-2a51-58f1-9d0a-6b1de5d2c0a7")  # of ids made from what a message says; never change
_TYPE_WORD = re.compile(r"[A-Z0-9_]+(?:-[A-Z0-9_]+)*")  # of CloudStack's own types, none of which has a dash in it


def translate(message: ForeignMessage) -> Event:
    """Return the event.  Raises ``UndecodableError`` with the reason, and nothing else, whatever the message is."""
    raw = read_body(message.body)
    return own_event(raw) or translated(message, read_key(message.routing_key), raw)


def translated(message: ForeignMessage, key: CloudStackKey, raw: JsonObject) -> Event:
    """Return the event of a message of CloudStack's whose key and body have been read; raises as ``translate`` does."""
    body = redacted(opened(raw))
    assert isinstance(body, dict)  # as what went in
    told = told_by(key, body)
    time, time_from = _time_of(body, message)
    rest: dict[str, JsonValue] = {**told.rest, "routingKey": message.routing_key}
    if time_from != "body":
        rest |= {"timeFrom": time_from, **_kept(body, "eventDateTime")}
    type_in_body = body.get("event")
    if isinstance(type_in_body, str) and word_of(type_in_body) != key.type:  # not what the key was made of
        rest["event"] = type_in_body
    try:
        return Event(
            event_category=key.category,
            event_type=_type_of(key, type_in_body),
            event_source=key.source or DEFAULT_SOURCE,
            resource_type=_resource_type(key, told.resource_type),
            resource_uuid=_better(key.resource_uuid, told.resource_uuid),
            description=told.description,
            event_id=id_of(message),
            event_time=time,
            details={**told.details, "cloudStack": rest},
            correlation_id=told.correlation_id,
        )
    except ValidationError as exc:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in exc.errors(include_url=False)[:3])
        raise UndecodableError(f"no event can be made of it: {faults}", reason="cloudstack-event") from exc


def own_event(raw: JsonObject) -> Event | None:
    """Return our own event that ``publisher`` has put whole into a body.  None: there is none, or it is no event."""
    if not isinstance(value := raw.get(OWN), dict):
        return None
    try:
        return Event.model_validate_json(json.dumps(value), by_alias=True, by_name=False, extra="ignore")
    except ValueError:
        return None  # somebody else's use of the name


def id_of(message: ForeignMessage) -> UUID:
    """Return the message's own id or, as CloudStack sends none, one made of all that it says.

    So a message that is delivered twice has one id, and so have two that say the same in the same second: nobody could
    tell them apart.
    """
    try:
        return UUID(message.message_id)
    except ValueError:
        moment = message.timestamp.isoformat() if message.timestamp is not None else ""
        said = "\n".join((message.routing_key, message.message_id, moment, message.body.decode("latin-1")))
        return uuid5(_IDS, said.encode(errors="backslashreplace").decode())  # half a surrogate pair is no text


def second_id(first: UUID) -> UUID:
    """Return the id of a message that says what the first has said, and is known to be another one."""
    return uuid5(_IDS, f"{first} second")


def _time_of(body: dict[str, JsonValue], message: ForeignMessage) -> tuple[datetime, str]:
    """Return when it happened, and who says so."""
    if (moment := moment_of(body.get("eventDateTime"))) is not None:
        return moment, "body"
    if message.timestamp is not None:
        return message.timestamp, "message"
    return message.received_at, "receipt"


def _kept(body: dict[str, JsonValue], name: str) -> dict[str, JsonValue]:
    return {name: body[name]} if name in body else {}


def _type_of(key: CloudStackKey, in_body: object) -> str:
    if isinstance(in_body, str) and in_body and word_of(in_body) == key.type:
        return in_body
    return _with_dots(key.type)


def _with_dots(word: str) -> str:
    return word.replace("-", ".") if _TYPE_WORD.fullmatch(word) else word


def _better(word: str, in_body: str) -> str:
    """Return what the body says where it is what the key's word was made of, or where the key says nothing."""
    return in_body if in_body and (not word or word_of(in_body) == word) else word


def _resource_type(key: CloudStackKey, in_body: str) -> str:
    name = without_proxy(key.resource_type)
    if in_body and not is_java_class(name):
        name = _better(name, without_proxy(in_body))
    return resource_type_of(_with_dots(name))  # some resources have the name of a type of event
