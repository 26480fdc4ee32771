"""P5: an event whose subscriber failed is tried again later, by this subscription alone, and never lost meanwhile."""

import json
import threading
import time
from collections import Counter
from uuid import UUID

import pytest

from bus_amqp import NO_RETRY, Event, EventTopic, RetryLater, RetryPolicy
from bus_amqp.consume import dead_letter
from bus_amqp.consume.second_chance import POSTPONED
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

SOON = RetryPolicy(attempts=3, delays_seconds=(1,))  # the smallest rung: a test has no patience


class Failing:
    """Fails on the first calls with each event, then handles it.  Handlers of several workers may share one."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self._failures = failures
        self._error = error or LookupError("no such account")
        self._lock = threading.Lock()
        self.calls: Counter[UUID] = Counter()
        self.handled = Recorder()

    def on_event(self, event: Event) -> None:
        with self._lock:
            self.calls[event.event_id] += 1
            number = self.calls[event.event_id]
        if number <= self._failures:
            raise self._error
        self.handled.on_event(event)


def wait_empty(world: World, queue: str) -> None:
    """Wait until nothing is left in a queue."""
    wait_until(lambda: (state := world.queue_state(queue)) is not None and state.ready == 0, f"{queue} to be empty")


@pytest.mark.parametrize("group", ["billing", None], ids=["group", "temporary"])
def test_p5_a_failed_event_is_tried_again_until_it_is_handled(world: World, group: str | None) -> None:
    """A database that is away for a moment must cost no event, and no operator his evening."""
    bus = world.connect()
    failing = Failing(2)
    subscription_id = bus.subscribe(EventTopic(), failing, group=group, retry=SOON)
    event = an_event()
    bus.publish(event)

    assert failing.handled.wait_for(1, TIMEOUT_SECONDS).events == [event]
    assert failing.calls[event.event_id] == 3
    wait_until(lambda: bus.stats().subscriptions[subscription_id].handled == 1, "the count")
    stats = bus.stats().subscriptions[subscription_id]
    assert (stats.retried, stats.dead_lettered) == (2, 0)
    wait_empty(world, names.wait_queue(world.exchange, 1))
    assert world.dead_letters(group) == []


def test_p5_nobody_else_sees_a_retry(world: World) -> None:
    """It returns to the queue of who failed: to publish it again would have all the others handle it twice."""
    bus = world.connect()
    failing, other, watcher = Failing(1), Recorder(), Recorder()
    bus.subscribe(EventTopic(), failing, group="billing", retry=SOON)
    bus.subscribe(EventTopic(), other, group="workflow")
    bus.subscribe(EventTopic(), watcher)
    events = [an_event(number) for number in range(20)]
    bus.publish_many(events)

    failing.handled.wait_for(20, TIMEOUT_SECONDS)
    assert set(failing.calls.values()) == {2}
    assert other.ids == watcher.ids == [event.event_id for event in events]


def test_p5_an_event_whose_attempts_are_used_up_is_dead_lettered(world: World) -> None:
    """With the number of attempts, the first and the last failure, and the key that it was published with."""
    bus = world.connect()
    failing = Failing(99)
    subscription_id = bus.subscribe(EventTopic(), failing, group="billing", retry=SOON)
    event = an_event()
    bus.publish(event)

    [letter] = world.wait_dead_letters(1, "billing")
    assert failing.calls[event.event_id] == 3
    assert json.loads(letter.body)["eventId"] == str(event.event_id)
    assert letter.headers[dead_letter.REASON] == "exception"
    assert letter.headers[dead_letter.ATTEMPTS] == 3
    assert str(letter.headers[dead_letter.FIRST_FAILURE]) < str(letter.headers[dead_letter.LAST_FAILURE])
    assert letter.headers[dead_letter.ROUTING_KEY] == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
    assert letter.headers[dead_letter.EXCHANGE] == world.exchange
    stats = bus.stats().subscriptions[subscription_id]
    assert (stats.retried, stats.dead_lettered) == (2, 1)


def test_p5_an_error_that_will_come_again_is_not_waited_for(world: World) -> None:
    """``no_retry_on``: an event that makes no sense makes none in ten minutes either."""
    bus = world.connect()
    failing = Failing(99)
    retry = RetryPolicy(attempts=5, delays_seconds=(3600,), no_retry_on=(LookupError,))
    bus.subscribe(EventTopic(), failing, group="billing", retry=retry)
    bus.publish(an_event())

    [letter] = world.wait_dead_letters(1, "billing")
    assert letter.headers[dead_letter.ATTEMPTS] == 1
    assert set(failing.calls.values()) == {1}


def test_p5_a_subscriber_may_ask_for_a_later_call(world: World) -> None:
    """``RetryLater`` is no failure: it uses up no attempt, not even the only one."""
    bus = world.connect()
    failing = Failing(2, RetryLater(0.5))
    bus.subscribe(EventTopic(), failing, group="billing", retry=NO_RETRY)
    event = an_event()
    bus.publish(event)

    assert failing.handled.wait_for(1, TIMEOUT_SECONDS).events == [event]
    assert failing.calls[event.event_id] == 3
    assert world.dead_letters("billing") == []


def test_p5_a_coroutine_is_tried_again(world: World) -> None:
    """Coroutine subscribers are judged as plain ones are."""
    bus = world.connect()
    failing = Failing(1)

    async def on_event(event: Event) -> None:
        failing.on_event(event)

    bus.subscribe(EventTopic(), on_event, workers=3, retry=SOON)
    bus.publish_many([an_event(number) for number in range(5)])

    failing.handled.wait_for(5, TIMEOUT_SECONDS)


def test_p5_a_copy_is_the_message_itself(world: World) -> None:
    """A bare message has its identity in its properties: a retry that lost them would be another event."""
    bus = world.connect()
    failing = Failing(2)
    bus.subscribe(EventTopic(), failing, group="billing", retry=RetryPolicy(attempts=2, delays_seconds=(1,)))
    body = json.dumps({"eventCategory": "A", "eventType": "B", "eventSource": "agent"}).encode()

    world.publish_raw(body, content_type="application/json; charset=utf-8", headers={"tenant": "a"}, message_id="17")

    [letter] = world.wait_dead_letters(1, "billing")
    assert list(failing.calls.values()) == [2], "one id, whoever reads it"
    assert (letter.body, letter.content_type) == (body, "application/json; charset=utf-8")
    assert letter.headers["tenant"] == "a"
    assert letter.headers[dead_letter.ROUTING_KEY] == "A.B.C.D.E"
    assert POSTPONED not in letter.headers


def test_p5_a_deleted_rung_is_made_again(world: World) -> None:
    """P7: an operator who tidies up takes no event with him that has not begun to wait, and ends no subscription."""
    bus = world.connect()
    sender = world.connect()  # what is unconfirmed beside a copy that costs the channel is rightly sent again
    failing = Failing(1)
    subscription_id = bus.subscribe(EventTopic(), failing, group="billing", retry=SOON)
    sender.publish(an_event(0))
    failing.handled.wait_for(1, TIMEOUT_SECONDS)
    rung = names.wait_queue(world.exchange, 1)

    world.delete_queue(rung)
    sender.publish(an_event(1))
    failing.handled.wait_for(2, TIMEOUT_SECONDS)
    world.delete_exchange(rung)
    sender.publish(an_event(2))
    failing.handled.wait_for(3, TIMEOUT_SECONDS)

    assert bus.stats().subscriptions[subscription_id].delivered == 6, "no session was ended for it"
    assert world.dead_letters("billing") == []


def test_p5_what_cannot_return_is_dead_lettered(world: World) -> None:
    """The way back was deleted while the event waited: it must neither vanish nor hold up the whole rung."""
    bus = world.connect()
    failing = Failing(1)
    queue = names.group_queue(world.exchange, "billing")
    bus.subscribe(EventTopic(), failing, group="billing", retry=SOON)
    world.unbind(queue, queue, exchange=names.return_exchange(world.exchange))
    event = an_event()
    bus.publish(event)

    [letter] = world.wait_dead_letters(1, "billing")
    assert json.loads(letter.body)["eventId"] == str(event.event_id)
    assert letter.headers[dead_letter.REASON] == "astray"
    assert letter.headers[dead_letter.QUEUE] == queue
    assert "LookupError" in str(letter.headers[dead_letter.EXCEPTION])


def test_p5_an_event_of_a_subscription_that_has_ended_is_dead_lettered(world: World) -> None:
    """A temporary queue goes with its subscription; what waits for it then has nowhere to go back to."""
    bus = world.connect()
    failing = Failing(1)
    subscription_id = bus.subscribe(EventTopic(), failing, retry=SOON)
    bus.subscribe(EventTopic(), Recorder())  # another temporary one: its queue is not the place either
    bus.publish(an_event())
    rung = names.wait_queue(world.exchange, 1)
    wait_until(lambda: (state := world.queue_state(rung)) and state.ready, "the event to wait")
    bus.unsubscribe(subscription_id)

    [letter] = world.wait_dead_letters(1)
    assert str(letter.headers[dead_letter.QUEUE]).endswith(str(subscription_id))


def test_p5_a_waiting_event_survives_the_broker(world: World) -> None:
    """It waits in the broker and not in a timer: a crash of either side loses none, nor those whose time comes then."""
    bus = world.connect()
    failing = Failing(1)
    bus.subscribe(EventTopic(), failing, group="billing", retry=RetryPolicy(attempts=2, delays_seconds=(5,)))
    events = [an_event(number) for number in range(5)]
    bus.publish_many(events)
    rung = names.wait_queue(world.exchange, 5)
    wait_until(lambda: (state := world.queue_state(rung)) and state.ready == 5, "all to wait")

    waits_until = time.monotonic() + 5
    world.crash_broker()
    wait_until(lambda: time.monotonic() > waits_until, "their time to come")
    world.start_broker()

    handled = failing.handled.wait_for(5, 3 * TIMEOUT_SECONDS)
    assert set(handled.ids_without_duplicates()) == {event.event_id for event in events}


def test_p5_a_waiting_event_is_handled_by_another_process(world: World) -> None:
    """The process that failed may be gone when the time comes: its group goes on."""
    first, second = world.connect(), world.connect()
    failing, other = Failing(99), Failing(0)
    retry = RetryPolicy(attempts=2, delays_seconds=(5,))
    first.subscribe(EventTopic(), failing, group="billing", retry=retry)
    event = an_event()
    first.publish(event)
    rung = names.wait_queue(world.exchange, 5)
    wait_until(lambda: (state := world.queue_state(rung)) and state.ready == 1, "the event to wait")

    first.close()
    second.subscribe(EventTopic(), other, group="billing", retry=retry)

    assert other.handled.wait_for(1, TIMEOUT_SECONDS).events == [event]
