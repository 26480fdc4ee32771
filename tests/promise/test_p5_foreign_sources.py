"""P5, for an exchange that is not ours: its messages have our queues, our retries and our dead letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bus_amqp import (
    NO_RETRY,
    Discard,
    Event,
    EventBus,
    EventTopic,
    ForeignMessage,
    ForeignSource,
    GroupConflictError,
    InvalidArgumentError,
    NotFoundOnBrokerError,
    RetryPolicy,
    Subscribers,
    UndecodableError,
)
from bus_amqp.consume import dead_letter
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

SOON = RetryPolicy(attempts=2, delays_seconds=(1,))


class Decoder:
    """Reads ``{"say": "..."}`` and remembers the messages."""

    def __init__(self) -> None:
        self.messages: list[ForeignMessage] = []

    def __call__(self, message: ForeignMessage) -> Event:
        self.messages.append(message)
        said = json.loads(message.body)["say"]
        if said == "refuse":
            raise UndecodableError("it is not for us to read", reason="foreign")
        if said == "forget":
            raise Discard("not wanted")
        if said == "crash":
            raise RuntimeError("the decoder has a fault")
        if said == "nothing":
            return None  # type: ignore[return-value]  # what a decoder of somebody's may do
        return Event(event_category="Foreign", event_type=said, event_source=message.routing_key)


@pytest.fixture
def foreign(world: World) -> str:
    """The name of an exchange that somebody else has made."""
    name = f"{world.exchange}-of-others"
    world.declare_foreign_exchange(name)
    return name


def say(world: World, foreign: str, what: str, *, routing_key: str = "a.b.c") -> None:
    world.publish_raw(
        json.dumps({"say": what}).encode(), routing_key=routing_key, exchange=foreign, content_type="text/plain"
    )


@contextmanager
def own(bus: EventBus) -> Iterator[Recorder]:
    """What comes over the bus's own exchange meanwhile."""
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder)
    yield recorder


@pytest.mark.parametrize("group", [None, "bridge"])
def test_p5_foreign_messages_are_read_by_the_function_that_was_brought(
    world: World, foreign: str, group: str | None
) -> None:
    """The decoder gets what AMQP carries, key and all; the subscriber gets its event; nothing reaches our exchange."""
    recorder, decoder = Recorder(), Decoder()
    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, decoder), recorder, group=group)
    with own(bus) as others:
        say(world, foreign, "hello")

        [event] = recorder.wait_for(1).events
        bus.publish(Event(event_category="A", event_type="B", event_source="c"), mandatory=True).result(TIMEOUT_SECONDS)
        assert [event.event_type for event in others.wait_for(1).events] == ["B"]

    assert (event.event_type, event.event_source) == ("hello", "a.b.c")
    [message] = decoder.messages
    assert (message.exchange, message.routing_key, message.content_type) == (foreign, "a.b.c", "text/plain")
    assert not message.is_repeated
    assert len(recorder.events) == 1, "what is published on our exchange does not come to it"


def test_p5_what_a_decoder_refuses_is_dead_lettered_and_what_it_does_not_want_is_not(
    world: World, foreign: str
) -> None:
    """One message that cannot be read must not hold up the others, nor vanish."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, Decoder()), recorder, group="bridge")

    for what in ("refuse", "forget", "crash", "nothing", "hello"):
        say(world, foreign, what)

    assert [event.event_type for event in recorder.wait_for(1).events] == ["hello"]
    letters = world.wait_dead_letters(3, "bridge")
    assert [letter.headers[dead_letter.REASON] for letter in letters] == ["foreign", "decoder", "decoder"]
    assert "the decoder has a fault" in str(letters[1].headers[dead_letter.EXCEPTION])
    assert letters[0].headers[dead_letter.EXCHANGE] == foreign
    [stats] = bus.stats().subscriptions.values()
    assert (stats.handled, stats.discarded, stats.dead_lettered) == (1, 1, 3)


def test_p5_a_foreign_message_is_tried_again_and_is_still_what_it_was(world: World, foreign: str) -> None:
    """It comes back over our own exchange of returns: the decoder must find its key, its exchange and its body."""
    decoder, recorder = Decoder(), Recorder()
    failures: list[Event] = []

    def fail_once(event: Event) -> None:
        if not failures:
            failures.append(event)
            raise RuntimeError("not now")
        recorder.on_event(event)

    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, decoder), fail_once, group="bridge", retry=SOON)

    say(world, foreign, "again", routing_key="x.y.z")

    recorder.wait_for(1, timeout_seconds=TIMEOUT_SECONDS)
    first, second = decoder.messages
    assert [message.is_repeated for message in (first, second)] == [False, True]
    assert (first.routing_key, first.exchange, first.body) == (second.routing_key, second.exchange, second.body)
    assert second.routing_key == "x.y.z"


def test_p5_foreign_bindings_are_made_again_like_our_own(world: World, foreign: str) -> None:
    """An operator's slip on the other exchange would silence the bridge, and nobody would hear of it."""
    recorder = Recorder()
    bus = world.connect(consumer={"audit_seconds": 0.2})
    bus.subscribe(ForeignSource(foreign, Decoder(), binding_keys=("a.#", "b.*")), recorder, group="bridge")
    queue = names.group_queue(world.exchange, "bridge")
    say(world, foreign, "one", routing_key="a.x.y")
    recorder.wait_for(1)

    for key in ("a.#", "b.*"):
        world.unbind(queue, key, exchange=foreign)
    seen = bus.health().subscriptions[0].audited_at
    wait_until(lambda: bus.health().subscriptions[0].audited_at != seen, "an audit")
    seen = bus.health().subscriptions[0].audited_at
    wait_until(lambda: bus.health().subscriptions[0].audited_at != seen, "another audit")
    say(world, foreign, "two", routing_key="b.x")

    assert [event.event_type for event in recorder.wait_for(2).events] == ["one", "two"]


