"""What happens to one delivery on a worker: decode, filter, call the subscriber, judge the outcome."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from bus_amqp.cause import current_event
from bus_amqp.consume.dead_letter import DeadLetter
from bus_amqp.consume.second_chance import SecondChance, judged
from bus_amqp.consume.typed_handler import MisfitError
from bus_amqp.errors import UndecodableError
from bus_amqp.event import Event
from bus_amqp.retry import NO_RETRY, Discard, RetryPolicy, postponement_of
from bus_amqp.subscriber import Handler
from bus_amqp.topic import EventTopic
from bus_amqp.wire.codec import decode
from bus_amqp.wire.message import Delivery

logger = logging.getLogger("bus_amqp.consume")

# The subscription whose callback is running, so that ending it from inside does not wait for itself.
current_subscription: ContextVar[UUID | None] = ContextVar("bus_amqp_current_subscription", default=None)
# Bound once: of a name that was imported, CPython 3.11 makes a new bound method for each call, 0.1 us an event.
_set_current_event, _reset_current_event = current_event.set, current_event.reset


@dataclass(slots=True)
class HandlingCounts:
    """Counts of one worker.  Written by that worker alone, so that no increment is lost; read by any thread."""

    handled: int = 0
    filtered: int = 0
    discarded: int = 0
    dead_lettered: int = 0
    spared: int = 0  # delivered again after they had been handled
    retried: int = 0


Outcome = DeadLetter | SecondChance | None  # None: to be acknowledged


class Handling:
    """Topics, handler and counts, as one worker uses them; the workers of a subscription are ``twin`` of each other."""

    def __init__(
        self,
        topics: Sequence[EventTopic],
        handler: Handler,
        name: str,
        *,
        retry: RetryPolicy = NO_RETRY,
        return_exchange: str = "",
        read: Callable[[Delivery], Event] = decode,
        has_dead_letters: bool = True,
    ) -> None:
        self._read = read
        self._fate = "dead-lettered" if has_dead_letters else "left out"  # of what cannot be handled, for the log
        self._topics = topics
        self._coarse = tuple(
            topic.model_copy(update={"event_type": None}) if topic.is_pattern else topic for topic in topics
        )
        self._takes_all = any(topic == EventTopic() for topic in topics)
        self._handler = handler
        self._name = name
        self._return_exchange = return_exchange  # what comes through it has failed before
        self.retry = retry
        self.counts = HandlingCounts()

    def twin(self) -> Handling:
        """Return the same with counts of its own, for another worker."""
        twin = copy.copy(self)
        twin.counts = HandlingCounts()
        return twin

    def __repr__(self) -> str:
        return f"<Handling {self._name}>"

    def admit(self, delivery: Delivery) -> Event | DeadLetter | None:
        """Return the event to handle, why it cannot be, or None: brought by a coarse binding and not wanted."""
        try:
            event = self._read(delivery)
        except UndecodableError as exc:
            return self._refuse(exc.reason, str(exc))
        except Discard as exc:  # a foreign message that its decoder does not want
            self.counts.discarded += 1
            logger.debug("%s: a message is discarded: %s", self._name, _reason_of(exc))
            return None
        if self._takes_all or any(topic.matches(event) for topic in self._topics):
            return event
        if any(topic.matches(event) for topic in self._coarse):
            self.counts.filtered += 1
            return None
        return self._refuse("no-topic", "no topic of this process explains the event; another version may")

    def call(self, event: Event, delivery: Delivery) -> Outcome:
        """Call a plain subscriber."""
        token = _set_current_event(event)
        try:
            outcome = self._handler(event)
            # Nobody would run it, and the event would count as handled.  None first: the check costs 0.3 us.
            if outcome is not None and isinstance(outcome, Awaitable):
                if isinstance(outcome, Coroutine):
                    outcome.close()
                raise TypeError("the subscriber returned an awaitable: declare it with 'async def'")
        except BaseException as exc:  # noqa: BLE001 -- a subscriber: whatever it raises is its event's fate, not the worker's
            return self._judge(event, delivery, exc)
        finally:
            _reset_current_event(token)
        self.counts.handled += 1
        return None

    async def call_async(self, event: Event, delivery: Delivery) -> Outcome:
        """Call a coroutine subscriber."""
        token = _set_current_event(event)
        try:
            outcome = self._handler(event)
            if isinstance(outcome, Awaitable):
                await outcome
        except asyncio.CancelledError as exc:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise  # the whole task is to end; whether it does is for its worker to say
            return self._judge(event, delivery, exc)
        except BaseException as exc:  # noqa: BLE001 -- a subscriber: whatever it raises is its event's fate, not the worker's
            return self._judge(event, delivery, exc)
        finally:
            _reset_current_event(token)
        self.counts.handled += 1
        return None

    def cancelled(self, event: Event, delivery: Delivery, error: asyncio.CancelledError) -> Outcome:
        """Judge a coroutine that has cancelled its own task: a failure like any other."""
        return self._judge(event, delivery, error)

    def _judge(self, event: Event, delivery: Delivery, error: BaseException) -> Outcome:
        if isinstance(error, Discard):
            self.counts.discarded += 1
            logger.info("%s discarded event %s: %s", self._name, event.event_id, _reason_of(error))
            return None
        if isinstance(error, MisfitError):
            return self._refuse("details", str(error))
        explanation = f"{type(error).__name__}: {text_of(error)}"
        outcome = judged(delivery, error, self.retry, self._return_exchange, explanation)
        if isinstance(outcome, DeadLetter):
            logger.error(
                "%s failed on event %s (attempt %d of %d); it is %s",
                self._name, event.event_id, outcome.attempts, self.retry.attempts, self._fate, exc_info=error,
            )  # fmt: skip
            self.counts.dead_lettered += 1
            return outcome
        self.counts.retried += 1
        if postponement_of(error) is not None:
            logger.info(
                "%s postponed event %s by %g s (for the %d. time)",
                self._name, event.event_id, outcome.delay_seconds, outcome.postponements,
            )  # fmt: skip
        else:
            logger.warning(
                "%s failed on event %s (attempt %d of %d), the next is in about %g s: %s",
                self._name, event.event_id, outcome.attempts, self.retry.attempts, outcome.delay_seconds,
                explanation[:200],
            )  # fmt: skip
        return outcome

    def _refuse(self, reason: str, explanation: str) -> DeadLetter:
        logger.warning("%s: a message is %s (%s): %s", self._name, self._fate, reason, explanation[:200])
        self.counts.dead_lettered += 1
        return DeadLetter(reason, explanation)


def text_of(error: BaseException) -> str:
    """Return what an exception of a user's says."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 -- a subscriber's own __str__: one that raises must not cost the worker
        return "(its text cannot be had: __str__ raised)"


def _reason_of(error: Discard) -> str:
    try:
        return str(error.reason)
    except Exception:  # noqa: BLE001 -- a subclass that skipped our __init__ has no reason, or one without a text
        return text_of(error)
