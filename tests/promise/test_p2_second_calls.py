"""P2: at least once, and no more often than it must be: what succeeded is not handled again because a line broke."""

from collections import Counter

import pytest

from bus_amqp import Event, EventTopic
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import events_of
from tests.promise.waiting import wait_until

COUNT = 12_000
CUTS = 8


@pytest.mark.parametrize("workers", [1, 3])
def test_p2_what_was_handled_is_not_handled_again_after_a_cut(amqp_world: AmqpWorld, workers: int) -> None:
    """The last acknowledgements die with the connection, and nobody can tell which: up to a prefetch of them."""
    bus = amqp_world.connect(consumer={"prefetch": 200})
    calls: Counter[object] = Counter()

    def on_event(event: Event) -> None:
        calls[event.event_id] += 1

    bus.subscribe(EventTopic(), on_event, group="billing", workers=workers)
    publisher = amqp_world.connect(publisher={"publish_timeout_seconds": 20})
    events = events_of(COUNT, resources=50)

    for cut in range(CUTS):
        for event in events[cut * COUNT // CUTS : (cut + 1) * COUNT // CUTS]:
            publisher.publish(event)
        done = len(calls)
        wait_until(lambda done=done: len(calls) > done, "some of them")  # type: ignore[misc]
        amqp_world.cut_consumer_of(bus)
    wait_until(lambda: len(calls) == COUNT, "all of them")

    assert set(calls) == {event.event_id for event in events}
    # What a worker had in hand in the moment of the cut may have been begun twice; nothing else.
    assert sum(calls.values()) - COUNT <= CUTS * workers
