"""Details of a type of the user's (``Event[UsageDetails]``): to the JSON object that travels, and back.  Pure.

What travels has no type.  Names are the aliases, as those of the event are; keys that a type does not know are ignored
when it is read, so that one side may be newer than the other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import to_json

from bus_amqp.errors import InvalidArgumentError, UndecodableError
from bus_amqp.event import Event, recast
from bus_amqp.wire.faults import told

RANDOM_ID_MARK = "busEventIdIsRandom"  # in the details of a bare message without an id of its own


def as_it_travels(event: Event[Any]) -> Event:
    """Return a typed event with details as JSON has them.  NaN and depth are ``encode``'s to check, as in any event.

    Raises ``InvalidArgumentError`` for details that are no JSON object.
    """
    try:
        details = _adapter(type(event)).dump_python(event.details, mode="json", by_alias=True, warnings="error")
    except ValueError as exc:  # pydantic's own error is one, too
        raise InvalidArgumentError(f"event cannot be written as JSON: {exc}") from exc
    if not isinstance(details, dict):
        raise InvalidArgumentError(
            f"event cannot be written as JSON: details are written as {type(details).__name__}, "
            "and must be a JSON object"
        )
    return recast(event, Event, details)


def reader_of(kind: type[Event[Any]]) -> Callable[[Event], Event[Any]]:
    """Return a function from an event as it travelled to one of the kind: ``Event[...]``.

    It raises ``UndecodableError`` with reason ``details``; ``reader_of`` itself ``InvalidArgumentError`` for a type
    that cannot be read, because a name in it has no meaning.
    """
    adapter = _adapter(kind)
    try:
        adapter.rebuild(raise_errors=True)
    except (PydanticUserError, NameError) as exc:
        raise InvalidArgumentError(f"{kind.__name__}: details of this type cannot be validated: {exc}") from exc
    # Whoever allows unknown keys wants to see them; to forbid them is meant for those who write.
    extra: Literal["ignore"] | None = None if _allows_unknown_keys(kind.__details_type__) else "ignore"

    def validated(details: object) -> object:
        # As JSON: a strict model takes no text for a time from Python, and has nothing else to take from JSON.
        return adapter.validate_json(to_json(details), by_alias=True, by_name=False, extra=extra)

    def read(event: Event) -> Event[Any]:
        details = event.details
        try:
            return recast(event, kind, validated(details))
        except ValidationError as exc:
            if RANDOM_ID_MARK in details:  # our own remark: what fits without it fits
                return read(recast(event, Event, {name: details[name] for name in details if name != RANDOM_ID_MARK}))
            raise UndecodableError(told(exc, within="details", values=details), reason="details") from exc

    return read


@lru_cache(maxsize=1024)
def _adapter(kind: type[Event[Any]]) -> TypeAdapter[Any]:
    return TypeAdapter(kind.__details_type__)


def _allows_unknown_keys(details_type: Any) -> bool:
    config = getattr(details_type, "model_config", None) or getattr(details_type, "__pydantic_config__", None)
    return isinstance(config, dict) and config.get("extra") == "allow"
