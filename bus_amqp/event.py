"""The ``Event``: six fields of the design document and an envelope.

Validation is pydantic's; what the constructor accepts, our own decoder accepts too.
On the wire the names are camelCase (``bus_amqp.wire``); here they are Python's.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic
from uuid import UUID, SafeUUID

from pydantic import BaseModel, Field, GetCoreSchemaHandler, JsonValue, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypeVar

from bus_amqp.errors import InvalidArgumentError

MAX_INTEGER_BITS = 14_000  # pydantic's own JSON parser refuses more than 4,300 digits
_LOW_62 = (1 << 62) - 1
MAX_DETAILS_DEPTH = 64  # deeper nesting encodes, but pydantic's own JSON parser refuses it at about 200


class EventCategory(StrEnum):
    """The five categories that the design document names.  Others are allowed: a category is an open string."""

    ACTION = "ActionEvent"
    ALERT = "AlertEvent"
    USAGE = "UsageEvent"
    RESOURCE_STATE = "ResourceStateEvent"
    ASYNC_JOB = "AsyncJobEvent"


# Not os.urandom for each id: it lets go of the interpreter's lock, and under load every event then costs a switch
# to another thread (measured: 4,000 switches for 12,000 events, 350 without).
_random = random.Random(os.urandom(64))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(64)))  # a child would repeat its parent's ids
_new_uuid, _set = UUID.__new__, object.__setattr__


def new_event_id() -> UUID:
    """Return a UUIDv7 (RFC 9562): milliseconds, then 74 random bits, so ids sort by time.  Unique, not secret."""
    bits = _random.getrandbits(74)
    value = (time.time_ns() // 1_000_000 << 80) | (7 << 76) | (bits >> 62 << 64) | (2 << 62) | (bits & _LOW_62)
    # What UUID(int=value) does, without its checks: half the cost of building an event was here.
    event_id = _new_uuid(UUID)
    _set(event_id, "int", value)
    _set(event_id, "is_safe", SafeUUID.unknown)
    return event_id


def _now() -> datetime:
    return datetime.now(UTC)


def check_json(value: object, depth: int = 1) -> None:
    """Raise ``ValueError`` unless ``value`` survives a trip through JSON: str keys, finite numbers, bounded depth."""
    if value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            raise ValueError(f"a whole number of {value.bit_length()} bits: no JSON reader takes it")
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number: details must be finite")
        return
    if depth > MAX_DETAILS_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DETAILS_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"key {key!r} is not a string, as JSON wants it")
            check_json(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_json(item, depth + 1)
    else:
        raise ValueError(f"{type(value).__name__} is not a JSON value")


def _checked_details(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if value:
        check_json(value)
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError as exc:  # not a ValueError, so pydantic would let it through, decoder and all
        raise ValueError("in UTC it is before the year 1 or after the year 9999") from exc


class _NoneIsDefault:
    """Accept null where a field has a default, at no cost to the usual case (the union is decided in Rust)."""

    def __init__(self, default: Callable[[], object]) -> None:
        self._default = default

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        none = core_schema.no_info_after_validator_function(lambda _: self._default(), core_schema.none_schema())
        # Labels keep the path of an error readable: details.value and not details.json-or-python[...].
        return core_schema.union_schema([(handler(source), "value"), (none, "null")], mode="left_to_right")


class _Details:
    """Any JSON object that survives a trip: pydantic's own JSON parser lets NaN, 1e999 and any depth to 200 in."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
        return core_schema.no_info_after_validator_function(_checked_details, plain)


class _UtcTime:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Strict: a number would be taken for seconds or milliseconds, by its size.
        aware = core_schema.datetime_schema(tz_constraint="aware", strict=True)
        return core_schema.no_info_after_validator_function(_in_utc, aware)


_Required = Annotated[str, Field(min_length=1)]
_Optional = Annotated[str, _NoneIsDefault(str)]


def _camel_case(name: str) -> str:
    if name == "resource_uuid":
        return "resourceUUID"  # the design document's spelling
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# Covariant: whoever takes an Event[object] takes any.  With the default, Event alone is what it is without brackets.
DetailsT_co = TypeVar("DetailsT_co", default=dict[str, JsonValue], covariant=True)
# Asking for these is asking for what is there anyway.
_ANY_OBJECT: tuple[object, ...] = (
    Any, object, dict, dict[str, Any], dict[str, object], dict[str, JsonValue],
)  # fmt: skip
_EventT = TypeVar("_EventT", bound="Event[Any]")
_typed_events: dict[tuple[type[Event[Any]], object], type[Event[Any]]] = {}  # entries are added, by any thread


