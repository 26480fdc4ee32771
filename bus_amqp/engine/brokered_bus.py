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
from bus_amqp.consume.handling import caused_by, current_event, current_subscription
from bus_amqp.engine.lifetime import FAREWELL_SECONDS, close_at_exit, wait_for_signal
from bus_amqp.engine.options import checked_options
from bus_amqp.engine.subscriptions import Subscriptions
from bus_amqp.errors import (
    BusClosedError,
    DeadlineExceededError,
    EventBusException,
    InvalidArgumentError,
    UndeliveredError,
    UnknownSubscriptionError,
)
from bus_amqp.event import Event
from bus_amqp.health import BusState, Health, PublisherHealth, Stats, worst_state
from bus_amqp.ioloop.control import Control
from bus_amqp.ioloop.loop import Loop
from bus_amqp.ioloop.service import AsyncLoop, Caller, start_thread
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.publish.publisher import Publisher
from bus_amqp.receipt import Receipt
from bus_amqp.settings import Settings
from bus_amqp.subscriber import Declared, SubscriberLike, Subscribers, SubscriptionOptions, topics_of
from bus_amqp.topic import EventTopic
from bus_amqp.topology.plan import publisher_plan
from bus_amqp.transport.base import Connector
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import Message

logger = logging.getLogger("bus_amqp")


