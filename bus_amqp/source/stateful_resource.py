"""``StatefulResource``: which resource a state change is about, and what of it belongs into the event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.usage_details import UsageFacts

NO_FACTS: Final = UsageFacts()
_FACTS: Final = tuple(name for name in UsageFacts.model_fields if name != "version")


@dataclass(frozen=True, slots=True)
class StatefulResource:
    """A resource's uuid, and what billing wants to know of it: whose, where, by which offering, how large."""

    uuid: str
    facts: UsageFacts = NO_FACTS


def described(resource: object) -> StatefulResource:
    """Describe what a caller gave to ``transit``: a uuid, or any object (a row, a model) with an attribute ``uuid``.

    Its attributes of the names in ``UsageFacts`` (``account``, ``zone``, ``size_bytes``...) are taken too, where
    there are any.  Raises ``InvalidArgumentError``, and pydantic's ``ValidationError`` for a fact that does not fit.
    """
    if isinstance(resource, StatefulResource):
        return resource
    if isinstance(resource, str | UUID):
        return StatefulResource(str(resource))
    uuid = getattr(resource, "uuid", None)
    if not isinstance(uuid, str | UUID):
        raise InvalidArgumentError(
            f"a {type(resource).__name__} has no uuid: give transit a uuid, a StatefulResource, or the listener a "
            "function that describes it"
        )
    facts = {name: fact for name in _FACTS if (fact := getattr(resource, name, None)) is not None}
    return StatefulResource(str(uuid), UsageFacts(**facts) if facts else NO_FACTS)
