"""The design document's sentences, each held by a test; ``docs/seed.md`` says which by which.

On ``memory://``: what a real RabbitMQ adds is asked in ``tests/promise``.
"""

import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from bus_amqp import NO_RETRY, Event, EventBus, EventBusException, EventCategory, EventSubscriber, EventTopic, connect
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

NEAR_SECONDS = 2  # some milliseconds, on a machine that does nothing else
SIX_FIELDS = ["eventCategory", "eventType", "eventSource", "resourceType", "resourceUUID", "description"]
FIVE_FIELDS = {"event_category", "event_type", "resource_type", "resource_uuid", "event_source"}


@pytest.fixture
def open_bus(exchange: str) -> Iterator[Callable[[], EventBus]]:
    """Connect to one broker by its name, all that parties share; closed at the end."""
    opened: list[EventBus] = []

    def open_one() -> EventBus:
        opened.append(connect(f"memory://{exchange}", exchange=exchange))
        return opened[-1]

    yield open_one
    for bus in opened:
        bus.close()


@pytest.fixture
def bus(open_bus: Callable[[], EventBus]) -> EventBus:
    return open_bus()


def required_arguments(function: Callable[..., object]) -> list[str]:
    """The arguments without which it cannot be called."""
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.default is one.empty and one.name != "self"]


def received(bus: EventBus, topic: EventTopic, *events: Event) -> list[Event]:
    """Which of the events the topic brings.  A last one, behind them all, tells that no more will come."""
    recorder, last = Recorder(), an_event(event_source="the-end")
    bus.subscribe([topic, EventTopic(event_source="the-end")], recorder)
    bus.publish_many([*events, last])
    wait_until(lambda: last in recorder.events, "the last event")
    return [event for event in recorder.events if event != last]


def test_publish_puts_an_event_on_the_bus(bus: EventBus) -> None:
    """`void publish(Event event)`: an event is all it needs."""
    event = an_event()

    assert required_arguments(EventBus.publish) == ["event"]
    assert received(bus, EventTopic(), event) == [event]


def test_subscribe_brings_what_the_topic_matches(bus: EventBus) -> None:
    """`subscribe(EventTopic topic, EventSubscriber subscriber)`: matching events, and no others."""
    wanted = an_event(event_category="ActionEvent", event_type="VM.START")
    others = [wanted.model_copy(update={name: "OTHER"}) for name in ("event_category", "event_type")]

    assert required_arguments(EventBus.subscribe) == ["topic", "subscriber"]
    topic = EventTopic(event_category="ActionEvent", event_type="VM.START")
    assert received(bus, topic, *others, wanted) == [wanted]


def test_subscribe_returns_the_subscription_id(bus: EventBus) -> None:
    """`@return UUID returns the subscription ID`: one for each subscription, also of the same subscriber."""
    recorder = Recorder()

    ids = [bus.subscribe(EventTopic(), recorder) for _ in range(2)]

    assert all(isinstance(one, UUID) for one in ids)
    assert {one.subscription_id for one in bus.health().subscriptions} == set(ids)


def test_unsubscribe_takes_the_id_and_the_subscriber(bus: EventBus) -> None:
    """`unsubscribe(UUID subscriberId, EventSubscriber subscriber)`: from then on nothing comes, to this one only."""
    leaving, staying = Recorder(), Recorder()
    leaving_id = bus.subscribe(EventTopic(), leaving)
    bus.subscribe(EventTopic(), staying)
    with pytest.raises(EventBusException):
        bus.unsubscribe(leaving_id, staying)

    bus.unsubscribe(leaving_id, leaving)
    bus.publish(an_event())

    staying.wait_for(1)
    assert leaving.events == []


@pytest.mark.parametrize("method", ["publish", "subscribe", "unsubscribe"])
def test_each_method_raises_the_one_exception(open_bus: Callable[[], EventBus], method: str) -> None:
    """`throws EventBusException`: who catches it has caught whatever a bus that has ended may say."""
    bus = open_bus()
    bus.close()
    arguments: dict[str, tuple[object, ...]] = {"publish": (an_event(),), "subscribe": (EventTopic(), Recorder())}

    with pytest.raises(EventBusException):
        getattr(bus, method)(*arguments.get(method, (uuid4(), Recorder())))


