"""``Hook``: the subscriber behind one webhook: what is its own goes out, and the answer becomes the event's fate.

It speaks to the bus as every subscriber does.  2xx: done.  410 Gone: ``Discard``.  An address where none may go: an
error that is not tried again.  ``Retry-After``: ``RetryLater``, for six hours at most.  Anything else: an error, and
the bus tries again by the webhook's retry policy and dead-letters the event in the end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bus_amqp import Discard, Event, RetryLater
from bus_amqp.extension.webhook.answer import Answer
from bus_amqp.extension.webhook.errors import DeliveryFailedError, ForbiddenAddressError, HistoryError
from bus_amqp.extension.webhook.record import Kind
from bus_amqp.extension.webhook.sender import Sender

logger = logging.getLogger("bus_amqp.webhook")

# RetryLater uses up no attempt, so a receiver that says "in a second" for ever must not be obeyed for ever.
# Counted from the first attempt in the history; where that is forgotten, the bus still ends it at a thousand delays.
OBEYED_FOR = timedelta(hours=6)
LONGEST_WAIT_SECONDS = 3600.0
LONGEST_ORDERED_WAIT_SECONDS = 300.0  # held in the process, with all later events of the resource behind it


class Hook:
    """Called on the worker threads of its own subscription, which no other webhook shares."""

    def __init__(self, sender: Sender, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._sender = sender
        self._scope = sender.webhook.scope
        self._clock = clock
        self._longest_wait = LONGEST_ORDERED_WAIT_SECONDS if sender.webhook.ordered else LONGEST_WAIT_SECONDS

    def __repr__(self) -> str:
        return f"<Hook {self._sender.webhook.name}>"

    def on_event(self, event: Event, /) -> None:
        """Deliver the event if it is in the webhook's scope."""
        if not self._scope.has(event):
            return
        answer, _ = self._sender.send(str(event.event_id), event.event_type, body_of(event), Kind.EVENT)
        if answer.is_success:
            return
        webhook = self._sender.webhook
        told = f"webhook {webhook.name} ({webhook.target.origin}): {answer.told}"
        if answer.is_forbidden:
            raise ForbiddenAddressError(told)
        if answer.is_gone:
            raise Discard(f"{told}: the receiver says that it is gone for good")
        if (wait_seconds := self._wait_asked_for(event, answer)) is not None:
            logger.info("%s; it asks for %g s", told, wait_seconds)
            raise RetryLater(wait_seconds)
        raise DeliveryFailedError(told)

    def _wait_asked_for(self, event: Event, answer: Answer) -> float | None:
        now = self._clock()
        wait_seconds = answer.wait_seconds(now, longest_seconds=self._longest_wait)
        if wait_seconds is None:
            return None
        try:
            first = self._sender.history.first_attempt_at(self._sender.webhook.name, str(event.event_id))
        except HistoryError:  # told by the sender; without a memory the attempts of the policy are the bound
            first = None
        return wait_seconds if first is not None and now - first < OBEYED_FOR else None


def body_of(event: Event) -> bytes:
    """Return the event as it is on the wire: ``schemas/v1/event.schema.json``."""
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()