# Class arguments instead of model_config: a type checker without pydantic's plug-in reads frozen from here only.
class Event(
    BaseModel,
    Generic[DetailsT_co],
    frozen=True,
    extra="forbid",
    strict=False,
    alias_generator=_camel_case,
    validate_by_name=True,
    validate_by_alias=False,
    title="Event",
):
    """Something that happened in the cloud.  Frozen; equal by all fields, hashed by ``event_id``.

    ``Event[UsageDetails]`` is the same with ``details`` of a type of yours, a model of pydantic or whatever its
    ``TypeAdapter`` takes: a handler that asks for it gets validated details, and it can be built and published.
    Raises pydantic's ``ValidationError`` (a ``ValueError``) naming the field at construction.
    """

    __details_type__: ClassVar[Any] = None  # of Event[...]: what stands in the brackets

    event_category: _Required = Field(description="What kind of event: one of EventCategory, or a name of your own.")
    event_type: _Required = Field(description="What happened, dotted words in capitals: VM.START, ALERT.MEMORY.")
    event_source: _Required = Field(description="Which component speaks, e.g. management-server.")
    resource_type: _Optional = Field(default="", description="What it happened to: VirtualMachine.  Empty: absent.")
    resource_uuid: _Optional = Field(default="", description="Which one.  Events of one uuid keep their order.")
    description: _Optional = Field(default="", description="For people.")
    event_id: Annotated[UUID, _NoneIsDefault(new_event_id)] = Field(
        default_factory=new_event_id, description="UUIDv7; the same in every copy, so receivers can drop duplicates."
    )
    event_time: Annotated[datetime, _UtcTime(), _NoneIsDefault(_now)] = Field(
        default_factory=_now, description="When it happened: aware, kept in UTC."
    )
    details: Annotated[DetailsT_co, _Details(), _NoneIsDefault(dict)] = Field(
        default_factory=dict,  # type: ignore[assignment]  # right for Event alone; Event[...] has a field of its own
        description="A JSON object: finite numbers, at most 64 levels deep.",
    )
    correlation_id: str | None = Field(default=None, description="One for all events of one undertaking.")
    causation_id: UUID | None = Field(default=None, description="The event_id of the event that led to this one.")

    if TYPE_CHECKING:
        # From the fields alone a checker would take the details of Event(details={"cpu": 4}) for a dict[str, int],
        # and that is no dict[str, JsonValue].
        def __init__(
            self,
            *,
            event_category: str,
            event_type: str,
            event_source: str,
            resource_type: str = ...,
            resource_uuid: str = ...,
            description: str = ...,
            event_id: UUID = ...,
            event_time: datetime = ...,
            details: DetailsT_co | dict[str, JsonValue] = ...,
            correlation_id: str | None = ...,
            causation_id: UUID | None = ...,
        ) -> None: ...

    def __class_getitem__(cls, details_type: Any) -> Any:
        """Return the class of events whose ``details`` are of this type; always the same one for a type.

        Raises ``InvalidArgumentError`` for a type that pydantic cannot validate.
        """
        if isinstance(details_type, TypeVar) or details_type in _ANY_OBJECT:
            return cls
        try:
            known = _typed_events.get((cls, details_type))
        except TypeError:  # not hashable: Annotated[...] with such a remark
            return _typed_event(cls, details_type)
        return known or _typed_events.setdefault((cls, details_type), _typed_event(cls, details_type))

    def __hash__(self) -> int:
        return hash(self.event_id)

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind = type(self)
        if "__details_type__" not in vars(kind) or kind.__details_type__ is None:
            return super().__reduce_ex__(protocol)
        # Event[...] stands in no module, where unpickling would look for it.
        return _unpickled, (kind.__bases__[0], kind.__details_type__), self.__getstate__()


def _typed_event(kind: type[Event[Any]], details_type: Any) -> type[Event[Any]]:
    if isinstance(details_type, str | tuple) or kind.__details_type__ is not None:
        raise InvalidArgumentError(f"{kind.__name__}[{details_type!r}]: the brackets take one type, once, unquoted")
    name = kind.model_parametrized_name((details_type,))
    try:
        typed = create_model(
            name,
            __base__=kind,
            __module__=kind.__module__,
            __cls_kwargs__={"title": name},
            details=(details_type, Field(description=kind.model_fields["details"].description)),
        )
    except PydanticUserError as exc:
        why = exc.message.partition(". ")[0]
        raise InvalidArgumentError(f"{name}: details of this type cannot be validated: {why}") from exc
    typed.__details_type__ = details_type
    return typed


def recast(event: Event[Any], kind: type[_EventT], details: object) -> _EventT:
    """Return the event as one of the kind, with these details.  Nothing is validated."""
    copied = kind.__new__(kind)
    # What pydantic's own model_construct sets; by way of the state that pickle takes it costs a third more.
    _set(copied, "__dict__", {**event.__dict__, "details": details})
    _set(copied, "__pydantic_fields_set__", event.__pydantic_fields_set__ | {"details"})
    _set(copied, "__pydantic_extra__", None)
    _set(copied, "__pydantic_private__", None)
    return copied


def _unpickled(kind: Any, details_type: Any) -> Any:
    typed = kind[details_type]
    return typed.__new__(typed)
