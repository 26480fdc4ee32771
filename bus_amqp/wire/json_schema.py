"""The language-neutral contract: JSON Schemas of what travels, generated from the models.

Here: ``v1/event.schema.json`` and ``v1/topic.schema.json``; ``bus_amqp.source.json_schema`` adds the details of the
sources and writes them all (``make schemas``); a test fails when the files and the models differ.  Never imported by
the bus itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, from_json

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.topic import EventTopic

VERSION = "v1"
# Validators treat `format` as a remark unless told otherwise (JSON Schema 2020-12, section 7.2.1): a pattern binds all.
_UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_AWARE_TIME = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$"
_WORD = r"(\*|#|[^*#.]+)"
EVENT_TYPE_PATTERN = rf"^{_WORD}(\.{_WORD})*$"  # bus_amqp.topic: a sign stands for a whole word, no word is empty

_EVENT = (
    "Something that happened in the cloud, as the body of an AMQP message. Unknown keys are ignored;"
    " null means the same as leaving an optional key out."
)
_TOPIC = (
    "Which events a subscriber wants: every key that is given must be equal."
    " Null or missing: any value. An empty string: events without one."
)
_TOPIC_FIELDS = {
    "event_category": "The category wanted.",
    "event_type": "The type wanted, or a pattern over its dotted words: * is one word, # any number (VM.#, *.START).",
    "resource_type": "The type of resource wanted.",
    "resource_uuid": "The one resource wanted.",
    "event_source": "The component listened to.",
}


class WireSchemaGenerator(GenerateJsonSchema):
    """Say with patterns what the decoder insists on."""

    def uuid_schema(self, schema: core_schema.UuidSchema) -> JsonSchemaValue:
        """Return the form with hyphens, the only one that we write."""
        return {"type": "string", "format": "uuid", "pattern": _UUID}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """Return ISO 8601 with a zone."""
        return {"type": "string", "format": "date-time", "pattern": _AWARE_TIME}


def event_schema() -> dict[str, Any]:
    """Return the schema of an event on the wire."""
    schema = _described(Event.model_json_schema(by_alias=True, schema_generator=WireSchemaGenerator), "event", _EVENT)
    return {**schema, "additionalProperties": True}


def topic_schema() -> dict[str, Any]:
    """Return the schema of a topic.  A misspelt key would widen the filter, so unknown keys are errors here."""
    generated = EventTopic.model_json_schema(by_alias=True, schema_generator=WireSchemaGenerator)
    schema = _described(generated, "topic", _TOPIC, _TOPIC_FIELDS)
    for choice in schema["properties"][_wire_name("event_type")]["anyOf"]:
        if choice["type"] == "string":
            choice["pattern"] = EVENT_TYPE_PATTERN
    return {**schema, "additionalProperties": False}


def topic_from_json(text: str | bytes) -> EventTopic:
    """Return the topic that somebody has written down as JSON.  Raises ``InvalidArgumentError``."""
    try:
        values = from_json(text)
    except ValueError as exc:
        raise InvalidArgumentError(f"topic is not JSON: {exc}") from exc
    if not isinstance(values, dict):
        raise InvalidArgumentError(f"topic must be a JSON object, not a {type(values).__name__}")
    fields = {_wire_name(field): field for field in EventTopic.model_fields}
    if unknown := values.keys() - fields.keys():
        raise InvalidArgumentError(f"topic has no key {min(unknown)!r}: use {', '.join(fields)}")
    return EventTopic(**{fields[name]: value for name, value in values.items()})


def schemas() -> dict[str, str]:
    """Return every schema file: its path below ``schemas/``, and its text."""
    return dict([schema_file("event", event_schema()), schema_file("topic", topic_schema())])


def schema_file(name: str, schema: dict[str, Any]) -> tuple[str, str]:
    """Return the file of a schema: its path below ``schemas/``, and its text."""
    return f"{VERSION}/{name}.schema.json", json.dumps(schema, indent=2) + "\n"


def schema_head(name: str) -> dict[str, Any]:
    """Return what every schema of ours begins with."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bus-amqp:schema:{VERSION}:{name}",
    }


def schema_title(field: str) -> str:
    """Return what a form would call that field of a model."""
    return field.replace("_", " ").capitalize()


def _wire_name(field: str) -> str:
    return Event.model_fields[field].alias or field


def _described(
    schema: dict[str, Any], name: str, description: str, fields: Mapping[str, str] | None = None
) -> dict[str, Any]:
    wire_names = {_wire_name(field): field for field in Event.model_fields}
    properties = {}
    for wire_name, rule in schema["properties"].items():
        field = wire_names.get(wire_name, wire_name)
        told = {"description": fields[field]} if fields else {}
        properties[_wire_name(field)] = {**rule, "title": schema_title(field), **told}
    return {**schema_head(name), **schema, "description": description, "properties": properties}
