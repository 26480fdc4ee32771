"""``SpoolBus``: the ``EventBus`` of ``connect("spool:DIR")``: publishes into a directory, and does nothing else.

No broker, no thread: one append to the store of the disk outbox for each call (about a millisecond, however many events
``publish_many`` is given).  For cron jobs, shell scripts and other
short programs; ``bus-amqp forward DIR``, or any bus with that ``outbox_directory``, sends the events.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import NoReturn
from uuid import UUID

from bus_amqp.bus import EventBus
from bus_amqp.cause import caused_by, current_event
from bus_amqp.engine.forking import survive_forks
from bus_amqp.engine.lifetime import until_signal
from bus_amqp.errors import (
    BusClosedError,
    DeadlineExceededError,
    InvalidArgumentError,
    OutboxDamagedError,
    OutboxFullError,
)
from bus_amqp.event import Event
from bus_amqp.foreign import Encode
from bus_amqp.health import BusState, Health, OutboxHealth, PublisherHealth, Stats
from bus_amqp.publish.journal import SUFFIX, Journal
from bus_amqp.publish.loose_event import EVENT_SUFFIX
from bus_amqp.publish.loose_events import LooseEvents
from bus_amqp.publish.outbox_directory import ASIDE_SUFFIX, DAMAGED_SUFFIX, OutboxDirectory
from bus_amqp.receipt import Receipt, store_all
from bus_amqp.retry import DEFAULT_RETRY, DefaultRetry, RetryPolicy
from bus_amqp.sections import OUTBOX_OVERHEAD_BYTES
from bus_amqp.settings import Settings
from bus_amqp.subscriber import SubscriberLike, Subscribers, Wanted
from bus_amqp.wire.codec import encode
from bus_amqp.wire.foreign_encoding import ForeignEncoding
from bus_amqp.wire.message import Message

GATHER_WAIT_SECONDS = 5.0  # for other processes that gather or append


class SpooledReceipt(Receipt):
    """``stored``, and never more here: another process sends the event.  So nobody can wait for it."""

    __slots__ = ()

    def exception(self, timeout: float | None = None) -> NoReturn:
        """Raise ``DeadlineExceededError`` at once."""
        raise DeadlineExceededError("the event is stored; another process (`bus-amqp forward`) will send it")

    def __await__(self) -> Generator[None, None, None]:
        self.exception()
        yield


class SpoolBus(EventBus):
    """Holds no file between two calls, so that what is stored can be sent while this process lives."""

    def __init__(self, directory: OutboxDirectory, settings: Settings, *, encoder: Encode | None = None) -> None:
        self._encode = encode if encoder is None else ForeignEncoding(encoder, settings.exchange)
        self._directory = directory
        self._loose_events = LooseEvents(directory)
        self._max_events = settings.publisher.outbox_events
        self._max_bytes = settings.publisher.outbox_bytes
        self._max_event_bytes = settings.publisher.max_event_bytes
        self._lock = threading.Lock()  # events of two threads at once go into one file, and one is counted at a time
        self._accepted = 0  # guarded by _lock
        self._closed = threading.Event()
        survive_forks(self)

    def begin_in_child(self) -> None:
        """Take a lock that no thread of the parent can have held."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<SpoolBus {self._directory.path} {self._accepted} events>"

    def publish(self, event: Event[object], *, mandatory: bool = False) -> Receipt:
        """Store an event.  Raises ``OutboxFullError`` at once, ``OutboxStorageError``, and as on any bus."""
        return self.publish_many([event], mandatory=mandatory)[0]

    def publish_many(self, events: Iterable[Event[object]], *, mandatory: bool = False) -> Sequence[Receipt]:
        """Store all events or none, in one commit."""
        receipts: list[Receipt] = []
        messages = []
        for event in events:
            messages.append(self._message(event, mandatory=mandatory))
            receipts.append(SpooledReceipt(_call, event.event_id))
        with self._lock:
            self._check_not_closed()
            if messages:
                self._append(messages)
        store_all(receipts)
        return receipts

    def _message(self, event: Event[object], *, mandatory: bool) -> Message:
        cause = current_event.get()
        if cause is not None and isinstance(event, Event):
            event = caused_by(event, cause)
        message = self._encode(event, max_event_bytes=self._max_event_bytes)
        message.mandatory = mandatory
        return message

    def _append(self, messages: Sequence[Message]) -> None:
        def append(journal: Journal, last: int) -> None:
            journal.append(list(enumerate(messages, last + 1)), time.time())

        lock = self._loose_events.lock(GATHER_WAIT_SECONDS)
        try:
            self._gather()
            self._put(messages, append)
        finally:
            lock.release(remove=True)
        self._accepted += len(messages)

    def _gather(self) -> None:
        """Put what the shortcut of `publish --spool` has stored before what comes now."""
        paths = self._loose_events.look()
        while paths:
            gathered = self._loose_events.read(paths)
            if gathered.events:
                self._put([message for _, message in gathered.events], partial(self._loose_events.move, gathered))
            paths = paths[gathered.looked_at :]

    def _put(self, messages: Sequence[Message], store: Callable[[Journal, int], None]) -> None:
        journal = self._directory.adopt_newest()  # behind it, nothing of ours can be that must come first
        try:
            self._put_into(journal or self._directory.create(), messages, store)
        except OutboxDamagedError:
            # Whoever sends that file will set it aside; ours must not wait for that.
            self._put_into(self._directory.create(), messages, store)

    def _put_into(self, journal: Journal, messages: Sequence[Message], store: Callable[[Journal, int], None]) -> None:
        try:
            first, last = journal.bounds()
            waiting = last - first + 1
            room_bytes = self._max_bytes - sum(len(message.body) + OUTBOX_OVERHEAD_BYTES for message in messages)
            if waiting + len(messages) > self._max_events or journal.is_larger_than(room_bytes):
                raise OutboxFullError(
                    f"{waiting} events wait in {journal.path}; outbox_events = {self._max_events}, outbox_bytes = "
                    f"{self._max_bytes}: is `bus-amqp forward {self._directory.path}` running?"
                )
            store(journal, last)
        finally:
            journal.close()

    def on_failed(self, function: Callable[[Receipt], object]) -> None:
        """Accept the function; nothing fails here that ``publish`` has not raised."""
        self._check_not_closed()

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
        """Raise ``InvalidArgumentError``: nothing arrives in a spool."""
        raise self._no_subscribing()

    def subscribe_all(self, subscribers: Subscribers) -> Sequence[UUID]:
        """Raise ``InvalidArgumentError``."""
        raise self._no_subscribing()

    def unsubscribe(
        self, subscription_id: UUID, subscriber: SubscriberLike | None = None, *, timeout_seconds: float = 30
    ) -> None:
        """Raise ``InvalidArgumentError``."""
        raise self._no_subscribing()

    def _no_subscribing(self) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"spool:{self._directory.path} only publishes: connect to a broker (amqp://...) to subscribe"
        )

    def flush(self, timeout_seconds: float = 30) -> None:
        """Return: what was accepted is on disk already."""
        self._check_not_closed()

    def close(self, timeout_seconds: float = 30) -> None:
        """Take nothing more."""
        self._closed.set()

    def run_until_signal(self) -> None:
        """Block until SIGINT or SIGTERM, then close."""
        with until_signal(self._closed):
            self.close()

    @property
    def state(self) -> BusState:
        """``open`` or ``closed``: there is no connection to lose."""
        return BusState.CLOSED if self._closed.is_set() else BusState.OPEN

    def health(self) -> Health:
        """Tell what is in the directory."""
        files = self._directory.files
        outbox = OutboxHealth(
            str(self._directory.path),
            adopted_files=len(files(SUFFIX)) + len(files(EVENT_SUFFIX)),
            aside_files=len(files(ASIDE_SUFFIX)),
            damaged_files=len(files(DAMAGED_SUFFIX)),
        )
        publisher = PublisherHealth(self.state, waiting=self._accepted, waiting_bytes=0, outbox=outbox)
        return Health(self.state, f"spool {self._directory.path}", publisher)

    def stats(self) -> Stats:
        """Return counts since ``connect``; all that was accepted waits, as far as is known here."""
        return Stats(accepted=self._accepted, waiting=self._accepted)

    def _check_not_closed(self) -> None:
        if self._closed.is_set():
            raise BusClosedError("the bus is closed")


def _call(function: Callable[[], None]) -> None:
    function()