class BrokeredBus(EventBus):
    """Every public method may be called from any thread.  The lock makes closing happen once."""

    def __init__(self, connectors: Sequence[Connector], settings: Settings, *, release: Callable[[], None]) -> None:
        self._settings = settings
        self._release = release  # gives back what the connectors hold, after the last connection is closed
        self._publish_timeout_seconds = settings.publisher.publish_timeout_seconds
        self._max_event_bytes = settings.publisher.max_event_bytes
        self._outbox = Outbox(settings.publisher.outbox_events, settings.publisher.outbox_bytes)
        self._callbacks = Caller("bus-callback")
        self._run_callback = self._callbacks.call  # bound once, not once per receipt
        self._listeners: list[Callable[[Receipt], object]] = []  # appended by callers, read by the publisher thread
        self._publisher = Publisher(
            self._outbox,
            window=settings.publisher.confirm_window,
            plan=publisher_plan(settings.exchange) if settings.declare else None,
            on_failed=self._tell_failed,
            on_exchange_gone=lambda: self._subscriptions.restore_bindings(),
        )
        backoff = partial(Backoff, ceiling_seconds=settings.connection.reconnect_pause_seconds)
        self._publish_loop = Loop("publisher", connectors, backoff=backoff)
        self._consume_loop = Loop("consumer", connectors, backoff=backoff)
        self._control = Control(connectors, backoff=backoff)
        self._async_loop = AsyncLoop()
        self._subscriptions = Subscriptions(
            settings, self._control, self._consume_loop, self._async_loop, self._republish
        )
        self._lock = threading.Lock()
        self._is_closing = False  # guarded by _lock; read without it
        self._closed = threading.Event()  # nothing is accepted any more
        self._ended = threading.Event()  # and no thread is left
        self._finalizer = close_at_exit(self)

    def __repr__(self) -> str:
        return f"<EventBus {self.state} {self._settings.exchange!r} {self._outbox!r}>"

    def start(self, *, timeout_seconds: float, require_broker: bool) -> None:
        """Start the publisher; with ``require_broker`` wait for it and raise why it is not open."""
        self._publish_loop.start(self._publisher)
        if not require_broker:
            return
        error = self._publish_loop.wait_open(timeout_seconds)
        if error is not None:
            self.close(0)
            raise error

    # -- publishing

    def publish(self, event: Event, *, mandatory: bool = False) -> Receipt:
        entry = self._entry(event, mandatory=mandatory)
        if self._outbox.put(entry, self._publish_timeout_seconds):
            self._publish_loop.wake()
        return entry.receipt

    def publish_many(self, events: Iterable[Event], *, mandatory: bool = False) -> Sequence[Receipt]:
        entries = [self._entry(event, mandatory=mandatory) for event in events]
        if not entries and self._closed.is_set():
            raise BusClosedError("the bus is closed: nothing can be published any more")
        if entries and self._outbox.put_many(entries, self._publish_timeout_seconds):
            self._publish_loop.wake()
        return [entry.receipt for entry in entries]

    def _entry(self, event: Event, *, mandatory: bool) -> Entry:
        if self._closed.is_set():
            raise BusClosedError("the bus is closed: nothing can be published any more")
        cause = current_event.get()
        if cause is not None and isinstance(event, Event):
            event = caused_by(event, cause)
        message = encode(event, max_event_bytes=self._max_event_bytes)
        message.mandatory = mandatory
        return Entry(message, Receipt(self._run_callback, event.event_id))

    def _republish(self, message: Message, on_done: Callable[[EventBusException | None], None]) -> None:
        """Send a copy of a delivery; ``on_done`` hears on the publisher thread why it is not stored, or None."""
        receipt = Receipt(_call)
        receipt.add_done_callback(lambda settled: on_done(settled.exception(0)))
        if self._outbox.put_copy(Entry(message, receipt)):
            self._publish_loop.wake()

    def on_failed(self, function: Callable[[Receipt], object]) -> None:
        self._check_open()
        if not callable(function):
            raise InvalidArgumentError(f"on_failed takes a function of a receipt, not {function!r}")
        self._listeners.append(function)

    def _tell_failed(self, entry: Entry) -> None:
        if not self._listeners and not self._closed.is_set():  # close raises with the number of all
            logger.warning("event %s was not published: %s", entry.message.message_id, entry.receipt.exception(0))
        for listener in tuple(self._listeners):
            self._callbacks.call(partial(listener, entry.receipt))

    # -- subscribing

    def subscribe(
        self,
        topic: EventTopic | Sequence[EventTopic],
        subscriber: SubscriberLike,
        *,
        group: str | None = None,
        ordered: bool = False,
        workers: int = 1,
        prefetch: int | None = None,
    ) -> UUID:
        self._check_open()
        options = SubscriptionOptions(group=group, ordered=ordered, workers=workers, prefetch=prefetch)
        return self._subscriptions.subscribe(Declared(topics_of(topic), subscriber, checked_options(options)))

    def subscribe_all(self, subscribers: Subscribers) -> Sequence[UUID]:
        self._check_open()
        if not isinstance(subscribers, Subscribers):
            raise InvalidArgumentError(f"subscribe_all takes Subscribers, not {type(subscribers).__name__}")
        for declared in subscribers:
            checked_options(declared.options)
        made: list[UUID] = []
        try:
            for declared in subscribers:
                made.append(self._subscriptions.subscribe(declared))  # noqa: PERF401 -- each may fail half-way
        except BaseException as exc:
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
        states = [self._publish_loop.state]
        if self._subscriptions.is_started:
            states.append(self._consume_loop.state)
        return worst_state(states)

    def health(self) -> Health:
        publisher = PublisherHealth(
            self._publish_loop.state,
            waiting=self._outbox.open_events,
            waiting_bytes=self._outbox.open_bytes,
            reason=self._publish_loop.reason,
        )
        return Health(self.state, self._publish_loop.broker, publisher, self._subscriptions.health())

    def stats(self) -> Stats:
        counts = self._publisher.counts
        return Stats(
            accepted=self._outbox.accepted,
            confirmed=counts.confirmed,
            failed=counts.failed,
            resent=counts.resent,
            waiting=self._outbox.open_events,
            waiting_bytes=self._outbox.open_bytes,
            reconnects=self._publish_loop.reconnects + self._consume_loop.reconnects,
            subscriptions=self._subscriptions.stats(),
        )

    # -- ending

    def flush(self, timeout_seconds: float = 30) -> None:
        self._check_not_closed()
        count = self._outbox.wait_settled(timeout_seconds)
        if count:
            raise UndeliveredError(
                f"{count} events are not confirmed after {timeout_seconds} s ({self._why_not_sent()}); "
                "they stay in the outbox",
                count=count,
            )

    def _why_not_sent(self) -> str:
        reason = self._publish_loop.reason
        return f"{self._publish_loop.state}{f': {reason}' if reason else ''}"

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
            self._publish_loop.stop()
            reason = ""
            if not self._publish_loop.join(deadline - time.monotonic()):
                reason = self._why_not_sent()  # now: the state of an ended loop says nothing
                self._publish_loop.stop(at_once=True)
                self._publish_loop.join(self._settings.connection.connect_timeout_seconds + FAREWELL_SECONDS)
            self._outbox.close()
            count = self._publisher.fail_all(BusClosedError("the bus was closed before this event could be sent"))
        finally:
            self._closed.set()
            self._control.close(self._settings.connection.connect_timeout_seconds + FAREWELL_SECONDS)
            self._async_loop.close(1.0)
            self._callbacks.close(1.0)
            self._release()
            atexit.unregister(self._finalizer)
            self._ended.set()
        if count:
            late.insert(0, f"{count} events could not be sent in {timeout_seconds} s ({reason})")
            raise UndeliveredError("; ".join(late), count=count)
        if late:
            raise DeadlineExceededError("; ".join(late))

    def run_until_signal(self) -> None:
        wait_for_signal(self._ended)
        self.close()

    def _check_not_closed(self) -> None:
        # While the bus is closing, handlers that are finishing may still flush, unsubscribe and publish.
        if self._closed.is_set():
            raise BusClosedError("the bus is closed")

    def _check_open(self) -> None:
        if self._is_closing:
            raise BusClosedError("the bus is closed")


def _call(function: Callable[[], None]) -> None:
    function()
