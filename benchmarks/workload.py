"""The events of the benchmark: 350 bytes of JSON, a thousand resources, a five-word routing key."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict
from uuid import NAMESPACE_URL, uuid5

from bus_amqp import Event, EventCategory
from bus_amqp.wire.codec import encode

BODY_BYTES = 350
RESOURCES = 1_000
_TYPES = ("VM.START", "VM.STOP", "VM.REBOOT", "VM.CREATE", "VM.DESTROY", "VM.MIGRATE", "VM.UPGRADE", "VM.MOVE")


class Fields(TypedDict):
    """The design document's six fields, as a caller has them at hand."""

    event_category: str
    event_type: str
    event_source: str
    resource_type: str
    resource_uuid: str
    description: str


def event_fields() -> list[Fields]:
    """Return the fields of ``RESOURCES`` different events, each of which makes a body of ``BODY_BYTES``."""
    return [_padded(_bare(number)) for number in range(RESOURCES)]


def endless_fields() -> Iterator[Fields]:
    """Return them again and again."""
    return itertools.cycle(event_fields())


def write_messages(path: Path) -> None:
    """Write what the bus would send, one ``routing key TAB body`` a line, for clients that build nothing."""
    messages = (encode(Event(**fields), max_event_bytes=1_000_000) for fields in event_fields())
    path.write_bytes(b"".join(b"%s\t%s\n" % (message.routing_key.encode(), message.body) for message in messages))


def _bare(number: int) -> Fields:
    return Fields(
        event_category=EventCategory.ACTION,
        event_type=_TYPES[number % len(_TYPES)],
        event_source="management-server",
        resource_type="VirtualMachine",
        resource_uuid=str(uuid5(NAMESPACE_URL, f"vm-{number}")),
        description=f"Successfully completed: instance web-{number:04d} ",
    )


def _padded(fields: Fields) -> Fields:
    missing = BODY_BYTES - _typical_size(fields)
    return Fields(**{**fields, "description": fields["description"] + "x" * max(0, missing)})


def _typical_size(fields: Fields) -> int:
    # An event at a whole second has a shorter time: one in a million, and then the next one tells.
    return max(len(encode(Event(**fields), max_event_bytes=1_000_000).body) for _ in range(2))
