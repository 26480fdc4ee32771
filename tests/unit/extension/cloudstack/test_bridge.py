"""``bus_amqp.extension.cloudstack.bridge``: what CloudStack says is said on our bus, and not lost on the way."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bus_amqp import (
    AccessRefusedError,
    Event,
    EventBus,
    EventTopic,
    InvalidArgumentError,
    Receipt,
    UndecodableError,
)
from bus_amqp.cli.main import main
from bus_amqp.consume import dead_letter
from bus_amqp.extension.cloudstack import bridge as bridge_module
from bus_amqp.extension.cloudstack import decoder as decoder_module
from bus_amqp.extension.cloudstack.bridge import BridgeOptions, bridge_to, subscribers
from bus_amqp.extension.cloudstack.publisher import CloudStackPublisher
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import events_of
from tests.promise.waiting import wait_until
from tests.promise.world import MemoryWorld

THEIRS = "cloudstack-events"
VM_KEY = "management-server.ActionEvent.VM-START.com-cloud-vm-VirtualMachine.{}"


@pytest.fixture
def world(exchange: str) -> Iterator[MemoryWorld]:
    """A broker in memory with CloudStack's exchange on it."""
    made = MemoryWorld(exchange)
    made.declare_foreign_exchange(THEIRS)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def ours(world: MemoryWorld) -> Recorder:
    """Who listens to our bus."""
    recorder = Recorder()
    world.connect().subscribe(EventTopic(), recorder)
    return recorder


def cloudstack_says(world: MemoryWorld, key: str, body: dict[str, Any] | str) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    world.publish_raw(text.encode(), routing_key=key, exchange=THEIRS, content_type="text/plain")


def a_bridge(world: MemoryWorld, **options: Any) -> EventBus:
    bus = world.connect()
    bus.subscribe_all(bridge_to(bus, BridgeOptions(**options)))
    return bus


def queue_of(world: MemoryWorld) -> str:
    return names.group_queue(world.exchange, "cloudstack")


def test_what_cloudstack_says_is_said_on_our_bus(world: MemoryWorld, ours: Recorder):
    """One VM.START for all subscribers of ours, who need to know nothing of CloudStack."""
    a_bridge(world)

    cloudstack_says(world, VM_KEY.format("u-1"), {"event": "VM.START", "account": "a", "status": "Started"})

    [event] = ours.wait_for(1).events
    assert (event.event_type, event.resource_type, event.resource_uuid) == ("VM.START", "VirtualMachine", "u-1")
    assert (event.causation_id, event.correlation_id) == (None, None), "it has no cause on this bus"


def test_the_order_of_cloudstack_is_ours(world: MemoryWorld, ours: Recorder):
    """Many are on their way at once, and yet a STOP never overtakes its START."""
    a_bridge(world)

    for number in range(300):
        cloudstack_says(world, VM_KEY.format(f"u-{number % 3}"), {"event": "VM.START", "description": str(number)})

    assert [event.description for event in ours.wait_for(300).events] == [str(number) for number in range(300)]


def test_a_message_is_acknowledged_only_once_our_event_is_confirmed(world: MemoryWorld, ours: Recorder):
    """Killed in between, the bridge would have told CloudStack's broker of an event that nobody has."""
    a_bridge(world)
    world.broker.hold_confirms()

    for number in range(10):
        cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START", "n": number})
    ours.wait_for(10)

    assert world.broker.unacked(queue_of(world)) == 10
    world.broker.release_confirms()
    wait_until(lambda: world.broker.unacked(queue_of(world)) == 0, "the acknowledgements")


def test_a_bridge_that_is_cut_off_loses_nothing(world: MemoryWorld, ours: Recorder):
    """At least once; what comes twice has one id."""
    a_bridge(world)
    for number in range(200):
        cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START", "n": number})
        if number % 50 == 25:
            world.cut_connections()

    seen = ours.wait_for(200, timeout_seconds=10)
    wait_until(lambda: world.broker.depth(queue_of(world)) + world.broker.unacked(queue_of(world)) == 0, "all settled")
    assert len(seen.ids_without_duplicates()) == 200


