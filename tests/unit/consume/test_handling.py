"""``bus_amqp.consume.handling``: one delivery, from its bytes to its fate."""

import asyncio
import logging
from collections.abc import Awaitable

import pytest

from bus_amqp.cause import current_event
from bus_amqp.consume.dead_letter import DeadLetter
from bus_amqp.consume.handling import Handling, HandlingCounts
from bus_amqp.event import Event
from bus_amqp.retry import Discard
from bus_amqp.topic import EventTopic
from bus_amqp.wire.codec import encode
from tests.unit.fakes import FakeDelivery, an_event


def nothing(event: Event) -> None:
    """Handle nothing."""


def handling(*topics: EventTopic, handler: object = nothing) -> Handling:
    return Handling(topics or (EventTopic(),), handler, "Unit.on_event")  # type: ignore[arg-type]  # tests pass what they please


def delivered(event: Event) -> FakeDelivery:
    message = encode(event, max_event_bytes=10_000)
    return FakeDelivery(body=message.body, routing_key=message.routing_key)


def raising(error: BaseException) -> object:
    def handler(event: Event) -> None:
        raise error

    return handler


def test_a_wanted_event_is_admitted() -> None:
    """The event that was published is the event that the subscriber sees."""
    event = an_event(details={"cpu": 4})

    assert handling(EventTopic(event_type="VM.START")).admit(delivered(event)) == event


def test_what_only_the_coarse_binding_brought_is_filtered_and_counted() -> None:
    """A pattern of types binds ``*``; the rest is decided here, and is no fault."""
    one = handling(EventTopic(event_type="VM.#"))

    assert one.admit(delivered(an_event(event_type="VOLUME.CREATE"))) is None
    assert one.counts == HandlingCounts(filtered=1)


def test_a_topic_that_was_used_before_filters_the_same() -> None:
    """A topic object may serve two subscriptions: what the first one made of it must not reach the second."""
    topic = EventTopic(event_type="VM.#")
    assert not topic.matches(an_event(event_type="VOLUME.CREATE"))

    assert handling(topic).admit(delivered(an_event(event_type="VOLUME.CREATE"))) is None


def test_any_of_several_topics_admits() -> None:
    """A topic list is several bindings of one queue."""
    one = handling(EventTopic(event_category="AlertEvent"), EventTopic(event_type="VM.*"))

    assert isinstance(one.admit(delivered(an_event())), Event)
    assert isinstance(one.admit(delivered(an_event(event_category="AlertEvent", event_type="X"))), Event)


def test_an_event_that_no_topic_explains_is_dead_lettered() -> None:
    """A rolling upgrade that widens a group's topics must lose nothing: never acknowledged away."""
    one = handling(EventTopic(event_category="AlertEvent", event_type="VM.#"))

    letter = one.admit(delivered(an_event()))

    assert isinstance(letter, DeadLetter)
    assert letter.reason == "no-topic"
    assert one.counts == HandlingCounts(dead_lettered=1)


def test_what_cannot_be_decoded_is_dead_lettered_with_the_decoders_reason() -> None:
    """P5: consumers go on; the reason says what was wrong."""
    one = handling()

    letters = [
        one.admit(FakeDelivery(body=b"no json")),
        one.admit(FakeDelivery(body=b"[]")),
        one.admit(FakeDelivery(body=None, body_bytes=5_000_000)),
        one.admit(FakeDelivery(content_type="image/png")),
    ]

    assert [letter.reason for letter in letters if isinstance(letter, DeadLetter)] == [
        "not-json", "not-an-event", "too-large", "content-type",
    ]  # fmt: skip
    assert one.counts.dead_lettered == 4


