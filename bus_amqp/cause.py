"""Why an event was published: the ids of what was going on, filled in by themselves.

Pure, but for one context variable.  A handler that is running, or an action of ``bus_amqp.source``, is the cause of
what is published meanwhile, by any bus, in the same thread or task.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TypeVar

from bus_amqp.event import Event

_EventT = TypeVar("_EventT", bound=Event[object])

# The event that is being handled, or with which the running action began.
current_event: ContextVar[Event | None] = ContextVar("bus_amqp_current_event", default=None)


def caused_by(event: _EventT, cause: Event[object]) -> _EventT:
    """Return the event with the ids of what was going on when it was published."""
    if event.event_id == cause.event_id:
        return event  # a handler that passes on what it was given
    update: dict[str, object] = {}
    if event.causation_id is None:
        update["causation_id"] = cause.event_id
    if event.correlation_id is None:
        update["correlation_id"] = correlation_of(cause)
    return event.model_copy(update=update) if update else event


def correlation_of(cause: Event[object]) -> str:
    """Return what the events of one undertaking have in common: given from outside, or the first one's id."""
    return cause.correlation_id or str(cause.event_id)
