"""``Emitter``: what every source has: a publisher, a category, a name, and a switch.

Called on the caller's thread; waits for nothing that ``publish`` itself does not wait for.  It holds no lock: the
counts are for people, and two threads at once may count one event too few.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypedDict, Unpack
from uuid import UUID

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.catalogue import Catalogue
from bus_amqp.source.details import Details, does_not_fit
from bus_amqp.source.quick_event import quick_event

logger = logging.getLogger("bus_amqp.source")

DEFAULT_SOURCE = "management-server"
MAX_DESCRIPTION_LENGTH = 4096  # characters: a stack trace that somebody passes on must not become every event's size


class EventPublisher(Protocol):
    """Anything with ``publish``: an ``EventBus``, a fan-out to several, a list in a test."""

    def publish(self, event: Event, /) -> object:
        """Accept one event."""


IsEnabled = bool | Callable[[], bool]


class EventFields(TypedDict, total=False):
    """What may be said about an event beside its type and details.

    Leave out what is not known: a value is validated, a None as well, where a default is only made.
    """

    resource_type: str
    resource_uuid: str
    description: str
    correlation_id: str | None
    causation_id: UUID | None
    event_time: datetime | None
    event_id: UUID | None


class Emitter:
    """Builds a source's events and hands them to the publisher.

    ``is_enabled`` may be changed while running; a callable is asked for each event, so that a live setting decides.
    ``event_types``: the catalogue that tells once of a type that is probably mistyped; None asks nobody.
    ``failed``: events that ``try_emit`` could not publish.  ``shortened``: descriptions that were cut.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        category: str,
        source: str = DEFAULT_SOURCE,
        is_enabled: IsEnabled = True,
        event_types: Catalogue | None = None,
    ) -> None:
        if not callable(getattr(publisher, "publish", None)):
            raise InvalidArgumentError(f"publisher {publisher!r} has no publish method: pass a bus")
        try:  # here and now, and by Event itself: no event of this source will be asked for them again
            words = Event(event_category=category, event_type="-", event_source=source)
        except ValidationError as exc:
            raise does_not_fit(exc) from exc
        self.publisher = publisher
        self.category = words.event_category
        self.source = words.event_source
        self.is_enabled = is_enabled
        self.event_types = event_types
        self.failed = 0
        self.shortened = 0

    def __repr__(self) -> str:
        return f"<Emitter {self.category} of {self.source}{'' if self.is_on() else ', off'}, {self.failed} failed>"

    def is_on(self) -> bool:
        """Return whether events go out now.  A setting that cannot be read counts as on: silence would be a loss."""
        is_enabled = self.is_enabled
        if isinstance(is_enabled, bool):
            return is_enabled
        try:
            return bool(is_enabled())
        except Exception:  # the caller's own setting, asked in the middle of an action that must not break
            logger.exception("the switch of %s events cannot be read: they go out", self.category)
            return True

    def build(self, event_type: str, details: Details, **fields: Unpack[EventFields]) -> Event:
        """Return the event, unpublished.  Raises ``InvalidArgumentError`` naming the field that cannot be published."""
        if not isinstance(details, Details):
            raise InvalidArgumentError(f"details must be a model derived from Details, not {type(details).__name__}")
        try:
            wire = details.to_wire()
        except PydanticSerializationError as exc:
            raise InvalidArgumentError(f"{type(details).__name__} refused: {exc}") from exc
        return self.build_from_wire(event_type, wire, fields)

    def build_from_wire(self, event_type: str, details: dict[str, JsonValue], fields: EventFields) -> Event:
        """Return the event of details that their source has checked itself, in the form that travels."""
        description = fields.get("description")
        if isinstance(description, str) and len(description) > MAX_DESCRIPTION_LENGTH:
            fields["description"] = self._shorten(event_type, description)
        event = quick_event(self.category, event_type, self.source, details, fields)
        if event is None:
            event = self._checked(event_type, details, fields)
        if self.event_types is not None:
            self.event_types.look_at(event.event_type)
        return event

    def _checked(self, event_type: str, details: dict[str, JsonValue], fields: EventFields) -> Event:
        # Event takes None for "make it yourself"; mypy does not see that through the unpacked fields.
        given: dict[str, Any] = fields  # type: ignore[assignment]  # a TypedDict is a dict
        try:
            return Event(
                event_category=self.category,
                event_type=event_type,
                event_source=self.source,
                details=details,
                **given,
            )
        except ValidationError as exc:
            raise does_not_fit(exc) from exc

    def emit(self, event_type: str, details: Details, **fields: Unpack[EventFields]) -> object | None:
        """Publish one event; return what ``publish`` returned (a bus: its receipt), or None while switched off.

        Raises what ``publish`` raises, and ``InvalidArgumentError`` naming the field that cannot be published.
        """
        # Most switches are a plain True: a call for each event would be a tenth of what emitting costs.
        if self.is_enabled is not True and not self.is_on():
            return None
        return self.publisher.publish(self.build(event_type, details, **fields))

    def try_emit(self, event_type: str, details: Details, **fields: Unpack[EventFields]) -> object | None:
        """Publish as ``emit`` does; what goes wrong is logged and counted, and None is returned.

        For sources that speak in the middle of their caller's work, which must not break for want of a bus.
        """
        try:
            return self.emit(event_type, details, **fields)
        except Exception as exc:  # noqa: BLE001 -- whatever a publisher raises: the caller's work matters more
            self.note_failure(event_type, exc)
            return None

    def note_failure(self, event_type: str, exc: Exception) -> None:
        """Count and log an event that nobody will hear of."""
        self.failed += 1
        logger.warning("%s %s was not published: %s: %s", self.category, event_type, type(exc).__name__, exc)

    def _shorten(self, event_type: str, description: str) -> str:
        """Cut a description to the bound, saying so in its own last words, in the log and in the count."""
        note = f"… (cut, {len(description):,} characters)"
        if not self.shortened:
            logger.warning(
                "description of %s has %d characters and is cut to %d; later ones are counted, not logged",
                event_type, len(description), MAX_DESCRIPTION_LENGTH,
            )  # fmt: skip
        self.shortened += 1
        return description[: MAX_DESCRIPTION_LENGTH - len(note)] + note
