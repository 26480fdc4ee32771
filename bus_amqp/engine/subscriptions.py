"""``Subscriptions``: makes, restores and ends the subscriptions of a bus.

Called on callers' threads.  Declares through ``Control``, consumes through ``Consumer``; starts the consumer's
loop with the first subscription, so that a process that only publishes has one connection and one thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from bus_amqp.consume.consumer import IDLE_SECONDS, Consumer
from bus_amqp.consume.consumption import Attach, Audited, Consumption, Detach, RestoreFailed
from bus_amqp.consume.copying import Republish
from bus_amqp.consume.handling import current_subscription
from bus_amqp.engine.building import SubscriptionBuilder
from bus_amqp.engine.ladder import Ladder
from bus_amqp.engine.options import check_same_group
from bus_amqp.engine.subscription import Subscription, declare_again, look_after, rebind, stats_of
from bus_amqp.errors import (
    BusClosedError,
    ConnectionLostError,
    DeadlineExceededError,
    EventBusException,
    UnknownSubscriptionError,
)
from bus_amqp.health import Gap, SubscriptionHealth, SubscriptionStats
from bus_amqp.ioloop.control import Control
from bus_amqp.ioloop.loop import Loop
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.sections import ConsumerSettings
from bus_amqp.settings import Settings
from bus_amqp.subscriber import Declared, SubscriberLike
from bus_amqp.transport.base import Connection, QueueState

logger = logging.getLogger("bus_amqp.consume")


class Subscriptions:
    """Owns the registry.  The lock keeps "is that group taken" and "take it" one step; nothing is called under it."""

    def __init__(
        self, settings: Settings, control: Control, loop: Loop, async_loop: AsyncLoop, republish: Republish
    ) -> None:
        self._settings = settings
        self._control = control
        self._loop = loop
        self._async_loop = async_loop
        self._lock = threading.Lock()
        self._registry: dict[UUID, Subscription] = {}  # guarded by _lock
        self._ending: dict[UUID, Subscription] = {}  # unsubscribed, and not detached yet; guarded by _lock
        self._is_loop_started = False  # guarded by _lock
        self._is_closed = False  # guarded by _lock
        self._restoring: set[UUID] = set()  # asked for: the consumer thread adds, the control thread discards
        self._consumer = Consumer(
            loop.wake,
            self._restore,
            self._inspect,
            audit_seconds=settings.consumer.audit_seconds,
            look_seconds=look_seconds(settings.consumer),
        )
        self._builder = SubscriptionBuilder(
            settings,
            async_loop,
            post=self._consumer.post,
            wake=loop.wake,
            republish=republish,
            postpone=Ladder(settings, control, republish).postpone,
        )

    def __repr__(self) -> str:
        return f"<Subscriptions {len(self._registry)} {self._consumer!r}>"

    def subscribe(self, declared: Declared) -> UUID:
        """Make a subscription; return its id once it is consuming."""
        subscription = self._register(declared)
        consumption = subscription.consumption
        timeout_seconds = self._settings.connection.connect_timeout_seconds
        deadline = time.monotonic() + timeout_seconds
        try:
            if self._settings.declare and not consumption.plan.is_exclusive:
                self._control.run(lambda connection: connection.declare(consumption.plan), timeout_seconds)
            subscription.workers.start()
            self._consumer.post(Attach(consumption))
            consumption.attached.result(max(0.1, deadline - time.monotonic()))
        except BaseException as exc:  # Ctrl-C in a caller that waits, too: nobody would know its id
            self._undo(subscription)
            if isinstance(exc, TimeoutError) and not isinstance(exc, EventBusException):
                why = self._loop.reason or "no answer"
                raise ConnectionLostError(
                    f"{consumption.queue} is not consuming after {timeout_seconds} s: {why}"
                ) from exc
            raise
        return consumption.subscription_id

    def _register(self, declared: Declared) -> Subscription:
        subscription = self._builder.build(declared)
        group = declared.options.group
        with self._lock:
            if self._is_closed:
                raise BusClosedError("the bus is closed")
            for other in self._registry.values():
                if group is not None and other.options.group == group:
                    check_same_group(group, other.topics, other.options, subscription.topics, subscription.options)
            self._registry[subscription.consumption.subscription_id] = subscription
            is_first, self._is_loop_started = not self._is_loop_started, True
        if is_first:
            self._loop.start(self._consumer)
        return subscription

    def _undo(self, subscription: Subscription) -> None:
        with self._lock:
            self._registry.pop(subscription.consumption.subscription_id, None)
        self._end(subscription, time.monotonic() + 1)
        subscription.workers.join(time.monotonic() + 1)

    def _restore(self, consumption: Consumption) -> None:
        """Have the queue declared again, then consume.  On the consumer thread; answers by letter.

        Once at a time: connections that come and go faster than the queue is declared would pile requests up.
        """
        if consumption.subscription_id in self._restoring:
            return  # its answer serves the connection of now as well
        if not self._settings.declare or consumption.plan.is_exclusive:
            self._consumer.post(Attach(consumption))
            return

        def answer(future: Future[Gap | None]) -> None:
            self._restoring.discard(consumption.subscription_id)
            error = future.exception()
            if error is None:
                self._consumer.post(Attach(consumption, future.result()))
            else:
                failure = error if isinstance(error, Exception) else RuntimeError(str(error))
                self._consumer.post(RestoreFailed(consumption, failure))

        try:
            future = self._control.submit(
                partial(declare_again, consumption),
                self._settings.connection.connect_timeout_seconds,
            )
        except EventBusException:
            return  # the bus is closing
        self._restoring.add(consumption.subscription_id)
        future.add_done_callback(answer)

    def _inspect(self, consumption: Consumption, session: int) -> bool:
        """Have the queue looked at.  On the consumer thread; True: answers by letter."""

        def answer(future: Future[QueueState | None]) -> None:
            error = future.exception()
            if error is None:
                self._consumer.post(Audited(consumption, session, future.result()))
            else:
                failure = error if isinstance(error, Exception) else RuntimeError(str(error))
                self._consumer.post(Audited(consumption, session, error=failure))

        try:
            future = self._control.submit(
                partial(look_after, consumption, is_declaring=self._settings.declare),
                self._settings.connection.connect_timeout_seconds,
                # A connection for each audit would be one for each consumer process and half-minute, for good.
                keep_seconds=2 * self._settings.consumer.audit_seconds,
            )
        except EventBusException:
            return False  # the bus is closing
        future.add_done_callback(answer)
        return True

    def restore_bindings(self, exchange: str) -> None:
        """Declare every subscription's objects again: an exchange was deleted, and its bindings with it.

        Empty: nobody knows which, so it may be that of the events.  Only its absence is a gap: with another one dead
        letters or retries had no way, and who sends those sends them again.
        """
        noticed_at = datetime.now(UTC) if exchange in ("", self._settings.exchange) else None
        with self._lock:
            consumptions = [subscription.consumption for subscription in self._registry.values()]
        if not self._settings.declare:
            return
        for consumption in (one for one in consumptions if not one.plan.is_exclusive):  # which is not bound to ours
            self._submit_quietly(partial(rebind, consumption, noticed_at, self._consumer.post))

    def is_ours(self, subscription_id: UUID | None) -> bool:
        """Return whether a callback of this subscription is one of this bus's."""
        with self._lock:
            return subscription_id in self._registry or subscription_id in self._ending

    def find(self, subscription_id: UUID, subscriber: SubscriberLike | None) -> Subscription:
        """Return a subscription.  Raises ``UnknownSubscriptionError``."""
        with self._lock:
            subscription = self._registry.get(subscription_id)
        if subscription is None:
            raise UnknownSubscriptionError(f"no subscription {subscription_id} on this bus (or it has ended)")
        if (
            subscriber is not None
            and subscriber is not subscription.subscriber
            and subscriber != subscription.subscriber
        ):
            raise UnknownSubscriptionError(
                f"subscription {subscription_id} belongs to {subscription.subscriber!r}, not to {subscriber!r}"
            )
        return subscription

    def unsubscribe(self, subscription: Subscription, deadline: float) -> None:
        """End one subscription.  From inside its own callback: return at once, the rest follows the callback."""
        with self._lock:
            if self._registry.pop(subscription.consumption.subscription_id, None) is None:
                raise UnknownSubscriptionError(f"subscription {subscription.consumption.subscription_id} has ended")
        self._end(subscription, deadline)
        is_inside = current_subscription.get() == subscription.consumption.subscription_id
        if is_inside or self._async_loop.is_current:
            return  # waiting here would be waiting for itself: what has to end needs this thread
        self._wait_ended(subscription, deadline)

    def _end(self, subscription: Subscription, deadline: float) -> None:
        consumption = subscription.consumption
        with self._lock:
            self._ending[consumption.subscription_id] = subscription

        def delete(_: Future[None]) -> None:  # on the consumer thread, once the channel is closed
            with self._lock:
                self._ending.pop(consumption.subscription_id, None)
            if subscription.options.group is None and self._settings.declare and not consumption.plan.is_exclusive:
                self._submit_quietly(lambda connection: connection.delete_queue(consumption.queue))

        consumption.detached.add_done_callback(delete)
        # The chain: nothing in hand -> settle and close the channel -> delete the queue.
        consumption.dispatcher.close(lambda: self._consumer.post(Detach(consumption, deadline)))

    def _submit_quietly(self, work: Callable[[Connection], None]) -> None:
        try:
            self._control.submit(work, self._settings.connection.connect_timeout_seconds)
        except (EventBusException, RuntimeError):  # closing, or the interpreter starts no threads any more
            logger.info("the bus is closing: a temporary queue may be left to expire on the broker")

    def _wait_ended(self, subscription: Subscription, deadline: float) -> None:
        consumption = subscription.consumption
        try:
            consumption.detached.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError as exc:
            if not consumption.dispatcher.running:
                raise DeadlineExceededError(
                    f"the broker did not hear in time that {consumption.queue} is consumed no more; no callback runs"
                ) from exc
            raise DeadlineExceededError(
                f"{consumption.dispatcher.running} events of {consumption.queue} are still in hand: a callback has not "
                "returned; no other will be started, and what was handled is settled when it does"
            ) from exc
        subscription.workers.join(deadline)

    def close(self, deadline: float) -> list[str]:
        """End all subscriptions and the consumer's connection; return what would not end in time."""
        with self._lock:
            self._is_closed = True
            subscriptions = list(self._registry.values())
            self._registry.clear()
            ending = list(self._ending.values())  # ended from inside their callbacks, or too slow for somebody
            is_started = self._is_loop_started
        for subscription in subscriptions:
            self._end(subscription, deadline)
        late = []
        for subscription in (*ending, *subscriptions):
            try:
                self._wait_ended(subscription, deadline)
            except DeadlineExceededError as exc:
                late.append(str(exc))
        if is_started:
            self._loop.stop(at_once=bool(late))
            self._loop.end(deadline - time.monotonic())
        return late

    def health(self) -> tuple[SubscriptionHealth, ...]:
        """Describe every subscription."""
        with self._lock:
            subscriptions = list(self._registry.values())
        return tuple(subscription.consumption.health() for subscription in subscriptions)

    def stats(self) -> dict[UUID, SubscriptionStats]:
        """Count for every subscription."""
        with self._lock:
            subscriptions = list(self._registry.items())
        return {subscription_id: stats_of(subscription) for subscription_id, subscription in subscriptions}

    @property
    def is_started(self) -> bool:
        """Whether there ever was a subscription, so that the consumer's connection counts."""
        return self._is_loop_started


def look_seconds(settings: ConsumerSettings) -> float:
    """Return how often the consumer has to look around, so that its audits and reports come about when they should."""
    shortest = min(settings.audit_seconds, settings.handler_timeout_seconds or settings.audit_seconds)
    return min(IDLE_SECONDS, shortest / 4)
