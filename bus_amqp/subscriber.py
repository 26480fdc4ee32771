"""``EventSubscriber``: what may be called back, and ``Subscribers``: a list of them declared without a bus."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.foreign import ForeignSource
from bus_amqp.retry import DEFAULT_RETRY, DefaultRetry, RetryPolicy
from bus_amqp.topic import EventTopic

# Any: a handler of Event[UsageDetails] is one as well.  What it asks for is seen to when it subscribes.
Handler = Callable[[Event[Any]], Awaitable[None] | None]


@runtime_checkable
class EventSubscriber(Protocol):
    """The design document's interface: ``on_event`` is called for each event, on a worker thread of the bus.

    It speaks by returning (acknowledge), by raising ``Discard(reason)`` or ``RetryLater(delay_seconds)``, or by
    raising anything else: the event is tried again by the subscription's ``RetryPolicy`` and dead-lettered with the
    exception when that is used up.  ``async def on_event`` runs on the bus's event loop.

    Where it is annotated ``event: Event[UsageDetails]``, ``details`` are validated; an event whose details do not fit
    is dead-lettered with the reason ``details``, and not tried again.
    """

    def on_event(self, event: Event[Any], /) -> Awaitable[None] | None:
        """Handle one event."""


SubscriberLike = EventSubscriber | Handler
Wanted = EventTopic | Sequence[EventTopic] | ForeignSource
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
    """One line of a ``Subscribers`` list.  ``foreign``: in the place of topics, which are then none."""

    topics: tuple[EventTopic, ...]
    subscriber: SubscriberLike
    options: SubscriptionOptions
    foreign: ForeignSource | None = None

    @property
    def wanted(self) -> Wanted:
        """What was given to ``on`` or ``subscribe``."""
        return self.topics if self.foreign is None else self.foreign


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
        topic: Wanted,
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

    def add(self, topic: Wanted, subscriber: SubscriberLike, options: SubscriptionOptions) -> None:
        """Declare one subscription.  Raises ``InvalidArgumentError`` for what cannot be subscribed."""
        handler_of(subscriber)
        self._declared.append(declared(topic, subscriber, options))


def declared(topic: Wanted, subscriber: SubscriberLike, options: SubscriptionOptions) -> Declared:
    """Return the declaration of one subscription.  Raises ``InvalidArgumentError``."""
    if isinstance(topic, ForeignSource):
        return Declared((), subscriber, options, topic)
    return Declared(topics_of(topic), subscriber, options)


def topics_of(topic: EventTopic | Sequence[EventTopic]) -> tuple[EventTopic, ...]:
    """Return the topics of one subscription as a tuple.  Raises ``InvalidArgumentError``."""
    topics = (topic,) if isinstance(topic, EventTopic) else tuple(topic) if isinstance(topic, Sequence) else ()
    if not topics or not all(isinstance(one, EventTopic) for one in topics):
        raise InvalidArgumentError(f"topic must be an EventTopic, a sequence of them or a ForeignSource, not {topic!r}")
    return topics
