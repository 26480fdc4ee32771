"""``EventBus``: the interface of the design document, and what a program needs around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from bus_amqp.event import Event
from bus_amqp.health import BusState, Health, Stats
from bus_amqp.receipt import Receipt
from bus_amqp.retry import DEFAULT_RETRY, DefaultRetry, RetryPolicy
from bus_amqp.subscriber import SubscriberLike, Subscribers, Wanted


class EventBus(ABC):
    """Publish events and be called back for them.  Every method may be called from any thread.

    Made by ``bus_amqp.connect``; a context manager that closes itself.  After ``close`` every method but
    ``close``, ``health``, ``stats`` and ``state`` raises ``BusClosedError``.
    """

    @abstractmethod
    def publish(self, event: Event[object], *, mandatory: bool = False) -> Receipt:
        """Accept an event for sending; never waits for the network.

        ``mandatory``: the receipt fails with ``UnroutableError`` if no queue wants the event.  Raises
        ``OutboxFullError`` (after ``publish_timeout_seconds``, or at once while it stays full),
        ``RoutingKeyTooLongError``, ``EventTooLargeError``, ``InvalidArgumentError``.
        """

    @abstractmethod
    def publish_many(self, events: Iterable[Event[object]], *, mandatory: bool = False) -> Sequence[Receipt]:
        """Accept all the events or, when one of them is refused or there is no room for all, none."""

    @abstractmethod
    def on_failed(self, function: Callable[[Receipt], object]) -> None:
        """Call ``function(receipt)`` for every event of ``publish`` that fails for good, on the bus's callback thread.

        ``receipt.event_id`` says which.
        """

    @abstractmethod
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
        """Call ``subscriber`` for events that match; return once the queue is bound and consuming.

        ``topic``: one, several, or a ``ForeignSource``: messages of an exchange that is not ours, and how to read them.
        ``group``: processes that name the same group share its events; without one, the subscription is
        temporary and gets a copy of its own.  ``ordered`` (groups): one process works, the others stand by.
        ``workers``: how many events may be handled at once; those of one resource never are.
        ``prefetch``: how many events may be in hand (default: 64 for each worker, at least 500).
        ``retry``: how often and when an event is tried again whose subscriber raised (default: groups five times
        in ten to thirteen minutes, temporary subscriptions three times within one; ``NO_RETRY``: never).

        A subscriber annotated ``event: Event[UsageDetails]`` gets validated details; others are dead-lettered.

        Raises ``InvalidArgumentError``, ``GroupConflictError``, ``TopologyMismatchError``,
        ``AccessRefusedError``, and ``ConnectionLostError`` within ``connect_timeout_seconds``.
        """

    @abstractmethod
    def subscribe_all(self, subscribers: Subscribers) -> Sequence[UUID]:
        """Subscribe everything that was declared; all or none."""

    @abstractmethod
    def unsubscribe(
        self, subscription_id: UUID, subscriber: SubscriberLike | None = None, *, timeout_seconds: float = 30
    ) -> None:
        """End a subscription; return once no callback of it runs or will run.

        From inside its own callback, or from a coroutine subscriber's, it returns at once: waiting would hold up
        what has to end.

        ``subscriber``, if given, must be the one that subscribed.  A group's queue stays on the broker, a
        temporary one is deleted.  Raises ``UnknownSubscriptionError``, ``DeadlineExceededError``.
        """

    @abstractmethod
    def flush(self, timeout_seconds: float = 30) -> None:
        """Wait until every event accepted before this call is settled with the broker (not: handled).

        Raises ``UndeliveredError`` with the number that are not.
        """

    @abstractmethod
    def close(self, timeout_seconds: float = 30) -> None:
        """Finish what is in hand, leave what is not started to others, flush, and end all threads.

        Raises ``UndeliveredError`` with the number of events that could not be sent in time, and
        ``DeadlineExceededError`` if a handler would not end.  Safe to call twice, and from a callback.
        """

    @abstractmethod
    def run_until_signal(self) -> None:
        """Block until SIGINT or SIGTERM, then close.  The last line of a consumer script; main thread only."""

    @property
    @abstractmethod
    def state(self) -> BusState:
        """The worst state of the connections in use."""

    @abstractmethod
    def health(self) -> Health:
        """Tell whether publishing works and every subscription consumes, and why not."""

    @abstractmethod
    def stats(self) -> Stats:
        """Return counts since ``connect``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
