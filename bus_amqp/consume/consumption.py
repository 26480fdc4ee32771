"""``Consumption``: one subscription at work, from its queue to its workers."""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from uuid import UUID

from bus_amqp.backoff import Backoff
from bus_amqp.consume.audit import Audit, Situation
from bus_amqp.consume.caution import Caution
from bus_amqp.consume.copying import Copying, Postpone, Republish
from bus_amqp.consume.dead_letter import NOWHERE, DeadLetter, DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.handled import HandledEvents
from bus_amqp.consume.handler_watch import HandlerWatch
from bus_amqp.consume.outage import Outage
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.health import Gap, SubscriptionHealth
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.channel import ConsumeChannel
from bus_amqp.wire.message import Delivery

logger = logging.getLogger("bus_amqp.consume")
PARTING_SECONDS = 0.2  # enough to close a channel
MOST_ACKNOWLEDGED = 4096  # kept until the session ends; the broker can have missed no more than the prefetch


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
    deadline: float = math.inf  # monotonic; of who waits for it

    @property
    def due_at(self) -> float:
        """When to do it (monotonic): acknowledgements on their way to a quorum queue can be lost by a close."""
        one = self.consumption
        if one.channel is None or not one.plan.has_quorum_queue(one.queue):
            return -math.inf
        return min(self.deadline - PARTING_SECONDS, one.channel.settled_at)


@dataclass(frozen=True, slots=True)
class Audited:
    """Letter: somebody has looked at the queue (``state`` None: it is not there), or could not.

    ``session``: the one that was consuming when the look was asked for.
    """

    consumption: Consumption
    session: int
    state: QueueState | None = None
    error: Exception | None = None


Letter = Attach | RestoreFailed | Detach | Audited


