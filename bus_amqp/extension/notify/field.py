"""``FieldPath``: a value of an event by its name in a rule, ``resource_uuid`` or ``details.memory.percent``.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

from bus_amqp import Event, InvalidArgumentError
from bus_amqp.extension.suggestion import suggestion

EVENT_FIELDS: Final = tuple(Event.model_fields)


class Missing(Enum):
    """The type of ``MISSING``."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING  # the event has no such value; null and the empty string of a field mean the same


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field of the event, and for ``details`` the way down to a value."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.words)

    def value_of(self, event: Event) -> object:
        """Return the value as JSON has it (ids and times are text), or ``MISSING``."""
        value: object = getattr(event, self.words[0])
        if value is None or value == "":
            return MISSING
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        return _below(value, self.words[1:])


def parse_field(text: str) -> FieldPath:
    """Return the path.  Raises ``InvalidArgumentError`` for a field that no event has."""
    first, *rest = text.split(".")
    if first not in EVENT_FIELDS:
        raise InvalidArgumentError(f"an event has no field {first}: {suggestion(first, EVENT_FIELDS)}")
    if first == "details" and (not rest or not all(rest)):
        raise InvalidArgumentError(f"{text!r} names nothing in the details: write it as in 'details.memory.percent'")
    if first != "details" and rest:
        raise InvalidArgumentError(f"{text!r}: only the details of an event have something in them")
    return FieldPath((first, *rest))


def _below(value: object, words: tuple[str, ...]) -> object:
    while words:
        value, words = _step(value, words)
    return MISSING if value is None else value


def _step(value: object, words: tuple[str, ...]) -> tuple[object, tuple[str, ...]]:
    if isinstance(value, Mapping):
        for length in range(len(words), 0, -1):  # a key may have dots of its own: the longest that is there counts
            if (key := ".".join(words[:length])) in value:
                return value[key], words[length:]
    if isinstance(value, list) and words[0].isdecimal() and int(words[0]) < len(value):
        return value[int(words[0])], words[1:]
    return MISSING, ()
