"""P3: with ``keep_order`` a failed event keeps its place; what of its resource came later waits behind it."""

import asyncio
import threading

import pytest

from bus_amqp import Event, EventTopic, InvalidArgumentError, RetryPolicy
from bus_amqp.consume import dead_letter
from bus_amqp.topology import names
from tests.promise.subscribers import an_event, number_of
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until
from tests.promise.world import World

IN_ORDER = RetryPolicy(attempts=4, delays_seconds=(0.3,), keep_order=True)
ORDERED = pytest.mark.parametrize("group", [None, "billing"], ids=["temporary", "ordered"])


class Stumbling:
    """Fails on the first ``failures`` calls with number 0 of resource ``bad``; notes what it has handled."""

    def __init__(self, failures: int) -> None:
        self._lock = threading.Lock()
        self._failures = failures  # guarded by _lock
        self.tried = 0  # guarded by _lock
        self._handled: list[tuple[str, int]] = []  # guarded by _lock

    def on_event(self, event: Event) -> None:
        with self._lock:
            if event.resource_uuid == "bad" and number_of(event) == 0:
                self.tried += 1
                if self.tried <= self._failures:
                    raise LookupError("no such account")
            self._handled.append((event.resource_uuid, number_of(event)))

    @property
    def handled(self) -> list[tuple[str, int]]:
        with self._lock:
            return list(self._handled)

    def numbers_of(self, resource: str) -> list[int]:
        return [number for one, number in self.handled if one == resource]


@ORDERED
@pytest.mark.parametrize("workers", [1, 3])
def test_p3_later_events_of_the_resource_wait_and_others_go_on(world: World, group: str | None, workers: int) -> None:
    """ "Stopped" must not overtake a "started" that failed; and one bad resource must not stop a thousand good ones."""
    bus = world.connect()
    stumbling = Stumbling(3)
    bus.subscribe(EventTopic(), stumbling, group=group, ordered=bool(group), workers=workers, retry=IN_ORDER)
    bus.publish_many([an_event(number, resource) for number in range(10) for resource in ("bad", "good")])

    wait_until(lambda: len(stumbling.handled) == 20, "all events")
    assert stumbling.numbers_of("bad") == stumbling.numbers_of("good") == list(range(10))
    assert stumbling.handled[:10] == [("good", number) for number in range(10)], "the good one waited for the bad one"
    assert stumbling.tried == 4
    assert world.dead_letters(group) == []
    [health] = bus.health().subscriptions
    assert health.is_consuming


def test_p3_a_coroutine_keeps_its_order_too(world: World) -> None:
    """Nobody is woken by a delivery when the time of a kept event comes."""
    bus = world.connect()
    stumbling = Stumbling(2)

    async def on_event(event: Event) -> None:
        await asyncio.sleep(0)
        stumbling.on_event(event)

    bus.subscribe(EventTopic(), on_event, workers=2, retry=IN_ORDER)
    bus.publish_many([an_event(number, resource) for number in range(5) for resource in ("bad", "good")])

    wait_until(lambda: len(stumbling.handled) == 10, "all events")
    assert stumbling.numbers_of("bad") == list(range(5))


@ORDERED
def test_p3_a_resource_goes_on_when_its_event_is_used_up(world: World, group: str | None) -> None:
    """The failed event is dead-lettered with its attempts, and those behind it are handled."""
    bus = world.connect()
    stumbling = Stumbling(99)
    bus.subscribe(EventTopic(), stumbling, group=group, ordered=bool(group), retry=IN_ORDER)
    bus.publish_many([an_event(number, "bad") for number in range(5)])

    [letter] = world.wait_dead_letters(1, group)
    assert letter.headers[dead_letter.ATTEMPTS] == 4
    assert str(letter.headers[dead_letter.FIRST_FAILURE]) < str(letter.headers[dead_letter.LAST_FAILURE])
    wait_until(lambda: stumbling.numbers_of("bad") == [1, 2, 3, 4], "those behind it")


def test_p3_a_subscription_that_stands_still_says_so(world: World) -> None:
    """When half the prefetch waits behind failures, more of the same would only be hoarded: P7, health tells."""
    bus = world.connect()
    stumbling = Stumbling(1)
    retry = RetryPolicy(attempts=2, delays_seconds=(3,), keep_order=True)
    bus.subscribe(EventTopic(), stumbling, prefetch=8, retry=retry)
    bus.publish_many([an_event(number, "bad") for number in range(4)])

    wait_until(lambda: "stands still" in bus.health().subscriptions[0].reason, "health to say so")
    assert not bus.health()
    bus.publish(an_event(0, "good"))

    wait_until(lambda: len(stumbling.handled) == 5, "it to go on")
    assert stumbling.handled[0] == ("bad", 0), "something was started while it stood still"
    wait_until(bus.health, "health to be well")


def test_p3_a_lost_connection_forgets_nothing_that_was_kept(world: World) -> None:
    """What waits in the process is not acknowledged: the broker delivers it again, in order."""
    bus = world.connect()
    stumbling = Stumbling(1)
    retry = RetryPolicy(attempts=3, delays_seconds=(600,), keep_order=True)
    bus.subscribe(EventTopic(), stumbling, group="billing", ordered=True, retry=retry)
    bus.publish_many([an_event(number, "bad") for number in range(4)])
    wait_until(lambda: stumbling.tried == 1, "the failure")

    world.cut_consumer_of(bus)

    wait_until(lambda: stumbling.numbers_of("bad") == [0, 1, 2, 3], "all events")


def test_p8_closing_gives_back_what_is_kept(world: World) -> None:
    """``close`` waits for no delay; the next process handles the event, and those behind it."""
    bus = world.connect()
    stumbling = Stumbling(1)
    retry = RetryPolicy(attempts=3, delays_seconds=(600,), keep_order=True)
    bus.subscribe(EventTopic(), stumbling, group="billing", ordered=True, retry=retry)
    bus.publish_many([an_event(number, "bad") for number in range(3)])
    wait_until(lambda: stumbling.tried == 1, "the failure")

    bus.close(TIMEOUT_SECONDS)

    queue = names.group_queue(world.exchange, "billing")
    wait_until(lambda: (state := world.queue_state(queue)) and state.ready == 3, "all three to be back")


def test_p3_a_plain_group_cannot_keep_order(world: World) -> None:
    """Its members share the events of a resource: one cannot keep back what another gets."""
    bus = world.connect()

    with pytest.raises(InvalidArgumentError, match="ordered=True"):
        bus.subscribe(EventTopic(), Stumbling(0), group="billing", retry=IN_ORDER)
    with pytest.raises(InvalidArgumentError, match="NO_RETRY"):
        bus.subscribe(EventTopic(), Stumbling(0), retry=None)  # type: ignore[arg-type]  # what one may try