class Consumption:
    """Owns the dispatcher and the channel of one subscription.

    ``channel``, ``outage`` and the health fields are written by the consumer thread; health fields are read by
    any.  Workers call ``accept``, ``was_handled``, ``settle_soon``, ``dead_letter``, ``retry``, ``keep`` and
    ``give_back``.
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
        postpone: Postpone,
        audit: Audit | None = None,
        caution: Caution | None = None,
        watch: HandlerWatch | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
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
        # Workers append, the consumer thread takes; deques do both atomically.
        self._handled: deque[tuple[int, Delivery]] = deque()  # session, and what its subscriber is done with
        self._accepted: deque[tuple[int, int]] = deque()  # session and tag: a copy of it is stored
        self._discarded: deque[tuple[int, int]] = deque()  # session and tag
        # Consumer thread: the last acknowledgements of this session, of which the broker may have missed some.
        self._acknowledged: deque[Delivery] = deque(maxlen=min(prefetch, MOST_ACKNOWLEDGED))
        self._handled_before = HandledEvents()
        self.audit = audit or Audit()
        self.audit_at: float | None = None  # monotonic; consumer thread
        self.caution = caution or Caution()
        self.watch = watch or HandlerWatch()
        self._session = dispatcher.session  # by the consumer thread; read by workers, for each event
        self.unsettled = 0  # of this session, as the broker counts; consumer thread
        self.outage = Outage(backoff)
        self.delivered = 0
        self._delivered_before = 0  # what of it came in sessions before this one; consumer thread
        self.reason = "not consuming yet"
        self.gaps: tuple[Gap, ...] = ()
        self.unreported_gap: Gap | None = None  # of a repair that ended before it was consuming
        self._post = post
        self._wake = wake
        self._copying = Copying(queue, address, republish, postpone, self._copied, self.give_back, uniform=uniform)

    def __repr__(self) -> str:
        state = "consuming" if self.channel is not None else self.reason
        return f"<Consumption {self.queue} {state} {self.dispatcher!r}>"

    def move(self, queue: str, plan: Plan) -> None:
        """Consume from another queue from now on.  On the control thread, while there is no session."""
        self.address = replace(self.address, queue=queue)
        self._copying.queue, self._copying.address = queue, self.address
        self.queue, self.plan = queue, plan

    def accept(self, session: int, delivery: Delivery) -> None:
        """Have a handled delivery acknowledged at the consumer's next turn.  On a worker; costs no lock and no wake."""
        if session == self._session:
            self._handled.append((session, delivery))
        else:  # at once: its second copy may be what this worker takes next
            self._handled_before.remember((delivery,))

    def was_handled(self, delivery: Delivery) -> bool:
        """Return whether a redelivered event has succeeded here, in a session that ended before the broker knew."""
        return self._handled_before.knows(delivery)

    def settle_soon(self) -> None:
        """Have that turn come now.  On a worker."""
        self._wake()

    def dead_letter(self, session: int, delivery: Delivery, letter: DeadLetter) -> None:
        """Have a delivery copied, then acknowledged.  On a worker.

        A body that was discarded for its size cannot be copied: the broker's own dead-lettering (if any) moves it.
        """
        if delivery.body is None or self.address.exchange == NOWHERE:
            self._discarded.append((session, delivery.tag))
            return
        self._copying.dead_letter(session, delivery, letter)

    def retry(self, session: int, delivery: Delivery, chance: SecondChance) -> None:
        """Have a delivery copied to where it waits for its next attempt, then acknowledged.  On a worker."""
        self._copying.retry(session, delivery, chance)

    def keep(self, delivery: Delivery, chance: SecondChance) -> float:
        """Note the failure in a delivery that stays in hand; return the seconds to its next attempt.  On a worker."""
        return self._copying.keep(delivery, chance)

    def _copied(self, session: int, tag: int) -> None:
        """Have an original acknowledged.  On the publisher thread."""
        self._accepted.append((session, tag))
        self._wake()

    def give_back(self, session: int, error: Exception) -> None:
        """Have the session ended, so that the broker delivers again what is not settled.  Any thread."""
        self._post(RestoreFailed(self, error, session))

    @property
    def prefetch_now(self) -> int:
        """How many events the next session may have in hand."""
        return 1 if self.caution.is_careful else self.prefetch

    def received(self, deliveries: Sequence[Delivery]) -> bool:
        """Count a batch and hand it to the workers.  False: the session has to begin anew, with care."""
        if self.caution.is_watching and self.caution.look(deliveries):
            return False
        self.delivered += len(deliveries)
        self.unsettled += len(deliveries)
        self.dispatcher.submit(deliveries)
        return True

    def situation(self) -> Situation:
        """Return what the audit has to know.  Consumer thread."""
        is_active = self.delivered > self._delivered_before
        return Situation(self.delivered, self.unsettled, self.prefetch_now, is_active=is_active)

    def began(self, channel: ConsumeChannel) -> None:
        """Note that the broker delivers."""
        self.channel = channel
        self.audit.began()
        self.outage.over()
        self.reason = ""
        self._delivered_before = self.delivered

    def report_gap(self, gap: Gap) -> None:
        """Tell of a time without queue or bindings, and remember it; the last ten are kept."""
        self.unreported_gap = None
        self.gaps = (*self.gaps[-9:], gap)
        logger.warning("%s was unbound from %s to %s: events of that time are lost", self.queue, gap.since, gap.until)

    def ended(self, reason: str) -> None:
        """Note that the broker does not deliver any more; what was not started is forgotten."""
        self.outage.begin(was_consuming=self.channel is not None)
        self.channel = None
        self.reason = reason
        self.dispatcher.begin_session()
        self._session = self.dispatcher.session
        self.unsettled = 0
        self._handled_before.remember(self._acknowledged)
        self._acknowledged.clear()
        self._take_handled()

    def settle(self) -> None:
        """Send the settlements that have gathered, in as few frames as possible.  Consumer thread."""
        channel = self.channel
        if channel is None:
            return  # what has gathered belongs to sessions that are over, and is dropped by the next one
        tags = [delivery.tag for delivery in self._take_handled()] if self._handled else []
        if self._accepted:
            tags += self._take(self._accepted)
        if tags:
            self.unsettled -= len(tags)
            channel.accept(tags)
        if self._discarded and (tags := self._take(self._discarded)):
            self.unsettled -= len(tags)
            channel.discard(tags)

    def _take_handled(self) -> list[Delivery]:
        """Take what is to be acknowledged, and remember it: the broker may never read the acknowledgement."""
        current = self.dispatcher.session
        handled = self._handled
        taken = [handled.popleft() for _ in range(len(handled))]
        deliveries = [delivery for session, delivery in taken if session == current]
        if len(deliveries) < len(taken):
            self._handled_before.remember(delivery for session, delivery in taken if session != current)
        for delivery in deliveries:
            delivery.body = b""  # only its properties will be asked for, and a prefetch of large events is much memory
        self._acknowledged.extend(deliveries)
        return deliveries

    def _take(self, settled: deque[tuple[int, int]]) -> list[int]:
        current = self.dispatcher.session
        taken = [settled.popleft() for _ in range(len(settled))]
        # A tag of an older session is another message's tag now, or nobody's: the broker delivers again.
        return [tag for session, tag in taken if session == current]

    def health(self) -> SubscriptionHealth:
        """Describe the subscription.  Any thread."""
        why_still = self.dispatcher.why_still
        return SubscriptionHealth(
            self.subscription_id,
            self.queue,
            is_consuming=self.channel is not None and not why_still,
            running=self.dispatcher.running,
            waiting=self.dispatcher.waiting,
            reason=self.reason or why_still,
            gaps=self.gaps,
            backlog=self.audit.backlog,
            audited_at=self.audit.looked_at,
            slow_handlers=self.watch.slow,
            warnings=tuple(self._warnings()),
        )

    def _warnings(self) -> Iterator[str]:
        yield from self.audit.warnings()
        if self.watch.slow:
            yield f"{self.watch.slow} handlers run for longer than {self.watch.timeout_seconds:g} s"
        if self.caution.is_careful:
            yield "takes one event at a time: the first were delivered so often that one may crash its process"
