"""``BrokeredBus``: the ``EventBus`` over a broker; assembles outbox, publisher, subscriptions and control."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from uuid import UUID

from bus_amqp.backoff import Backoff
from bus_amqp.bus import EventBus
from bus_amqp.consume.handling import current_subscription
from bus_amqp.engine.forking import leave_to_parent, survive_forks
from bus_amqp.engine.lifetime import close_at_exit, until_signal
from bus_amqp.engine.options import checked
from bus_amqp.engine.publishing import Publishing
from bus_amqp.engine.subscriptions import Subscriptions
from bus_amqp.errors import (
    DeadlineExceededError,
    EventBusException,
    InvalidArgumentError,
    UndeliveredError,
    UnknownSubscriptionError,
)
from bus_amqp.event import Event
from bus_amqp.foreign import Encode
from bus_amqp.health import BusState, Health, Stats, worst_state
from bus_amqp.ioloop.control import Control
from bus_amqp.ioloop.loop import Loop
from bus_amqp.ioloop.service import AsyncLoop, start_thread
from bus_amqp.receipt import Receipt
from bus_amqp.retry import DEFAULT_RETRY, DefaultRetry, RetryPolicy
from bus_amqp.settings import Settings
from bus_amqp.subscriber import SubscriberLike, Subscribers, SubscriptionOptions, Wanted, declared
from bus_amqp.transport.base import Connector

logger = logging.getLogger("bus_amqp")

NO_BROKER_IN_CHILD = (
    "this memory:// bus belongs to the process that forked this one, and its broker with it: "
    "connect again here, for a broker of this process"
)


class BrokeredBus(EventBus):
    """Every public method may be called from any thread.  The lock makes closing happen once."""

    def __init__(
        self,
        connectors: Sequence[Connector],
        settings: Settings,
        *,
        release: Callable[[], None],
        connectors_in_child: Callable[[], Sequence[Connector]] | None = None,
        encoder: Encode | None = None,
    ) -> None:
        self._encoder = encoder  # None: our own format
        self._settings = settings
        self._release = release  # gives back what the connectors hold, after the last connection is closed
        self._connectors_in_child = connectors_in_child  # None: there is no way to the broker from another process
        self._assemble(connectors)
        self._finalizer = close_at_exit(self)
        survive_forks(self)

    def _assemble(self, connectors: Sequence[Connector]) -> None:
        settings = self._settings
        self._publishing = Publishing(
            connectors, settings, on_exchange_gone=self._restore_bindings, encoder=self._encoder
        )
        backoff = partial(Backoff, ceiling_seconds=settings.connection.reconnect_pause_seconds)
        self._consume_loop = Loop("consumer", connectors, backoff=backoff)
        self._control = Control(connectors, backoff=backoff)
        self._async_loop = AsyncLoop()
        self._subscriptions = Subscriptions(
            settings, self._control, self._consume_loop, self._async_loop, self._publishing.republish
        )
        self._lock = threading.Lock()
        self._is_closing = False  # guarded by _lock; read without it
        self._closed = self._publishing.closed  # nothing is accepted any more
        self._ended = threading.Event()  # and no thread is left

    def begin_in_child(self) -> None:
        """Be a bus of this process, which was forked; called before anything else happens in it."""
        leave_to_parent(self._publishing, self._subscriptions, self._consume_loop, self._control, self._async_loop)
        publishing, was_closing = self._publishing, self._is_closing
        why_closed = "" if was_closing or self._connectors_in_child is not None else NO_BROKER_IN_CHILD
        try:
            self._assemble(self._connectors_in_child() if self._connectors_in_child is not None else ())
        except EventBusException as exc:  # the outbox directory is gone, say
            why_closed = f"this bus cannot go on in a forked process: {exc}"
            publisher = self._settings.publisher.model_copy(update={"outbox_directory": None})
            self._settings = self._settings.model_copy(update={"publisher": publisher})
            self._assemble(())  # closed: what is the parent's must not be touched even then
        publishing.leave_to_parent(self._publishing)
        self._publishing.start_when_used()
        if was_closing or why_closed:
            self._publishing.why_closed = why_closed
            self._is_closing = True
            self._closed.set()
            self._ended.set()

    def __repr__(self) -> str:
        return f"<EventBus {self.state} {self._settings.exchange!r} {self._publishing.outbox!r}>"

    def start(self, *, timeout_seconds: float, require_broker: bool) -> None:
        """Start the publisher; with ``require_broker`` wait for it and raise why it is not open."""
        self._publishing.start(is_awaited=require_broker)
        if not require_broker:
            return
        error = self._publishing.wait_open(timeout_seconds)
        if error is not None:
            self.close(0)
            raise error

    def _restore_bindings(self, exchange: str) -> None:
        self._subscriptions.restore_bindings(exchange)

    # -- publishing

    def publish(self, event: Event[object], *, mandatory: bool = False) -> Receipt:
        return self._publishing.publish(event, mandatory=mandatory)

    def publish_many(self, events: Iterable[Event[object]], *, mandatory: bool = False) -> Sequence[Receipt]:
        return self._publishing.publish_many(events, mandatory=mandatory)

    def on_failed(self, function: Callable[[Receipt], object]) -> None:
        self._check_open()
        if not callable(function):
            raise InvalidArgumentError(f"on_failed takes a function of a receipt, not {function!r}")
        self._publishing.on_failed(function)

    # -- subscribing

    def subscribe(
        self,
        topic: Wanted,
        subscriber: SubscriberLike,
        *,
        group: str | None = None,
        ordered: bool = False,
        workers: int = 1,
        prefetch: int | None = None,
        retry: RetryPolicy | DefaultRetry = DEFAULT_RETRY,
    ) -> UUID:
        self._check_open()
        options = SubscriptionOptions(group=group, ordered=ordered, workers=workers, prefetch=prefetch, retry=retry)
        wanted = checked(declared(topic, subscriber, options))
        self._publishing.start()  # it runs already, except in a forked child
        return self._subscriptions.subscribe(wanted)

    def subscribe_all(self, subscribers: Subscribers) -> Sequence[UUID]:
        self._check_open()
        if not isinstance(subscribers, Subscribers):
            raise InvalidArgumentError(f"subscribe_all takes Subscribers, not {type(subscribers).__name__}")
        for one in subscribers:
            checked(one)
        self._publishing.start()
        made: list[UUID] = []
        try:
            for one in subscribers:
                made.append(self._subscriptions.subscribe(one))  # noqa: PERF401 -- each may fail half-way
        except BaseException as exc:  # all or none, whatever ended it
            for subscription_id in made:
                try:
                    self.unsubscribe(subscription_id)
                except EventBusException as late:  # the first error is the one to tell
                    exc.add_note(f"while undoing the others: {late}")
            raise
        return made

    def unsubscribe(
        self, subscription_id: UUID, subscriber: SubscriberLike | None = None, *, timeout_seconds: float = 30
    ) -> None:
        self._check_not_closed()
        try:
            subscription = self._subscriptions.find(subscription_id, subscriber)
        except UnknownSubscriptionError:
            if self._is_closing:
                return  # closing has ended it already; a handler that is finishing must not fail over that
            raise
        self._subscriptions.unsubscribe(subscription, time.monotonic() + timeout_seconds)

    # -- watching

    @property
    def state(self) -> BusState:
        if self._closed.is_set():
            return BusState.CLOSED
        states = [self._publishing.loop.state]
        if self._subscriptions.is_started:
            states.append(self._consume_loop.state)
        return worst_state(states)

    def health(self) -> Health:
        broker = self._publishing.loop.broker
        return Health(self.state, broker, self._publishing.health(), self._subscriptions.health())

    def stats(self) -> Stats:
        counts, outbox = self._publishing.counts, self._publishing.outbox
        return Stats(
            accepted=outbox.accepted,
            confirmed=counts.confirmed,
            failed=counts.failed,
            resent=counts.resent,
            waiting=outbox.open_events,
            waiting_bytes=outbox.open_bytes,
            reconnects=self._publishing.loop.reconnects + self._consume_loop.reconnects,
            subscriptions=self._subscriptions.stats(),
        )

    # -- ending

    def flush(self, timeout_seconds: float = 30) -> None:
        self._check_not_closed()
        self._publishing.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 30) -> None:
        with self._lock:
            is_first, self._is_closing = not self._is_closing, True
        is_inside = self._subscriptions.is_ours(current_subscription.get())
        if not is_first:
            if not is_inside:
                self._ended.wait(timeout_seconds)
            return
        if is_inside:
            # From a callback: closing waits for callbacks to end, so somebody else must do the waiting.
            start_thread("bus-closer", lambda: self._close_reporting(timeout_seconds))
            return
        self._close(timeout_seconds)

    def _close_reporting(self, timeout_seconds: float) -> None:
        try:
            self._close(timeout_seconds)
        except (UndeliveredError, DeadlineExceededError) as exc:
            logger.error("closing the bus: %s", exc)

    def _close(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        try:
            # Inbound before outbound: handlers that are finishing may still publish.
            late = self._subscriptions.close(deadline)
            self._closed.set()
            count, reason = self._publishing.finish(deadline - time.monotonic())
        finally:
            self._closed.set()
            longest = self._settings.connection.connect_timeout_seconds
            self._control.close(min(longest, deadline - time.monotonic()))
            self._async_loop.close(1.0)
            self._publishing.end_callbacks()
            self._release()
            atexit.unregister(self._finalizer)
            self._ended.set()
        if count:
            late.insert(0, f"{count} events could not be sent in {timeout_seconds} s ({reason})")
            raise UndeliveredError("; ".join(late), count=count)
        if late:
            raise DeadlineExceededError("; ".join(late))

    def run_until_signal(self) -> None:
        with until_signal(self._ended):
            self.close()

    def _check_not_closed(self) -> None:
        # While the bus is closing, handlers that are finishing may still flush, unsubscribe and publish.
        if self._closed.is_set():
            raise self._publishing.closed_error()

    def _check_open(self) -> None:
        if self._is_closing:
            raise self._publishing.closed_error()