def test_what_cannot_be_understood_is_dead_lettered_and_holds_nothing_up(world: MemoryWorld, ours: Recorder):
    """P5: with the reason, and so that it can be put back when a newer bridge understands it."""
    a_bridge(world)

    cloudstack_says(world, VM_KEY.format("u"), "no json")
    cloudstack_says(world, "a.key.of.ours", {})
    cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START"})

    ours.wait_for(1)
    letters = world.wait_dead_letters(2, "cloudstack")
    assert [letter.headers[dead_letter.REASON] for letter in letters] == ["not-json", "cloudstack-key"]
    assert letters[1].headers[dead_letter.ROUTING_KEY] == "a.key.of.ours"


def test_an_event_that_our_bus_refuses_is_dead_lettered_at_once(world: MemoryWorld):
    """Our key is longer than theirs: tried again it is no shorter."""
    bus = a_bridge(world)

    cloudstack_says(world, VM_KEY.format("%" * 180), {"event": "VM.START"})

    [letter] = world.wait_dead_letters(1, "cloudstack")
    assert "RoutingKeyTooLongError" in str(letter.headers[dead_letter.EXCEPTION])
    [stats] = bus.stats().subscriptions.values()
    assert stats.retried == 0


@pytest.mark.parametrize(("twins", "count"), [("drop", 1), ("mark", 2), ("keep", 2)])
def test_twins_are_dropped_marked_or_kept(world: MemoryWorld, ours: Recorder, twins: str, count: int):
    """As the operator has it; what is dropped is counted as discarded."""
    bus = a_bridge(world, twins=twins)
    key = "management-server.ResourceStateEvent.OperationSucceeded.Volume.u-1"
    for _ in range(2):
        cloudstack_says(world, key, {"resource": "Volume", "id": "u-1", "old-state": "A", "new-state": "B"})
    cloudstack_says(world, VM_KEY.format("last"), {"event": "VM.START"})

    wait_until(lambda: any(event.resource_uuid == "last" for event in ours.events), "the last one")

    states = [event for event in ours.events if event.event_category == "ResourceStateEvent"]
    assert len(states) == count
    assert [event.details.get("twin") for event in states][1:] == {"drop": [], "mark": ["state"], "keep": [None]}[twins]
    [stats] = bus.stats().subscriptions.values()
    assert stats.discarded == 2 - count


def test_a_full_outbox_makes_the_bridge_wait_and_lose_nothing(
    world: MemoryWorld, ours: Recorder, monkeypatch: pytest.MonkeyPatch
):
    """While our broker takes nothing, CloudStack's messages stay on theirs, in order."""
    monkeypatch.setattr(bridge_module, "ROOM_SECONDS", 0.01)
    bus = world.connect(publisher={"outbox_events": 4, "publish_timeout_seconds": 0.01})
    bus.subscribe_all(subscribers(bus))
    world.broker.hold_confirms()
    for number in range(30):
        cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START", "description": str(number)})
    wait_until(lambda: bus.stats().waiting == 4, "a full outbox")

    world.broker.release_confirms()

    assert [event.description for event in ours.wait_for(30).events] == [str(number) for number in range(30)]


def test_while_our_broker_refuses_everything_the_rest_stays_where_it_is(
    world: MemoryWorld, ours: Recorder, monkeypatch: pytest.MonkeyPatch
):
    """A right is taken away for a while: a night's events must not be copied about until they are dead letters."""
    count, bus = 200, world.connect()
    attempts = Counter[str]()
    publish = bus.publish

    def refuse(event: Event[object], *, mandatory: bool = False) -> Receipt:
        attempts[event.description] += 1
        raise AccessRefusedError("no right to write")

    monkeypatch.setattr(bus, "publish", refuse)
    monkeypatch.setattr(bridge_module, "RETRY", replace(bridge_module.RETRY, delays_seconds=(0.2,), attempts=100))
    bus.subscribe_all(subscribers(bus))
    for number in range(count):
        cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START", "description": str(number)})
    wait_until(lambda: attempts["0"] > 1, "a second attempt")

    assert len(attempts) < count, "those behind are not even begun"
    assert world.broker.depth(queue_of(world)) + world.broker.unacked(queue_of(world)) == count
    monkeypatch.setattr(bus, "publish", publish)
    ours.wait_for(count)
    assert not world.dead_letters("cloudstack")


