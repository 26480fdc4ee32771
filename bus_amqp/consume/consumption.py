"""``Consumption``: one subscription at work, from its queue to its workers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from uuid import UUID

from bus_amqp.backoff import Backoff
from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.errors import EventBusException, TransportError
from bus_amqp.health import Gap, SubscriptionHealth
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.channel import ConsumeChannel
from bus_amqp.wire.message import Delivery, Message

# Sends a copy; the callback gets why it could not be stored, None: it was.
Republish = Callable[[Message, Callable[[EventBusException | None], None]], None]

# A channel that lived so long was a success.  One that ends sooner may have met the same poison message again.
STABLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Attach:
    """Letter: the queue is there, consume from it.  ``gap``: it, or its bindings, had to be made anew."""

    consumption: Consumption
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class RestoreFailed:
    """Letter: the queue could not be made, or a session has to end; try again later.

    ``session``: whose copy could not be stored, or whose worker failed; None: it is about the queue.
    """

    consumption: Consumption
    error: Exception
    session: int | None = None


@dataclass(frozen=True, slots=True)
class Detach:
    """Letter: nothing is in hand any more; settle, close the channel and forget the subscription."""

    consumption: Consumption


Letter = Attach | RestoreFailed | Detach


class Consumption:
    """Owns the dispatcher and the channel of one subscription.

    ``channel``, ``retry_at`` and the health fields are written by the consumer thread; health fields are read by
    any.  Workers call ``accept``, ``settle_soon``, ``dead_letter`` and ``give_back``.
    """

    def __init__(
        self,
        subscription_id: UUID,
        *,
        queue: str,
        plan: Plan,
        prefetch: int,
        dispatcher: Dispatcher,
        address: DeadLetterAddress,
        post: Callable[[Letter], None],
        wake: Callable[[], None],
        backoff: Backoff,
        republish: Republish,
    ) -> None:
        self.subscription_id = subscription_id
        self.queue = queue
        self.plan = plan
        self.prefetch = prefetch
        self.dispatcher = dispatcher
        self.address = address
        self.attached: Future[None] = Future()  # resolved once, by the first success or failure
        self.detached: Future[None] = Future()
        self.channel: ConsumeChannel | None = None
        # Workers append (session, tag), the consumer thread takes; deques do both atomically.
        self._accepted: deque[tuple[int, int]] = deque()
        self._discarded: deque[tuple[int, int]] = deque()
        self.backoff = backoff
        self.retry_at: float | None = None  # monotonic
        self.delivered = 0
        self.reason = "not consuming yet"
        self.gaps: tuple[Gap, ...] = ()
        self.unreported_gap: Gap | None = None  # of a repair that ended before it was consuming
        self.lost_at: float | None = None  # epoch seconds
        self._began_at = 0.0  # monotonic; consumer thread
        self._post = post
        self._wake = wake
        self._republish = republish

    def __repr__(self) -> str:
        state = "consuming" if self.channel is not None else self.reason
        return f"<Consumption {self.queue} {state} {self.dispatcher!r}>"

    def accept(self, session: int, tag: int) -> None:
        """Have a delivery acknowledged at the consumer's next turn.  On a worker; costs no lock and no wake."""
        self._accepted.append((session, tag))

    def settle_soon(self) -> None:
        """Have that turn come now.  On a worker."""
        self._wake()

    def dead_letter(self, session: int, delivery: Delivery, letter: DeadLetter) -> None:
        """Have a delivery copied, then acknowledged.  On a worker.

        A body that was discarded for its size cannot be copied: the broker's own dead-lettering moves the whole.
        """
        if delivery.body is None:
            self._discarded.append((session, delivery.tag))
            return

        def stored(error: EventBusException | None) -> None:  # on the publisher thread
            if error is None:
                self._accepted.append((session, delivery.tag))
                self._wake()
            else:  # was the dead-letter queue deleted?  It is made again, and the original delivered again
                self.give_back(session, TransportError(f"a copy for the dead-letter queue was not stored: {error}"))

        self._republish(dead_letter_message(delivery, letter, self.address), stored)

    def give_back(self, session: int, error: Exception) -> None:
        """Have the session ended, so that the broker delivers again what is not settled.  Any thread."""
        self._post(RestoreFailed(self, error, session))

    def began(self, channel: ConsumeChannel) -> None:
        """Note that the broker delivers."""
        self.channel = channel
        self.retry_at = None
        self.reason = ""
        self.lost_at = None
        self._began_at = time.monotonic()

    def note_gap(self, gap: Gap) -> None:
        """Remember a time without queue or bindings; the last ten are kept."""
        self.unreported_gap = None
        self.gaps = (*self.gaps[-9:], gap)

    def ended(self, reason: str) -> None:
        """Note that the broker does not deliver any more; what was not started is forgotten."""
        if self.channel is not None and time.monotonic() - self._began_at > STABLE_SECONDS:
            self.backoff.reset()
        self.channel = None
        self.reason = reason
        self.lost_at = self.lost_at or time.time()
        self.dispatcher.begin_session()

    def settle(self) -> None:
        """Send the settlements that have gathered, in as few frames as possible.  Consumer thread."""
        channel = self.channel
        if channel is None:
            return  # what has gathered belongs to sessions that are over, and is dropped by the next one
        if self._accepted and (tags := self._take(self._accepted)):
            channel.accept(tags)
        if self._discarded and (tags := self._take(self._discarded)):
            channel.discard(tags)

    def _take(self, settled: deque[tuple[int, int]]) -> list[int]:
        current = self.dispatcher.session
        taken = [settled.popleft() for _ in range(len(settled))]
        # A tag of an older session is another message's tag now, or nobody's: the broker delivers again.
        return [tag for session, tag in taken if session == current]

    def health(self) -> SubscriptionHealth:
        """Describe the subscription.  Any thread."""
        return SubscriptionHealth(
            self.subscription_id,
            self.queue,
            is_consuming=self.channel is not None,
            running=self.dispatcher.running,
            waiting=self.dispatcher.waiting,
            reason=self.reason,
            gaps=self.gaps,
        )


def earliest(moments: Iterable[float | None]) -> float | None:
    """Return the earliest moment that is set."""
    return min((moment for moment in moments if moment is not None), default=None)
