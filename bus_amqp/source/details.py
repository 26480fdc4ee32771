"""``Details``: what a source writes into ``Event.details``, as a typed and versioned model.

Sources construct a model, which checks it, and publish its wire form; subscribers read it back.  On the wire the names
are camelCase and absent values are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, JsonValue, PlainSerializer, ValidationError

from bus_amqp.errors import InvalidArgumentError


def _camel_case(name: str) -> str:
    if name == "version":
        return "detailsVersion"  # a resource may have a version too
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _no_number(value: object) -> object:
    if isinstance(value, int | float):  # pydantic would take it for seconds or milliseconds, by its size
        raise ValueError("a time must be a datetime or ISO 8601 text, not a number")
    return value


def wire_text(value: datetime) -> str:
    """Return a moment as details have it."""
    return value.astimezone(UTC).isoformat()


WireTime = Annotated[AwareDatetime, BeforeValidator(_no_number), PlainSerializer(wire_text, return_type=str)]
"""A moment in details: aware, ISO 8601 in UTC on the wire."""


# Class arguments instead of model_config: a type checker without pydantic's plug-in reads frozen from here only.
class Details(
    BaseModel,
    frozen=True,
    extra="forbid",
    allow_inf_nan=False,
    alias_generator=_camel_case,
    validate_by_name=True,
    validate_by_alias=False,
):
    """The base of every source's details; derive from it for a source of your own, with ``frozen=True`` again.

    Constructing refuses a field that the model does not have; reading from the wire ignores it, because a newer
    program may have written it.  Raises pydantic's ``ValidationError`` (a ``ValueError``) naming the field.
    """

    version: Literal[1] = Field(default=1, description="Of these details; a change that breaks readers raises it.")

    def to_wire(self) -> dict[str, JsonValue]:
        """Return what goes into ``Event.details``."""
        # What model_dump does, without the layer of Python around it, a third of its time: every event passes here.
        wire: dict[str, JsonValue] = self.__pydantic_serializer__.to_python(
            self, mode="json", by_alias=True, exclude_none=True
        )
        return wire

    @classmethod
    def checked(cls, values: dict[str, Any]) -> Self:
        """Return what the constructor makes of these values, in half its time.  Raises ``ValidationError`` like it."""
        details: Self = cls.__pydantic_validator__.validate_python(values)
        return details

    @classmethod
    def from_wire(cls, details: Mapping[str, Any]) -> Self:
        """Read what came in ``Event.details``.  Raises pydantic's ``ValidationError`` naming the field."""
        return cls.model_validate(details, by_alias=True, by_name=False, extra="ignore")


class OwnedDetails(Details, frozen=True):
    """Details of something that belongs to somebody: the account and its domain, as the caller names them."""

    account: str | None = Field(default=None, description="Whose it is: the account's uuid or name.")
    domain: str | None = Field(default=None, description="The account's domain: its uuid or name.")


def does_not_fit(exc: ValidationError) -> InvalidArgumentError:
    """Return the refusal of what does not fit its model, naming each field with what is wrong with it."""
    faults = exc.errors(include_url=False, include_input=False, include_context=False)
    told = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'details'}: {fault['msg']}" for fault in faults)
    return InvalidArgumentError(f"{exc.title} refused: {told}")
