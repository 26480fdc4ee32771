"""``bus_amqp.consume.handler_watch``: who runs for too long, with the clock in the test's hand."""

from bus_amqp.consume.handler_watch import HandlerWatch
from tests.unit.fakes import an_event


def test_a_handler_over_its_time_is_told_once() -> None:
    """P4: one line for a handler that hangs for a day, not one for each second."""
    watch = HandlerWatch(5.0)
    quick, slow = watch.slot(), watch.slot()
    slow.event = event = an_event(1)
    found = []

    for now in range(12):
        quick.event = an_event(now)  # another one at each look
        found.append(watch.look(float(now)))

    assert [now for now, events in enumerate(found) if events] == [5]
    assert found[5] == [event]
    assert (watch.slow, watch.told) == (1, 1)


def test_who_has_finished_is_slow_no_more() -> None:
    """Health tells of now, statistics of ever; the next event of the same worker has a time of its own."""
    watch = HandlerWatch(5.0)
    slot = watch.slot()
    slot.event = an_event(1)
    for now in (0.0, 6.0):
        watch.look(now)
    assert watch.slow == 1

    slot.event = None
    assert watch.look(7.0) == []
    assert (watch.slow, watch.told) == (0, 1)
    slot.event = an_event(2)
    assert [watch.look(now) for now in (8.0, 12.0)] == [[], []]
    assert watch.look(13.0) == [slot.event]
    assert watch.told == 2


def test_without_a_limit_nobody_is_slow() -> None:
    """``handler_timeout_seconds=0``."""
    watch = HandlerWatch(0.0)
    watch.slot().event = an_event(1)

    assert [watch.look(now) for now in (0.0, 1e9)] == [[], []]
    assert watch.slow == 0
