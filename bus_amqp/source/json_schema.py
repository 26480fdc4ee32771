"""The JSON Schemas of the sources' details, and the program that writes all schemas (``make schemas``).

``python -m bus_amqp.source.json_schema [DIRECTORY]`` writes ``v1/<name>.schema.json`` for each model below, and what
``bus_amqp.wire.json_schema`` generates.  Never imported by the bus itself.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.action_details import ActionDetails
from bus_amqp.source.alert_details import AlertDetails
from bus_amqp.source.details import Details
from bus_amqp.source.job_details import AsyncJobDetails
from bus_amqp.source.state_details import ResourceStateDetails
from bus_amqp.source.usage_details import UsageDetails
from bus_amqp.wire.json_schema import WireSchemaGenerator, schema_file, schema_head, schema_title, schemas

# The category whose events carry them -> the model.  A new source adds its line here.
DETAILS: dict[str, type[Details]] = {
    EventCategory.ACTION: ActionDetails,
    EventCategory.ALERT: AlertDetails,
    EventCategory.USAGE: UsageDetails,
    EventCategory.RESOURCE_STATE: ResourceStateDetails,
    EventCategory.ASYNC_JOB: AsyncJobDetails,
}


def details_model(category: str) -> type[Details]:
    """Return the model of a category's details.  Raises ``InvalidArgumentError`` for a category without one."""
    if (model := DETAILS.get(category)) is not None:
        return model
    near = difflib.get_close_matches(str(category), DETAILS, n=1)
    raise InvalidArgumentError(
        f"no details are modelled for category {category!r}: "
        + (f"did you mean {near[0]}?" if near else f"use one of {', '.join(sorted(DETAILS))}")
    )


def details_schema(model: type[Details]) -> dict[str, Any]:
    """Return the schema of a model on the wire, where what a newer program has added is no error."""
    schema = model.model_json_schema(by_alias=True, schema_generator=WireSchemaGenerator)
    wire_names = {field.alias: name for name, field in model.model_fields.items()}
    properties = {
        wire_name: {**rule, "title": schema_title(wire_names[wire_name])}
        for wire_name, rule in schema["properties"].items()
    }
    description = " ".join((model.__doc__ or "").split())
    return {
        **schema_head(details_name(model)),
        **schema,
        "description": f"{description} Unknown keys are ignored.",
        "properties": properties,
        "additionalProperties": True,
    }


def details_name(model: type[Details]) -> str:
    """Return the name of the model's schema: ``action-details`` of ``ActionDetails``."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in model.__name__).lstrip("-")


def all_schemas() -> dict[str, str]:
    """Return every schema file: its path below ``schemas/``, and its text."""
    return schemas() | dict(schema_file(details_name(model), details_schema(model)) for model in DETAILS.values())


def write_schemas(directory: Path) -> None:
    """Write the files below the directory."""
    for name, text in all_schemas().items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
