"""``Publishing``: the outbound half of a bus, from a caller's event to its receipt.

Assembles outbox, publisher and loop.  Called on callers' threads; a process that only publishes has one thread and
one connection, which are those of this half.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from bus_amqp.backoff import Backoff
from bus_amqp.cause import caused_by, current_event
from bus_amqp.engine.outboxes import make_outbox
from bus_amqp.errors import BusClosedError, EventBusException, ForkedProcessError, TransportError, UndeliveredError
from bus_amqp.event import Event
from bus_amqp.foreign import Encode
from bus_amqp.health import PublisherHealth
from bus_amqp.ioloop.loop import Loop
from bus_amqp.ioloop.service import Caller
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.publish.outcomes import PublisherCounts
from bus_amqp.publish.publisher import Publisher
from bus_amqp.receipt import Receipt, leave_receipts_to_parent
from bus_amqp.settings import Settings
from bus_amqp.topology.plan import publisher_plan
from bus_amqp.transport.base import Connector
from bus_amqp.wire.codec import encode
from bus_amqp.wire.foreign_encoding import ForeignEncoding
from bus_amqp.wire.message import Message

logger = logging.getLogger("bus_amqp")


class Publishing:
    """Owns the outbox, the publisher's loop and the thread of receipt callbacks."""

    def __init__(
        self,
        connectors: Sequence[Connector],
        settings: Settings,
        *,
        on_exchange_gone: Callable[[str], None],
        encoder: Encode | None = None,
    ) -> None:
        self._encode = encode if encoder is None else ForeignEncoding(encoder, settings.exchange)
        self._publish_timeout_seconds = settings.publisher.publish_timeout_seconds
        self._max_event_bytes = settings.publisher.max_event_bytes
        self._outbox = make_outbox(settings)
        self._starting = threading.Lock()  # two first uses at once must not start two threads
        self._is_started = False  # guarded by _starting
        self._callbacks = Caller("bus-callback")
        self._run_callback = self._callbacks.call  # bound once, not once per receipt
        self._listeners: list[Callable[[Receipt], object]] = []  # appended by callers, read by the publisher thread
        self._publisher = Publisher(
            self._outbox,
            window=settings.publisher.confirm_window,
            confirm_timeout_seconds=settings.publisher.confirm_timeout_seconds,
            plan=publisher_plan(settings.exchange) if settings.declare else None,
            on_failed=self._tell_failed,
            on_exchange_gone=on_exchange_gone,
        )
        backoff = partial(Backoff, ceiling_seconds=settings.connection.reconnect_pause_seconds)
        self.loop = Loop("publisher", connectors, backoff=backoff)
        self._wake: Callable[[], None] = self.loop.wake
        self.closed = threading.Event()  # set by the bus when nothing more is accepted; read by any thread
        self.why_closed = ""  # set by the bus in a forked child that cannot have it

    def __repr__(self) -> str:
        return f"<Publishing {self.loop!r} {self._outbox!r}>"

    def start(self, *, is_awaited: bool = False) -> None:
        """Start the publisher's thread, unless it runs; ``is_awaited``: ``wait_open`` is next, and tells a refusal."""
        with self._starting:
            is_first, self._is_started = not self._is_started, True
        if is_first:
            self.loop.start(self._publisher, is_awaited=is_awaited)

    def start_when_used(self) -> None:
        """Leave the start to the first event: a process that publishes nothing needs no connection."""
        self._outbox.arm_wake()
        self._wake = self._start_and_wake

    def _start_and_wake(self) -> None:
        self._wake = self.loop.wake
        self.start()
        self.loop.wake()

    def leave_to_parent(self, child: Publishing) -> None:
        """Give up everything to the parent process; ``child`` takes over here.  Takes no lock."""
        leave_receipts_to_parent(self._run_callback)
        child._listeners.extend(self._listeners)
        if (abandon := getattr(self._outbox, "abandon_after_fork", None)) is not None:
            abandon()  # an outbox with a file: its handles are the parent's

    def closed_error(self) -> BusClosedError:
        """Return what to raise once nothing is accepted any more."""
        if self.why_closed:
            return ForkedProcessError(self.why_closed)
        return BusClosedError("the bus is closed: nothing can be done with it any more")

    def wait_open(self, timeout_seconds: float) -> TransportError | None:
        """Wait until there is a connection; return why there is none."""
        return self.loop.wait_open(timeout_seconds)

    def publish(self, event: Event[object], *, mandatory: bool) -> Receipt:
        """Accept one event."""
        entry = self._entry(event, mandatory=mandatory)
        if self._outbox.put(entry, self._publish_timeout_seconds):
            self._wake()
        return entry.receipt

    def publish_many(self, events: Iterable[Event[object]], *, mandatory: bool) -> Sequence[Receipt]:
        """Accept all events or none."""
        entries = [self._entry(event, mandatory=mandatory) for event in events]
        if not entries and self.closed.is_set():
            raise self.closed_error()
        if entries and self._outbox.put_many(entries, self._publish_timeout_seconds):
            self._wake()
        return [entry.receipt for entry in entries]

    def _entry(self, event: Event[object], *, mandatory: bool) -> Entry:
        if self.closed.is_set():
            raise self.closed_error()
        cause = current_event.get()
        if cause is not None and isinstance(event, Event):
            event = caused_by(event, cause)
        message = self._encode(event, max_event_bytes=self._max_event_bytes)
        message.mandatory = mandatory
        return Entry(message, Receipt(self._run_callback, event.event_id))

    def republish(self, message: Message, on_done: Callable[[EventBusException | None], None]) -> None:
        """Send a copy of a delivery; ``on_done`` hears on the publisher thread why it is not stored, or None."""
        receipt = Receipt(_call)
        receipt.add_done_callback(lambda settled: on_done(settled.exception(0)))
        if self._outbox.put_copy(Entry(message, receipt)):
            self._wake()

    def on_failed(self, function: Callable[[Receipt], object]) -> None:
        """Tell this function of every event that fails for good, on the callback thread."""
        self._listeners.append(function)

    def _tell_failed(self, entry: Entry) -> None:
        if not self._listeners and not self.closed.is_set():  # close raises with the number of all
            logger.warning("event %s was not published: %s", entry.message.message_id, entry.receipt.exception(0))
        for listener in tuple(self._listeners):
            self._callbacks.call(partial(listener, entry.receipt))

    @property
    def counts(self) -> PublisherCounts:
        """What the publisher has counted."""
        return self._publisher.counts

    @property
    def outbox(self) -> Outbox:
        """The outbox, to be looked at."""
        return self._outbox

    def health(self) -> PublisherHealth:
        """Tell whether publishing works."""
        return PublisherHealth(
            self.loop.state,
            waiting=self._outbox.open_events,
            waiting_bytes=self._outbox.open_bytes,
            reason=self._reason,
            outbox=self._outbox.health(),
        )

    def flush(self, timeout_seconds: float) -> None:
        """Wait until what is accepted now is settled.  Raises ``UndeliveredError`` with the number that is not."""
        count = self._outbox.wait_settled(timeout_seconds)
        if count:
            raise UndeliveredError(
                f"{count} events are not confirmed after {timeout_seconds} s ({self._why_not_sent()}); "
                "they stay in the outbox",
                count=count,
            )

    @property
    def _reason(self) -> str:
        return self.loop.reason or self._publisher.complaint

    def _why_not_sent(self) -> str:
        reason = self._reason
        return f"{self.loop.state}{f': {reason}' if reason else ''}"

    def finish(self, timeout_seconds: float) -> tuple[int, str]:
        """Send what is left within the time and end the thread; return how many events failed, and why.

        The caller has set ``closed``: what is left then is failed here.
        """
        self._outbox.wind_down()
        self.loop.stop()
        reason = ""
        if not self.loop.join(timeout_seconds):
            reason = self._why_not_sent()  # now: the state of an ended loop says nothing
            self.loop.end(0.0)
        self._outbox.close()
        count = self._publisher.fail_all(BusClosedError(self._outbox.farewell))
        return count, reason

    def end_callbacks(self) -> None:
        """Call what is left to be called, and end that thread."""
        self._callbacks.close(1.0)


def _call(function: Callable[[], None]) -> None:
    function()