def test_a_subscriber_that_returns_has_handled() -> None:
    """Returning is the acknowledgement."""
    seen: list[Event] = []
    one = handling(handler=seen.append)
    event = an_event()

    assert one.call(event, FakeDelivery()) is None
    assert seen == [event]
    assert one.counts == HandlingCounts(handled=1)


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit("boom"), KeyboardInterrupt("boom")])
def test_whatever_a_subscriber_raises_is_its_events_fate(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """P4, P5: the worker goes on, the event is set aside with the reason, the log has the traceback."""
    one = handling(handler=raising(error))
    event = an_event()

    with caplog.at_level(logging.ERROR, "bus_amqp.consume"):
        letter = one.call(event, FakeDelivery())

    assert letter == DeadLetter("exception", f"{type(error).__name__}: boom")
    assert one.counts == HandlingCounts(dead_lettered=1)
    assert str(event.event_id) in caplog.text
    assert "Traceback" in caplog.text


def test_a_discarded_event_is_acknowledged_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """``Discard`` is an instruction: no dead letter, but never silent."""
    one = handling(handler=raising(Discard("a test account")))

    with caplog.at_level(logging.INFO, "bus_amqp.consume"):
        assert one.call(an_event(), FakeDelivery()) is None

    assert one.counts == HandlingCounts(discarded=1)
    assert "a test account" in caplog.text


def test_a_plain_function_that_returns_an_awaitable_is_a_fault() -> None:
    """Nobody would run the coroutine: the event would count as handled and never have been."""

    async def slow(event: Event) -> None:
        """Handle nothing, slowly."""

    def disguised(event: Event) -> Awaitable[None]:
        return slow(event)

    one = handling(handler=disguised)

    letter = one.call(an_event(), FakeDelivery())

    assert letter is not None
    assert "async def" in letter.explanation
    assert one.counts.handled == 0


def test_the_handlers_event_is_known_while_it_runs_and_only_then() -> None:
    """Causation: what a handler publishes names its cause; what the thread does next does not."""
    seen: list[Event | None] = []
    event = an_event()
    one = handling(handler=lambda _: seen.append(current_event.get()))

    one.call(event, FakeDelivery())
    handling(handler=raising(ValueError())).call(event, FakeDelivery())

    assert seen == [event]
    assert current_event.get() is None


def test_coroutine_subscribers_are_judged_alike() -> None:
    """One set of rules for both kinds."""
    seen: list[Event | None] = []

    async def fine(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(current_event.get())

    async def discarding(event: Event) -> None:
        raise Discard("no use")

    async def failing(event: Event) -> None:
        raise ValueError("boom")

    async def cancelled(event: Event) -> None:
        raise asyncio.CancelledError

    event = an_event()
    outcomes = []
    counts = []
    for handler in (fine, discarding, failing, cancelled):
        one = handling(handler=handler)
        outcomes.append(asyncio.run(one.call_async(event, FakeDelivery())))
        counts.append(one.counts)

    assert outcomes[:3] == [None, None, DeadLetter("exception", "ValueError: boom")]
    assert isinstance(outcomes[3], DeadLetter), "a handler's own CancelledError is an error like any other"
    assert [one.handled for one in counts] == [1, 0, 0, 0]
    assert [one.discarded for one in counts] == [0, 1, 0, 0]
    assert seen == [event]
    assert current_event.get() is None


def test_a_handler_that_the_bus_cancels_has_not_failed() -> None:
    """P8: closing over a handler that would not end gives its event back, and does not dead-letter it."""

    async def hang(event: Event) -> None:
        await asyncio.Event().wait()

    one = handling(handler=hang)

    async def cancel() -> None:
        task = asyncio.ensure_future(one.call_async(an_event(), FakeDelivery()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())

    assert one.counts == HandlingCounts()


def test_twins_share_everything_but_their_counts() -> None:
    """Each worker counts for itself: an increment that two threads share is lost now and then."""
    one = handling(EventTopic(event_type="VM.START"))
    twin = one.twin()

    one.call(an_event(), FakeDelivery())

    assert (one.counts.handled, twin.counts.handled) == (1, 0)
    assert isinstance(twin.admit(delivered(an_event())), Event)


class SpeechlessError(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Wordless(Discard):
    """A discard that skips the constructor of its base."""

    def __init__(self) -> None:
        """Say nothing."""


@pytest.mark.parametrize("error", [SpeechlessError(), Wordless()])
def test_an_error_without_a_text_is_judged_like_any_other(error: Exception) -> None:
    """P4: what a subscriber raises is its event's fate; a broken ``__str__`` must not end the worker."""
    one = handling(handler=raising(error))

    async def fail(event: Event) -> None:
        raise error

    other = handling(handler=fail)
    letters = [one.call(an_event(), FakeDelivery()), asyncio.run(other.call_async(an_event(), FakeDelivery()))]

    if isinstance(error, Discard):
        assert letters == [None, None]
        assert one.counts == other.counts == HandlingCounts(discarded=1)
    else:
        assert all(letter is not None and letter.explanation.startswith("SpeechlessError: ") for letter in letters)
        assert one.counts == other.counts == HandlingCounts(dead_lettered=1)
