"""P5: a flood of what nobody can read goes to the dead letters, and what can be read goes on."""

from bus_amqp import EventTopic
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until
from tests.promise.world import World

FLOOD = 300


def test_p5_a_flood_of_undecodable_messages_starves_no_good_event(world: World) -> None:
    """Each is set aside with a copy that the broker has to confirm: the prefetch must not be held by them for good."""
    bus = world.connect()
    recorder = Recorder()
    bus.subscribe(EventTopic(), recorder, group="billing", prefetch=5)
    good = [an_event(number) for number in range(3)]

    bus.publish(good[0])
    for number in range(FLOOD):
        if number == FLOOD // 2:
            bus.publish(good[1])
        world.publish_raw(b"{not json", routing_key="A.B.C.D.E")
    bus.publish(good[2])

    recorder.wait_for(3)
    assert recorder.ids == [event.event_id for event in good]
    world.wait_dead_letters(FLOOD, "billing")
    wait_until(lambda: bus.health(), "the bus to be well")
    [stats] = bus.stats().subscriptions.values()
    assert (stats.handled, stats.dead_lettered) == (3, FLOOD)
