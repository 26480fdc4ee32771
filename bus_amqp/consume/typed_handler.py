"""The handler that is called with ``Event[UsageDetails]``, in front of one that asks for it."""

from __future__ import annotations

from bus_amqp.consume.asked_event import asked_event
from bus_amqp.errors import UndecodableError
from bus_amqp.event import Event
from bus_amqp.subscriber import Handler
from bus_amqp.wire.typed_details import reader_of


class MisfitError(Exception):
    """The details are not what the handler asks for, and never will be.  Ends in ``Handling``, as a dead letter."""


def typed_handler(handler: Handler) -> Handler:
    """Return a handler that calls this one with the events it asks for; the same one if those are plain.

    What a validator of the user's raises, but for ``ValueError``, is raised as if the handler had.  Raises
    ``InvalidArgumentError`` for what cannot be asked for.
    """
    kind = asked_event(handler)
    if kind is None:
        return handler
    read = reader_of(kind)

    def handle(event: Event) -> object:
        try:
            typed = read(event)
        except UndecodableError as exc:
            raise MisfitError(str(exc)) from exc
        return handler(typed)

    return handle  # type: ignore[return-value]  # returns what the handler returns
