"""A rolling restart under load: each process in turn is told to end, and another takes its place."""

import signal
from collections import Counter

import pytest

from bus_amqp import EventBus
from tests.broker.test_processes import (  # the fixtures, too
    DEADLINE_SECONDS,
    Processes,
    assert_first_handlings_in_order,
    bus,
    processes,
    traffic,
)
from tests.promise.waiting import wait_until

__all__ = ["bus", "processes"]  # fixtures

WORKERS = 3
MEMBERS = 2


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [False, True], ids=["shared", "ordered"])
def test_a_rolling_restart_loses_nothing_and_repeats_nothing(
    processes: Processes,
    bus: EventBus,
    ordered: bool,
) -> None:
    """P3, P8: what runs is finished and acknowledged before the channel closes; the rest goes on, in order."""
    processes.write_module(ordered=ordered, workers=WORKERS, seconds=0.01)
    running = [processes.start(f"old-{number}") for number in range(MEMBERS)]

    with traffic(bus) as events:
        for number, old in enumerate(running):
            before = len(processes.handled())
            processes.wait_for_count(before + 100)
            processes.start(f"new-{number}")
            old.process.send_signal(signal.SIGTERM)
            assert old.process.wait(DEADLINE_SECONDS) == 0
        before = len(processes.handled())
        processes.wait_for_count(before + 100)

    processes.wait_for(events)
    wait_until(lambda: len(processes.handled()) >= len(events), "all of them")
    times = Counter(one.event_id for one in processes.handled())
    assert sum(times.values()) - len(events) <= MEMBERS * WORKERS, "at most what was running comes twice"
    if ordered:
        assert_first_handlings_in_order(processes.handled(), events)