def test_a_second_bridge_stands_by_and_takes_over(world: MemoryWorld, ours: Recorder):
    """One works at a time: two would know only half of the twins each, and keep no order."""
    first, second = a_bridge(world), a_bridge(world)
    cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START"})
    ours.wait_for(1)
    assert sum(one.delivered for bus in (first, second) for one in bus.stats().subscriptions.values()) == 1

    first.close()
    cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.STOP"})

    ours.wait_for(2)


def test_what_we_publish_for_cloudstacks_consumers_does_not_come_back(world: MemoryWorld, ours: Recorder):
    """Bridge and publisher side by side, as in a migration: each event is on each bus once."""
    a_bridge(world)
    with CloudStackPublisher(world.broker.address) as publisher:
        for event in events_of(5):
            publisher.publish(event).result(5)
    cloudstack_says(world, VM_KEY.format("last"), {"event": "VM.START"})

    # The queue is in order: what was there before the last one has been read before it.
    assert [event.resource_uuid for event in ours.wait_for(1).events] == ["last"]


def test_a_bridge_of_a_bus_that_closes_ends(world: MemoryWorld):
    """P8: what is on its way is confirmed or given back, and no thread is left."""
    bus = a_bridge(world)
    for number in range(50):
        cloudstack_says(world, VM_KEY.format("u"), {"event": "VM.START", "n": number})

    bus.close(10)

    assert not [thread.name for thread in threading.enumerate() if thread.name == "bus-async"]
    assert world.broker.unacked(queue_of(world)) == 0


def test_wrong_options_are_refused(world: MemoryWorld):
    """Before anything is bound."""
    for wrong in ({"twins": "drpo"}, {"from_exchange": ""}):
        with pytest.raises(InvalidArgumentError):
            a_bridge(world, **wrong)
    with pytest.raises(InvalidArgumentError, match="workers"):
        a_bridge(world, in_flight=0)


def test_event_types_are_ours(world: MemoryWorld, ours: Recorder):
    """A subscriber binds to VM.START and not to VM-START."""
    starts = Recorder()
    world.connect().subscribe(EventTopic(event_type="VM.*", resource_type="VirtualMachine"), starts)
    a_bridge(world)

    cloudstack_says(world, VM_KEY.format("u-1"), {"event": "VM.START"})

    [event] = starts.wait_for(1).events
    assert isinstance(event, Event)


def test_a_dead_letter_that_is_put_back_is_read_with_the_key_that_it_had(
    world: MemoryWorld, ours: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A newer bridge understands what an older one refused; on its way back the message's key is its queue's name."""
    understood = decoder_module.translated

    def refuse(*arguments: Any) -> Event:
        raise UndecodableError("a form that nobody knows yet", reason="cloudstack-event")

    monkeypatch.setattr(decoder_module, "translated", refuse)
    a_bridge(world)
    cloudstack_says(world, VM_KEY.format("u-1"), {"event": "VM.START", "description": "at last"})
    world.wait_dead_letters(1, "cloudstack")
    monkeypatch.setattr(decoder_module, "translated", understood)
    place = ("--group", "cloudstack", "--url", world.broker.address, "--exchange", world.exchange)

    assert main(["dead-letters", "list", *place]) == 0
    assert "cloudstack-event" in capsys.readouterr().out
    assert main(["dead-letters", "retry", *place]) == 0

    [event] = ours.wait_for(1).events
    assert (event.event_type, event.resource_uuid, event.description) == ("VM.START", "u-1", "at last")
