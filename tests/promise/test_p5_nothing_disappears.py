"""P5: what cannot be handled waits in a dead-letter queue with the reason, and the consumer goes on."""

import json
import logging
import threading

import pytest

from bus_amqp import NO_RETRY, Discard, Event, EventTopic
from bus_amqp.consume import dead_letter
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from bus_amqp.topology.plan import POISON_LIMIT
from tests.promise.subscribers import Gate, an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World


def test_p5_an_event_whose_subscriber_raises_is_dead_lettered_with_the_exception(world: World) -> None:
    """The operator must find the event, who failed on it, where, when and why."""
    bus = world.connect()

    def charge(event: Event) -> None:
        raise LookupError("no such account")

    bus.subscribe(EventTopic(), charge, group="billing", retry=NO_RETRY)
    event = an_event()
    bus.publish(event)

    [letter] = world.wait_dead_letters(1, "billing")
    assert json.loads(letter.body)["eventId"] == str(event.event_id)
    assert letter.headers[dead_letter.REASON] == "exception"
    assert "LookupError: no such account" in str(letter.headers[dead_letter.EXCEPTION])
    assert "charge" in str(letter.headers[dead_letter.SUBSCRIBER])
    assert letter.headers[dead_letter.ATTEMPTS] == 1
    assert letter.headers[dead_letter.FIRST_FAILURE] == letter.headers[dead_letter.LAST_FAILURE]
    assert letter.headers[dead_letter.HOST]


def test_p5_an_event_whose_coroutine_raises_is_dead_lettered(world: World) -> None:
    """Coroutine subscribers are judged as plain ones are."""
    bus = world.connect()
    recorder = Recorder()

    async def on_event(event: Event) -> None:
        if event.details["number"] == 0:
            raise LookupError("no such account")
        recorder.on_event(event)

    bus.subscribe(EventTopic(), on_event, workers=2, retry=NO_RETRY)
    bus.publish_many([an_event(number) for number in range(3)])

    recorder.wait_for(2)
    [letter] = world.wait_dead_letters(1)
    assert letter.headers[dead_letter.REASON] == "exception"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_p5_a_subscriber_that_tries_to_end_the_process_ends_nothing(world: World, error: BaseException) -> None:
    """``sys.exit()`` in a callback must cost neither the worker nor the event."""
    bus = world.connect()
    recorder = Recorder()

    def on_event(event: Event) -> None:
        if event.details["number"] == 0:
            raise error
        recorder.on_event(event)

    bus.subscribe(EventTopic(), on_event, retry=NO_RETRY)
    bus.publish_many([an_event(number) for number in range(3)])

    recorder.wait_for(2)
    world.wait_dead_letters(1)


def test_p5_an_event_that_no_topic_explains_is_dead_lettered(world: World) -> None:
    """A newer member may have bound the group's queue more widely: acknowledging would lose the event for it."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(event_category="UsageEvent"), recorder, group="billing")
    world.bind(names.group_queue(world.exchange, "billing"), "AlertEvent.*.*.*.*")

    alert, usage = an_event(1, event_category="AlertEvent"), an_event(2, event_category="UsageEvent")
    bus.publish(alert)
    bus.publish(usage)

    [letter] = world.wait_dead_letters(1, "billing")
    assert letter.headers[dead_letter.REASON] == "no-topic"
    assert json.loads(letter.body)["eventId"] == str(alert.event_id)
    assert recorder.wait_for(1).ids == [usage.event_id]


def test_p5_what_only_the_coarse_binding_brought_is_no_dead_letter(world: World) -> None:
    """``VM.#`` binds every type: the rest is acknowledged unseen and counted, and fills no dead-letter queue."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(event_type="VM.#"), recorder, group="workflow")
    for event_type in ("VOLUME.CREATE", "VM.START", "NETWORK.CREATE", "VM.STOP"):
        bus.publish(an_event(event_type=event_type))

    assert [event.event_type for event in recorder.wait_for(2).events] == ["VM.START", "VM.STOP"]
    [subscription_id] = bus.stats().subscriptions
    wait_until(lambda: bus.stats().subscriptions[subscription_id].filtered == 2, "two filtered events")
    bus.close()
    state = world.queue_state(names.group_queue(world.exchange, "workflow"))
    assert state is not None
    assert state.ready == 0
    assert world.dead_letters("workflow") == []


