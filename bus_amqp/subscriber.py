"""``EventSubscriber``: what may be called back, and ``Subscribers``: a list of them declared without a bus."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.retry import DEFAULT_RETRY, DefaultRetry, RetryPolicy
from bus_amqp.topic import EventTopic

Handler = Callable[[Event], Awaitable[None] | None]


@runtime_checkable
class EventSubscriber(Protocol):
    """The design document's interface: ``on_event`` is called for each event, on a worker thread of the bus.

    It speaks by returning (acknowledge), by raising ``Discard(reason)`` or ``RetryLater(delay_seconds)``, or by
    raising anything else: the event is tried again by the subscription's ``RetryPolicy`` and dead-lettered with the
    exception when that is used up.  ``async def on_event`` runs on the bus's event loop.
    """

    def on_event(self, event: Event, /) -> Awaitable[None] | None:
        """Handle one event."""


SubscriberLike = EventSubscriber | Handler
_SubscriberT = TypeVar("_SubscriberT", bound=SubscriberLike)


def handler_of(subscriber: SubscriberLike) -> Handler:
    """Return the function to call.  Raises ``InvalidArgumentError`` for what cannot be called back."""
    handler: Any = getattr(subscriber, "on_event", None)
    if handler is None:
        handler = subscriber
    if inspect.isclass(handler) or inspect.isclass(subscriber):
        raise InvalidArgumentError(f"subscriber is the class {subscriber!r}: pass an instance of it")
    if not callable(handler):
        raise InvalidArgumentError(f"{subscriber!r} has no on_event method and is not callable: it cannot subscribe")
    return handler  # type: ignore[no-any-return]  # checked to be callable just above


def is_coroutine_handler(handler: Handler) -> bool:
    """Return whether calling the handler gives a coroutine."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004 -- looks for an async __call__, not for callability


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """How a subscription consumes.

    ``group``: None for a temporary subscription.  ``workers``: threads (or concurrent coroutines) of its own.
    ``prefetch``: events in hand at most; None: 64 for each worker, at least 500.  ``retry``: what becomes of events
    whose subscriber raised; members of one group may differ in it.
    """

    group: str | None = None
    ordered: bool = False
    workers: int = 1
    prefetch: int | None = None
    retry: RetryPolicy | DefaultRetry = DEFAULT_RETRY


@dataclass(frozen=True, slots=True)
class Declared:
    """One line of a ``Subscribers`` list."""

    topics: tuple[EventTopic, ...]
    subscriber: SubscriberLike
    options: SubscriptionOptions


class Subscribers:
    """Subscriptions declared without a bus, like a web framework's router.

    ``bus.subscribe_all(subscribers)`` or ``bus-amqp run package.module:name`` makes them real.
    """

    def __init__(self) -> None:
        self._declared: list[Declared] = []

    def __iter__(self) -> Iterator[Declared]:
        return iter(tuple(self._declared))

    def __len__(self) -> int:
        return len(self._declared)

    def __repr__(self) -> str:
        return f"<Subscribers {len(self._declared)} declared>"

    def on(
        self,
        topic: EventTopic | Sequence[EventTopic],
        *,
        group: str | None = None,
        ordered: bool = False,
        workers: int = 1,
        prefetch: int | None = None,
        retry: RetryPolicy | DefaultRetry = DEFAULT_RETRY,
    ) -> Callable[[_SubscriberT], _SubscriberT]:
        """Decorate a function (or pass an object with ``on_event``); arguments as in ``subscribe``."""
        options = SubscriptionOptions(group=group, ordered=ordered, workers=workers, prefetch=prefetch, retry=retry)

        def declare(subscriber: _SubscriberT) -> _SubscriberT:
            self.add(topic, subscriber, options)
            return subscriber

        return declare

    def add(
        self, topic: EventTopic | Sequence[EventTopic], subscriber: SubscriberLike, options: SubscriptionOptions
    ) -> None:
        """Declare one subscription.  Raises ``InvalidArgumentError`` for what cannot be subscribed."""
        handler_of(subscriber)
        self._declared.append(Declared(topics_of(topic), subscriber, options))


def topics_of(topic: EventTopic | Sequence[EventTopic]) -> tuple[EventTopic, ...]:
    """Return the topics of one subscription as a tuple.  Raises ``InvalidArgumentError``."""
    topics = (topic,) if isinstance(topic, EventTopic) else tuple(topic) if isinstance(topic, Sequence) else ()
    if not topics or not all(isinstance(one, EventTopic) for one in topics):
        raise InvalidArgumentError(f"topic must be an EventTopic or a sequence of them, not {topic!r}")
    return topics