def test_p5_a_foreign_exchange_that_goes_is_told_and_bound_to_again(world: World, foreign: str) -> None:
    """What is in the queue is still handled; health says why nothing more comes, until the exchange is back."""
    recorder = Recorder()
    bus = world.connect(consumer={"audit_seconds": 0.2})
    bus.subscribe(ForeignSource(foreign, Decoder()), recorder, group="bridge")

    world.delete_exchange(foreign)
    wait_until(lambda: any(foreign in text for text in bus.health().subscriptions[0].warnings), "a warning")
    assert bus.health().subscriptions[0].is_consuming
    world.declare_foreign_exchange(foreign)
    wait_until(lambda: not bus.health().subscriptions[0].warnings, "the end of the warning")
    say(world, foreign, "back")

    recorder.wait_for(1)
    [gap] = bus.health().subscriptions[0].gaps
    assert gap.since < gap.until, "what was published in that time has not come, and that is told"


def test_p5_a_foreign_exchange_that_is_not_there_is_refused(world: World) -> None:
    """Made by us, it might be of another kind than its owner wants, who could then not start."""
    bus = world.connect()

    with pytest.raises(NotFoundOnBrokerError, match="of-nobody"):
        bus.subscribe(ForeignSource(f"{world.exchange}-of-nobody", Decoder()), Recorder(), group="bridge")


def test_p5_the_members_of_a_group_agree_on_what_they_are_bound_to(world: World, foreign: str) -> None:
    """One would get what only the other can read."""
    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, Decoder()), Recorder(), group="bridge")
    bus.subscribe(ForeignSource(foreign, Decoder()), Recorder(), group="bridge")

    for other in (EventTopic(), ForeignSource(foreign, Decoder(), binding_keys=("a.#",))):
        with pytest.raises(GroupConflictError):
            bus.subscribe(other, Recorder(), group="bridge")


def test_p5_a_foreign_source_can_be_declared_without_a_bus(world: World, foreign: str) -> None:
    """`bus-amqp run` starts a bridge as it starts any other consumer."""
    subscribers, recorder = Subscribers(), Recorder()
    subscribers.on(ForeignSource(foreign, Decoder()), group="bridge")(recorder)

    world.connect().subscribe_all(subscribers)
    say(world, foreign, "declared")

    assert [event.event_type for event in recorder.wait_for(1).events] == ["declared"]


def test_p5_what_is_read_survives_the_consumers_connection(world: World, foreign: str) -> None:
    """At least once, also for what others have published."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, Decoder()), recorder, group="bridge")
    bus.unsubscribe(next(iter(bus.stats().subscriptions)))

    for number in range(20):
        say(world, foreign, f"n{number}")
    bus.subscribe(ForeignSource(foreign, Decoder()), recorder, group="bridge")
    world.cut_consumer_of(bus)
    say(world, foreign, "last")

    wait_until(
        lambda: {event.event_type for event in recorder.events} == {"last", *(f"n{n}" for n in range(20))}, "all"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [({"group": "bridge"}, "group 'bridge'"), ({"retry": SOON}, "no queue to wait in")],
    ids=["a group", "a retry"],
)
def test_p5_who_only_looks_on_has_no_group_and_no_second_try(
    world: World, foreign: str, options: dict[str, object], told: str
) -> None:
    """An exclusive queue is one connection's, and nothing else is declared: what cannot be had is refused."""
    bus = world.connect()

    with pytest.raises(InvalidArgumentError, match=told):
        bus.subscribe(ForeignSource(foreign, Decoder(), exclusive=True), Recorder(), **options)  # type: ignore[arg-type]  # one option each


def test_p5_who_only_looks_on_stops_for_nothing(world: World, foreign: str, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read or handled is left out: there are no dead letters, and nobody is to be held up."""
    recorder = Recorder()

    def picky(event: Event) -> None:
        if event.event_type == "fail":
            raise RuntimeError("cannot")
        recorder.on_event(event)

    bus = world.connect()
    bus.subscribe(ForeignSource(foreign, Decoder(), exclusive=True), picky, retry=NO_RETRY)

    for what in ("refuse", "fail", "crash", "hello"):
        say(world, foreign, what)

    assert [event.event_type for event in recorder.wait_for(1).events] == ["hello"]
    assert world.queue_state(names.dead_queue(world.exchange, None)) is None
    assert caplog.text.count("is left out") == 3
    assert "dead-lettered" not in caplog.text, "nobody must look for letters that there are not"


def test_p5_who_only_looks_on_looks_on_after_a_lost_connection_and_leaves_nothing(world: World, foreign: str) -> None:
    """The queue is gone with the connection, and the gap is told; at the end the exchange is as it was."""
    recorder = Recorder()
    bus = world.connect(consumer={"audit_seconds": 0.1})
    subscription_id = bus.subscribe(ForeignSource(foreign, Decoder(), exclusive=True), recorder)
    say(world, foreign, "before")
    recorder.wait_for(1)

    world.cut_consumer_of(bus)
    wait_until(lambda: bus.health().subscriptions[0].gaps, "the gap")
    say(world, foreign, "after")

    assert [event.event_type for event in recorder.wait_for(2).events] == ["before", "after"]
    queue = bus.health().subscriptions[0].queue
    bus.unsubscribe(subscription_id)
    wait_until(lambda: world.queue_state(queue) is None, "the end of the queue")
