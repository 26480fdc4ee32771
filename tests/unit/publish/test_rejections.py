"""``bus_amqp.publish.rejections``: how often a broker that rejects is asked again, and what is told of it."""

import pytest

from bus_amqp.publish.rejections import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, Rejections
from tests.unit.fakes import an_entry


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rejecting_for(seconds: float) -> tuple[Rejections, Clock, int]:
    """Return what has met nothing but rejections for so long, and how often it has asked."""
    clock = Clock()
    rejections = Rejections(clock)
    began, tries = clock.now, 0
    while clock.now < began + seconds:
        rejections.note([an_entry(7)], has_confirmed=False)
        clock.now += rejections.begin_pause()
        tries += 1
    return rejections, clock, tries


def test_the_longer_a_broker_rejects_the_rarer_it_is_asked() -> None:
    """P2: each try stores the event once more in every queue that takes it; five a second would be a flood."""
    assert rejecting_for(2)[2] <= 11, "a queue between two leaders is well again soon"
    assert rejecting_for(3600)[2] < 200
    rejections, clock, _ = rejecting_for(3600)

    assert rejections.begin_pause() == LONGEST_PAUSE_SECONDS
    clock.now += 1
    assert rejections.pause_seconds == pytest.approx(LONGEST_PAUSE_SECONDS - 1)


def test_a_confirm_or_another_node_ends_it() -> None:
    """What a broker did an hour ago says nothing about what it does now."""
    rejections, _, _ = rejecting_for(3600)
    rejections.begin_pause()
    rejections.note([], has_confirmed=True)
    assert (rejections.pause_seconds, rejections.complaint) == (0, "")

    rejections.note([an_entry(1)], has_confirmed=True)
    assert rejections.begin_pause() == SHORTEST_PAUSE_SECONDS
    rejections.end()
    assert (rejections.pause_seconds, rejections.complaint) == (0, "")


def test_it_is_told_when_it_lasts_with_the_key_that_leads_to_the_queue() -> None:
    """P7: the rejection does not name the queue, and the operator has to find it."""
    assert rejecting_for(3)[0].complaint == "", "an election is no reason to complain"
    complaint = rejecting_for(60)[0].complaint

    assert "for 6" in complaint
    assert repr(an_entry(7).message.routing_key) in complaint