def test_p5_a_discarded_event_is_acknowledged_counted_and_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """``Discard`` is the subscriber's word that the event is of no use: told, and not kept."""
    bus = world.connect()

    def on_event(event: Event) -> None:
        raise Discard("account is closed")

    subscription_id = bus.subscribe(EventTopic(), on_event, group="billing")
    with caplog.at_level(logging.INFO, logger="bus_amqp"):
        bus.publish(an_event())
        wait_until(lambda: bus.stats().subscriptions[subscription_id].discarded == 1, "the discarded event")

    assert "account is closed" in caplog.text
    bus.close()
    state = world.queue_state(names.group_queue(world.exchange, "billing"))
    assert state is not None
    assert state.ready == 0
    assert world.dead_letters("billing") == []


def test_p5_an_event_that_costs_its_process_twenty_times_is_set_aside(world: World) -> None:
    """Poison: each process that takes it dies, and takes everything else that it has in hand along."""
    bus = world.connect()
    gate = Gate()
    subscription_id = bus.subscribe(EventTopic(), gate, group="billing", prefetch=1)
    event = an_event()
    bus.publish(event)
    gate.wait_entered()
    dead = names.dead_queue(world.exchange, "billing")

    losses = 0

    def is_back_or_dead() -> bool:
        is_dead = bool((state := world.queue_state(dead)) and state.ready)
        return is_dead or bus.stats().subscriptions[subscription_id].delivered > losses

    while bus.stats().subscriptions[subscription_id].delivered > losses:
        losses += 1
        world.cut_consumer_of(bus)
        wait_until(is_back_or_dead, "the event to come again")

    assert losses == POISON_LIMIT + 1
    [letter] = world.wait_dead_letters(1, "billing")
    assert json.loads(letter.body)["eventId"] == str(event.event_id)
    assert letter.headers["x-first-death-reason"] == "delivery_limit"
    gate.let_go()


def test_p5_the_original_stays_until_its_dead_letter_is_stored(world: World) -> None:
    """A copy that no queue took is no copy: the bus makes the dead-letter queue again and tries once more."""
    bus = world.connect()
    dead = names.dead_queue(world.exchange, "billing")
    tried = threading.Semaphore(0)

    def fail(event: Event) -> None:
        tried.release()
        raise LookupError("no such account")

    bus.subscribe(EventTopic(), fail, group="billing", retry=NO_RETRY)
    world.delete_queue(dead)
    bus.publish(an_event())

    for _ in range(2):
        assert tried.acquire(timeout=TIMEOUT_SECONDS), "the event did not come again"
    [letter] = world.wait_dead_letters(1, "billing")
    assert letter.headers[dead_letter.REASON] == "exception"
    wait_until(lambda: bus.health(), "the subscription to be well")


def test_p5_dead_letters_wait_in_the_outbox_while_the_broker_is_away(world: World) -> None:
    """The copy is confirmed before the original is settled, however long that takes."""
    gate_open, inside = threading.Event(), threading.Event()
    bus = world.connect()

    def fail_later(event: Event) -> None:
        inside.set()
        gate_open.wait(TIMEOUT_SECONDS)
        raise LookupError("no such account")

    bus.subscribe(EventTopic(), fail_later, group="billing", retry=NO_RETRY)
    event = an_event()
    bus.publish(event)
    assert inside.wait(TIMEOUT_SECONDS)
    world.take_broker_away()
    wait_until(lambda: not bus.health(), "the loss to be seen")
    gate_open.set()
    world.bring_back()

    queue = names.group_queue(world.exchange, "billing")
    wait_until(
        lambda: bus.health() and (state := world.queue_state(queue)) and state.ready == 0 and _is_idle(bus.health()),
        "the event to be settled",
    )
    wait_until(lambda: bus.stats().waiting == 0, "the copies to be stored")
    letters = world.dead_letters("billing")
    assert {json.loads(letter.body)["eventId"] for letter in letters} == {str(event.event_id)}


def _is_idle(health: object) -> bool:
    return all(one.running == one.waiting == 0 for one in health.subscriptions)  # type: ignore[attr-defined]
