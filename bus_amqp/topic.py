"""``EventTopic``: which events a subscriber wants, and the one function that decides it.

Pure.  The same ``matches`` is used by the memory broker, by the consumer's filter and by
users.  Words follow AMQP: ``*`` stands for one word, ``#`` for any number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event

_FIELDS = ("event_category", "resource_type", "resource_uuid", "event_source")
_P = ParamSpec("_P")
_TopicT = TypeVar("_TopicT", bound=BaseModel)


def _naming_unknown(init: Callable[Concatenate[_TopicT, _P], None]) -> Callable[Concatenate[_TopicT, _P], None]:
    """Refuse a misspelt field as every other wrong argument is, and leave the keywords typed for checkers."""

    @wraps(init)
    def checked(self: _TopicT, /, *args: _P.args, **given: _P.kwargs) -> None:
        known = type(self).model_fields
        if unknown := ", ".join(sorted(given.keys() - known.keys())):
            raise InvalidArgumentError(f"no topic: unknown field {unknown}; a topic has {', '.join(known)}")
        if args:
            raise InvalidArgumentError(f"no topic: name each field, as in EventTopic({next(iter(known))}=...)")
        init(self, *args, **given)

    return checked


class EventTopic(BaseModel, frozen=True, extra="forbid", title="EventTopic"):  # as arguments: see Event
    """A filter over five fields; ``None`` means any value, ``""`` an absent one.

    ``event_type`` may be a pattern over its dotted words: ``VM.#``, ``*.START``, ``#.DELETE``.
    ``EventTopic()`` is everything.  The constructor raises ``InvalidArgumentError`` (also a ``ValueError``)
    that names the field, for a malformed pattern, for what is no string and for an unknown name.
    """

    event_category: str | None = Field(default=None, min_length=1)
    event_type: str | None = Field(default=None, min_length=1)
    resource_type: str | None = None
    resource_uuid: str | None = None
    event_source: str | None = Field(default=None, min_length=1)

    @_naming_unknown
    def __init__(
        self,
        *,
        event_category: str | None = None,
        event_type: str | None = None,
        resource_type: str | None = None,
        resource_uuid: str | None = None,
        event_source: str | None = None,
    ) -> None:
        given = {
            "event_category": event_category,
            "event_type": event_type,
            "resource_type": resource_type,
            "resource_uuid": resource_uuid,
            "event_source": event_source,
        }
        try:
            super().__init__(**given)
        except ValidationError as exc:
            faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in exc.errors(include_url=False))
            raise InvalidArgumentError(f"no topic: {faults}") from exc

    @field_validator("event_type")
    @classmethod
    def _check_pattern(cls, value: str | None) -> str | None:
        for word in value.split(".") if value else ():
            if not word:
                raise ValueError(f"event type {value!r} has an empty word: write single dots between words")
            if word not in ("*", "#") and ("*" in word or "#" in word):
                raise ValueError(f"pattern {value!r}: '*' and '#' stand for whole words, as in 'VM.*' or 'VM.#'")
        return value

    @cached_property
    def is_pattern(self) -> bool:
        """True when the broker's binding is coarser than this topic, so that the consumer must filter."""
        return self.event_type is not None and ("*" in self.event_type or "#" in self.event_type)

    @cached_property
    def _exact(self) -> tuple[tuple[str, str], ...]:
        names = _FIELDS if self.is_pattern else ("event_type", *_FIELDS)
        return tuple((name, value) for name in names if (value := getattr(self, name)) is not None)

    @cached_property
    def _type_words(self) -> tuple[str, ...]:
        return tuple((self.event_type or "#").split("."))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a checked copy.  Pydantic's own would carry along what was derived from the old fields."""
        return type(self)(**{**self.model_dump(), **(update or {})})

    def matches(self, event: Event[object]) -> bool:
        """Return whether this topic wants the event.  The broker and the bus agree with it."""
        for name, value in self._exact:
            if getattr(event, name) != value:
                return False
        return not self.is_pattern or words_match(self._type_words, tuple(event.event_type.split(".")))


def words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Return whether AMQP topic words match: ``*`` one word, ``#`` any number, anything else itself."""
    reached = {0}  # positions in the pattern that the words so far can have led to
    for word in (*words, None):
        for position in sorted(reached):  # '#' may stand for no word at all
            while position < len(pattern) and pattern[position] == "#":
                position += 1
                reached.add(position)
        if word is None:
            break
        following = set()
        for position in reached:
            if position < len(pattern):
                if pattern[position] == "#":
                    following.add(position)
                elif pattern[position] in ("*", word):
                    following.add(position + 1)
        reached = following
    return len(pattern) in reached
