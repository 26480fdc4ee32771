"""``Action``: one action under way, and the events that tell of it.

Used by the thread or task that performs the action.  Nothing here raises into the action: what cannot be published is
logged and counted by the emitter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import Token
from types import TracebackType
from typing import Self
from uuid import UUID

from pydantic import JsonValue, ValidationError

from bus_amqp.cause import caused_by, correlation_of, current_event
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.actor import Actor
from bus_amqp.source.details import does_not_fit
from bus_amqp.source.emitter import Emitter, EventFields

logger = logging.getLogger("bus_amqp.source")

MAX_ERROR_MESSAGE_LENGTH = 500  # characters; the log of the component has the rest
Resource = tuple[str, str | UUID | None] | str | UUID
"""What an action is about: type and uuid, or the uuid alone, whose type the catalogue then tells from the event's."""


_ORDER = (ActionStatus.CREATED, ActionStatus.SCHEDULED, ActionStatus.STARTED)
_RANKS = {status: rank for rank, status in enumerate(ActionStatus)}


class Action:
    """A context manager, also an asynchronous one: the first event at its beginning, Completed or Failed at its end.

    Whether it speaks is asked once, at its beginning: a switch that is turned in between leaves no action without an
    outcome.  What is published inside, by whatever bus, carries the ids of its first event as cause and correlation.
    """

    __slots__ = (
        "_begins_with", "_begun_at", "_clock", "_correlation_id", "_emitter", "_failure", "_is_actor_checked", "_is_on",
        "_resource_type", "_resource_uuid", "_said", "_start_text", "_token", "_who",
        "description", "event_type", "start_event_id",
    )  # fmt: skip

    def __init__(
        self,
        emitter: Emitter,
        event_type: str,
        *,
        actor: Actor,
        resource: Resource | None = None,
        description: str = "",
        begins_with: ActionStatus | None = ActionStatus.STARTED,
        start_event_id: UUID | None = None,
        correlation_id: str | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._emitter = emitter
        self._clock = clock
        self._who = actor.told()
        self._is_actor_checked = not self._who
        self._begins_with = checked_beginning(begins_with)
        self._correlation_id = correlation_id
        self._is_on: bool | None = None  # None until the action begins
        self._said: list[ActionStatus] = []
        self._begun_at = 0.0
        self._failure: tuple[str | None, str] | None = None
        self._token: Token[Event | None] | None = None
        self._resource_type, self._resource_uuid = "", ""
        self.event_type = event_type
        self.description = description
        self.start_event_id = start_event_id
        self._start_text = str(start_event_id)
        if resource is not None:
            self.concerns(resource)

    def __repr__(self) -> str:
        said = ", ".join(self._said) or "nothing said"
        return f"<Action {self.event_type} of {self._resource_type or '-'} {self._resource_uuid or '-'}: {said}>"

    def concerns(self, resource: Resource) -> None:
        """Say what it is about, where that is known only now: a machine that has just been created."""
        match resource:
            case str() | UUID():
                catalogue = self._emitter.event_types
                self._resource_type = catalogue.resource_type(self.event_type) if catalogue is not None else ""
                self._resource_uuid = str(resource)
            case (str() as kind, (str() | UUID() | None) as uuid):
                self._resource_type, self._resource_uuid = kind, "" if uuid is None else str(uuid)
            case _:  # not raised: the action itself is in order
                logger.error("%s: %r is no resource: give its uuid, or (type, uuid)", self.event_type, resource)

    def created(self) -> None:
        """Say that the resource is recorded, though the work on it has not begun.

        What is said twice, or after a later one, is ignored, with a line in the log; so it is for all three.
        """
        self._say(ActionStatus.CREATED)

    def scheduled(self) -> None:
        """Say that the work is queued."""
        self._say(ActionStatus.SCHEDULED)

    def started(self) -> None:
        """Say that the work begins now; the duration counts from here."""
        self._say(ActionStatus.STARTED)

    def fail(self, message: str, *, error_class: str | None = None) -> None:
        """Have the outcome be Failed though nothing is raised: the operation has returned an error."""
        self._failure = (error_class, message)

    def begin(self) -> None:
        """Begin, and say so unless told otherwise.  Called by ``with``; each action begins once."""
        if self._is_on is not None:
            raise InvalidArgumentError(f"{self!r} has begun already: call performing() for each action")
        self._is_on = self._emitter.is_on()
        self._begun_at = self._clock()
        if self.start_event_id is not None and self._correlation_id is None:  # announced elsewhere
            cause = current_event.get()
            self._correlation_id = correlation_of(cause) if cause is not None else str(self.start_event_id)
        if self._begins_with is None:
            return
        try:
            self._say(self._begins_with)
        except BaseException as exc:  # Ctrl-C, just now: the block never runs, so this is the only chance to tell
            self.end(exc)
            raise

    def end(self, exc: BaseException | None) -> None:
        """Tell the outcome."""
        self.leave()
        duration = max(0.0, self._clock() - self._begun_at)
        if exc is not None:
            self._failure = (_class_of(exc), _message_of(exc))
        if self._failure is None:
            self._publish(ActionStatus.COMPLETED, durationSeconds=duration)
            return
        error_class, message = self._failure
        told = {"errorClass": error_class} if error_class is not None else {}
        self._publish(ActionStatus.FAILED, durationSeconds=duration, errorMessage=_bounded(message), **told)

    def leave(self) -> None:
        """Be no longer the cause of what is published."""
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # a generator may be closed from another context than it was begun in
                current_event.reset(token)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(exc)

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(exc)

    def _say(self, status: ActionStatus) -> None:
        if self._is_on is None:
            raise InvalidArgumentError(f"{self!r} has not begun: enter it by `with`")
        if self._said and _RANKS[self._said[-1]] >= _RANKS[status]:
            logger.warning("%r: %s is not said again", self, status)
            return
        if status is ActionStatus.STARTED:
            self._begun_at = self._clock()
        self._publish(status)

    def _publish(self, status: ActionStatus, **outcome: str | float | None) -> None:
        self._said.append(status)
        if not self._is_on:
            return
        about: EventFields = {
            "resource_type": self._resource_type,
            "resource_uuid": self._resource_uuid,
            "description": self.description,
        }
        # The wire form of ActionDetails, which checks the one part that comes from outside; a test reads it back.
        details: dict[str, JsonValue] = {"detailsVersion": 1, "status": status.value, **self._who, **outcome}
        if (start := self.start_event_id) is not None:
            about["causation_id"] = start
            details["startEventId"] = self._start_text
        if self._correlation_id is not None:
            about["correlation_id"] = self._correlation_id
        try:
            if not self._is_actor_checked:
                self._check_actor()
            event = self._emitter.build_from_wire(self.event_type, details, about)
            if self._token is None and status in _ORDER:
                event = self._become_cause(event)
            self._emitter.publisher.publish(event)
        except Exception as exc:  # noqa: BLE001 -- whatever a publisher raises: the action matters more
            self._emitter.note_failure(self.event_type, exc)

    def _check_actor(self) -> None:
        try:
            ActionDetails.checked({"status": ActionStatus.STARTED, **self._who})
        except ValidationError as exc:
            raise does_not_fit(exc) from exc
        self._is_actor_checked = True

    def _become_cause(self, event: Event) -> Event:
        if (cause := current_event.get()) is not None:
            event = caused_by(event, cause)
        if self.start_event_id is None:
            self.start_event_id = event.event_id
            self._start_text = str(event.event_id)
        self._correlation_id = event.correlation_id or self._start_text
        self._token = current_event.set(event)
        return event


def checked_beginning(begins_with: ActionStatus | str | None) -> ActionStatus | None:
    """Return the status, which may be told by its text.  Raises ``InvalidArgumentError`` for what begins nothing."""
    for status in _ORDER:
        if begins_with == status:
            return status
    if begins_with is None:
        return None
    raise InvalidArgumentError(f"begins_with is {begins_with!r}: use one of {', '.join(_ORDER)}, or None")


def _class_of(exc: BaseException) -> str:
    kind = type(exc)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message_of(exc: object) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 -- the caller's own exception: one that cannot be told must still be passed on
        return "(its text cannot be read)"


def _bounded(message: object) -> str:
    text = message if isinstance(message, str) else _message_of(message)
    if len(text) > MAX_ERROR_MESSAGE_LENGTH:
        text = text[: MAX_ERROR_MESSAGE_LENGTH - 1] + "…"
    # Half a surrogate pair, as in the name of a file that is no UTF-8: the bus would refuse the outcome for it.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