def test_an_event_has_the_six_fields(bus: EventBus) -> None:
    """`class Event`: all six arrive as they were published, under the document's names on the wire."""
    values = ["AlertEvent", "ALERT.MEMORY", "capacity-plug-in", "Host", "h-1", "memory is low"]
    event = Event.model_validate(dict(zip(SIX_FIELDS, values, strict=True)), by_alias=True, by_name=False)

    (came,) = received(bus, EventTopic(), event)

    told = came.model_dump(by_alias=True)
    assert list(told)[:6] == SIX_FIELDS
    assert [told[name] for name in SIX_FIELDS] == values


def test_the_five_categories_are_named(bus: EventBus) -> None:
    """`eventCategory ... can be`: the five that the document lists, each a topic of its own."""
    named = ["ActionEvent", "AlertEvent", "UsageEvent", "ResourceStateEvent", "AsyncJobEvent"]
    events = [an_event(event_category=category) for category in EventCategory]

    assert list(EventCategory) == named
    assert received(bus, EventTopic(event_category=EventCategory.ASYNC_JOB), *events) == [events[4]]


def test_a_type_is_a_type_within_its_category(bus: EventBus) -> None:
    """`type of the event with the event category`: VM.START of usage is not VM.START of an action."""
    action = an_event(event_category="ActionEvent", event_type="VM.START")
    usage = an_event(event_category="UsageEvent", event_type="VM.START")

    assert received(bus, EventTopic(event_category="UsageEvent", event_type="VM.START"), action, usage) == [usage]


def test_the_source_tells_a_component_from_a_plug_in(bus: EventBus) -> None:
    """`source of the event`: a free word, so that plug-ins nobody has thought of can speak."""
    by_server, by_plug_in = an_event(event_source="management-server"), an_event(event_source="my plug-in/2.0")

    assert received(bus, EventTopic(event_source="my plug-in/2.0"), by_server, by_plug_in) == [by_plug_in]


def test_the_resource_is_a_type_and_a_uuid(bus: EventBus) -> None:
    """`resourceType`, `resourceUUID`: the one resource, whatever happened to it; others of its kind are not meant."""
    volume = an_event(resource="v-1", resource_type="Volume")
    mine = [volume.model_copy(update={"event_type": f"VOLUME.{what}"}) for what in ("CREATE", "DELETE")]
    others = [an_event(resource="v-2", resource_type="Volume"), an_event(resource="v-1", resource_type="Snapshot")]

    assert received(bus, EventTopic(resource_type="Volume", resource_uuid="v-1"), *others, *mine) == mine


def test_the_description_is_free_text(bus: EventBus) -> None:
    """`general description`: for people, in any script, and no part of any filter."""
    event = an_event(description="zwei Zeilen,\nund 仮想マシン #.* \u0000")

    assert "description" not in EventTopic.model_fields
    assert [came.description for came in received(bus, EventTopic(), event)] == [event.description]


@pytest.mark.parametrize("field", sorted(FIVE_FIELDS))
def test_each_of_the_five_fields_of_a_topic_filters(bus: EventBus, field: str) -> None:
    """`class EventTopic`: these five, and each of them alone decides."""
    wanted, other = (an_event().model_copy(update={field: whose}) for whose in ("MINE", "YOURS"))

    assert set(EventTopic.model_fields) == FIVE_FIELDS
    assert received(bus, EventTopic(**{field: "MINE"}), other, wanted) == [wanted]


def test_on_event_is_called_with_the_event(bus: EventBus) -> None:
    """`void onEvent(Event event)`: the bus calls it on occurrence, nobody asks for it."""
    calls: list[tuple[object, ...]] = []

    class Subscriber:
        def on_event(self, *arguments: Event) -> None:
            calls.append(arguments)

    subscriber = Subscriber()
    assert isinstance(subscriber, EventSubscriber)
    bus.subscribe(EventTopic(), subscriber)
    bus.publish(event := an_event())

    wait_until(lambda: calls, "the call")
    assert calls == [(event,)]


