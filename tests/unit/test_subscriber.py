"""``bus_amqp.subscriber``: what may be called back."""

from functools import partial
from typing import Any

import pytest

from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.subscriber import (
    EventSubscriber,
    Subscribers,
    SubscriptionOptions,
    handler_of,
    is_coroutine_handler,
    topics_of,
)
from bus_amqp.topic import EventTopic


class Plain:
    def on_event(self, event: Event) -> None:
        """Handle nothing."""


class Awaiting:
    async def on_event(self, event: Event) -> None:
        """Handle nothing, slowly."""


class AwaitingCall:
    async def __call__(self, event: Event) -> None:
        """Handle nothing, slowly."""


def function(event: Event) -> None:
    """Handle nothing."""


async def coroutine_function(event: Event) -> None:
    """Handle nothing, slowly."""


def test_an_object_is_called_by_its_on_event_and_anything_else_by_itself() -> None:
    """The design document's interface, and the short form of it."""
    plain = Plain()

    assert handler_of(plain) == plain.on_event
    assert handler_of(function) is function
    assert isinstance(plain, EventSubscriber)


@pytest.mark.parametrize("subscriber", [None, 5, "billing", object(), {"on_event": function}])
def test_what_cannot_be_called_back_is_refused(subscriber: Any) -> None:
    """Bad input: known at ``subscribe``, not with the first event."""
    with pytest.raises(InvalidArgumentError, match="on_event") as refused:
        handler_of(subscriber)

    assert isinstance(refused.value, EventBusException | TypeError)
    assert repr(subscriber) in str(refused.value)


def test_a_class_is_refused_because_its_instance_was_meant() -> None:
    """Bad input: calling the class would make an object of every event and handle none."""
    with pytest.raises(InvalidArgumentError, match="instance"):
        handler_of(Plain)  # type: ignore[arg-type]  # the fault under test


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (function, False),
        (Plain().on_event, False),
        (coroutine_function, True),
        (Awaiting().on_event, True),
        (AwaitingCall(), True),
        (partial(coroutine_function), True),
        (partial(function), False),
    ],
)
def test_coroutine_subscribers_are_recognised(handler: Any, expected: bool) -> None:
    """Taken for a plain one, a coroutine would be made for each event and never run."""
    assert is_coroutine_handler(handler) is expected


def test_subscribers_are_declared_without_a_bus() -> None:
    """Like a web framework's router: a module can be imported without any broker."""
    subscribers = Subscribers()
    topic = EventTopic(event_type="VM.#")

    @subscribers.on(topic, group="workflow", ordered=True, workers=3, prefetch=9)
    def react(event: Event) -> None:
        """Handle nothing."""

    subscribers.add([topic, EventTopic()], Plain(), SubscriptionOptions())

    first, second = subscribers
    assert first.subscriber is react
    assert first.topics == (topic,)
    assert first.options == SubscriptionOptions(group="workflow", ordered=True, workers=3, prefetch=9)
    assert second.topics == (topic, EventTopic())
    assert len(subscribers) == 2


def test_declaring_what_cannot_be_subscribed_is_refused_at_once() -> None:
    """Bad input: the decorator's line is where the fault is, so the error comes from there."""
    subscribers = Subscribers()

    with pytest.raises(InvalidArgumentError):
        subscribers.add(EventTopic(), 5, SubscriptionOptions())  # type: ignore[arg-type]  # the fault under test
    with pytest.raises(InvalidArgumentError):
        subscribers.on("VM.#")(function)  # type: ignore[arg-type]  # the fault under test

    assert len(subscribers) == 0


@pytest.mark.parametrize("topic", ["VM.#", [], ["VM.#"], None, {"event_type": "VM"}, [EventTopic(), None]])
def test_only_topics_are_topics(topic: Any) -> None:
    """Bad input: a text is a sequence too, and must not be taken for a list of topics."""
    with pytest.raises(InvalidArgumentError, match="EventTopic"):
        topics_of(topic)


def test_one_topic_or_several_become_a_tuple() -> None:
    """A topic list is several bindings of one queue."""
    topics = [EventTopic(event_type="A"), EventTopic(event_type="B")]

    assert topics_of(topics[0]) == (topics[0],)
    assert topics_of(topics) == tuple(topics)