def test_a_subscriber_implements_the_interface(bus: EventBus) -> None:
    """`Intended subscriber shall implement EventSubscriber`: who does not is told when it subscribes."""
    assert not isinstance(object(), EventSubscriber)
    with pytest.raises(EventBusException, match="on_event"):
        bus.subscribe(EventTopic(), object())  # type: ignore[arg-type]  # what a user may do


def test_it_is_a_library() -> None:
    """`light weight (a library)`: importing it needs no server, starts no thread and loads no client of a broker."""
    program = "import bus_amqp, sys, threading; print(threading.active_count(), {'amqp', 'kombu'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout == "1 set()\n"


def test_the_interface_is_simple() -> None:
    """`provide simple interface`: one import, one url, three calls."""
    with connect("memory://") as bus:
        recorder = Recorder()
        subscription_id = bus.subscribe(EventTopic(), recorder)
        bus.publish(Event(event_category="ActionEvent", event_type="VM.START", event_source="ui"))
        recorder.wait_for(1)
        bus.unsubscribe(subscription_id, recorder)


def test_publisher_and_subscriber_share_only_the_brokers_name(open_bus: Callable[[], EventBus]) -> None:
    """`need not be aware of other`: without any subscriber one publishes as well, and one who comes later is served."""
    publisher, subscriber = open_bus(), open_bus()
    recorder = Recorder()

    publisher.publish(an_event(0)).result(5)
    subscriber.subscribe(EventTopic(), recorder)
    publisher.publish(event := an_event(1))

    assert recorder.wait_for(1).events == [event]


def test_filters_go_from_one_type_to_everything(bus: EventBus) -> None:
    """`filters for events of a type to wildcard (all events)`, and the patterns in between."""
    events = [an_event(event_type=what) for what in ("VM.START", "VM.STOP", "VOLUME.CREATE", "VM.SNAPSHOT.CREATE")]

    assert received(bus, EventTopic(event_type="VM.START"), *events) == events[:1]
    assert received(bus, EventTopic(event_type="VM.*"), *events) == events[:2]
    assert received(bus, EventTopic(event_type="VM.#"), *events) == [*events[:2], events[3]]
    assert received(bus, EventTopic(), *events) == events


def test_a_slow_subscriber_does_not_hold_publish(bus: EventBus) -> None:
    """`deliver events asynchronously`: it is called on a thread of the bus, while the publisher goes on."""
    inside, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def on_event(event: Event) -> None:
        threads.append(threading.current_thread())
        inside.set()
        go_on.wait(20)

    bus.subscribe(EventTopic(), on_event)
    try:
        bus.publish(an_event())
        assert inside.wait(20)
        bus.publish_many([an_event(number) for number in range(100)])  # while it sits there
        bus.flush(20)
        assert len(threads) == 1
    finally:
        go_on.set()
    assert threads[0] is not threading.current_thread()


def test_the_publisher_forgets(bus: EventBus) -> None:
    """`Publisher publishes the event and forgets`: what a subscriber makes of it is not the publisher's trouble."""
    recorder = Recorder()

    def refuse(event: Event) -> None:
        raise LookupError("not my day")

    bus.subscribe(EventTopic(), refuse, retry=NO_RETRY)
    bus.subscribe(EventTopic(), recorder)
    receipts = bus.publish_many([an_event(0), an_event(1)])

    assert len(recorder.wait_for(2).events) == 2
    assert [receipt.exception(20) for receipt in receipts] == [None, None]


def test_every_party_is_told_without_polling(open_bus: Callable[[], EventBus]) -> None:
    """`multiple parties ... near instantaneous`: workflow, monitoring and billing each get it at once."""
    publisher = open_bus()
    parties = {name: Recorder() for name in ("workflow", "monitoring", "billing")}
    for name, recorder in parties.items():
        open_bus().subscribe(EventTopic(), recorder, group=name)

    began = time.monotonic()
    publisher.publish(event := an_event())

    assert [recorder.wait_for(1).events for recorder in parties.values()] == [[event]] * 3
    assert time.monotonic() - began < NEAR_SECONDS


def test_the_scope_can_be_one_process(bus: EventBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """`only with in the management server`: on memory:// nothing leaves the process."""

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    event = an_event()

    assert received(bus, EventTopic(), event) == [event]
