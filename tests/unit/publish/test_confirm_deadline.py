"""``bus_amqp.publish.confirm_deadline``: when waiting for confirms ends, on a clock of the test's."""

import math

import pytest

from bus_amqp.publish.confirm_deadline import ConfirmDeadline
from bus_amqp.publish.outbox import Entry
from tests.unit.fakes import an_entry


class Watch:
    """A deadline of ten seconds and its clock."""

    def __init__(self) -> None:
        self.now = 500.0
        self.deadline = ConfirmDeadline(10.0, lambda: self.now)

    def look(self, oldest: Entry | None, after: float = 0.0, *, is_standing: bool = False) -> float:
        self.now += after
        return self.deadline.look(oldest, is_standing=is_standing)


def test_the_time_runs_while_the_same_message_is_the_oldest() -> None:
    """A broker that answers nothing is given up in time."""
    watch, entry = Watch(), an_entry(1)

    assert watch.look(entry) == 10
    assert watch.look(entry, 4) == 6
    assert watch.deadline.waited_seconds == 4
    assert watch.look(entry, 6) <= 0


def test_any_progress_begins_anew() -> None:
    """A slow broker must not be sent everything twice because its window is long."""
    watch = Watch()
    watch.look(an_entry(1))

    assert watch.look(an_entry(2), 9) == 10
    assert watch.look(None, 9) == math.inf
    assert watch.look(an_entry(3), 100) == 10


def test_time_that_stands_still_is_not_counted() -> None:
    """Under an alarm the broker confirms nothing for hours, and that is no fault."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry)

    assert watch.look(entry, 3, is_standing=True) == 7
    assert watch.look(entry, 1000, is_standing=True) == 7
    watch.now += 1000
    assert watch.deadline.waited_seconds == 3
    assert watch.look(entry) == 7
    assert watch.look(entry, 2) == 5


def test_each_resend_in_a_row_is_given_twice_the_time() -> None:
    """Each may be stored once more when the queue has a majority again."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry)
    watch.look(entry, 10)

    watch.deadline.restart(is_resend=True)
    assert watch.look(entry, 1) == 20
    watch.look(entry, 20)
    watch.deadline.restart(is_resend=True)
    assert watch.look(entry) == 40
    assert watch.deadline.waited_seconds == 30

    assert watch.look(an_entry(2)) == 10, "confirms flow again"


def test_a_resend_that_has_to_wait_for_the_end_of_an_alarm_is_still_one_of_the_row() -> None:
    """Between giving up and sending again nothing is open: that is no progress."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry)
    watch.look(entry, 10)
    watch.deadline.restart(is_resend=True)

    assert watch.look(None, 60, is_standing=True) == math.inf
    assert watch.look(entry) == 20


def test_a_lost_connection_begins_anew_and_doubles_nothing() -> None:
    """It says nothing about the queue."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry)
    watch.look(entry, 9)

    watch.deadline.restart(is_resend=False)

    assert watch.look(entry, 50) == 10


@pytest.mark.parametrize("resends", [7, 8, 50])
def test_the_doubling_ends(resends: int) -> None:
    """An event that waits for a majority is tried again within the hour (at the default of 30 s)."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry)
    for _ in range(resends):
        watch.deadline.restart(is_resend=True)

    assert watch.look(entry) == 10 * 2**7


def test_silence_is_counted_while_the_time_stands_still_but_not_across_an_alarm_or_a_lost_connection() -> None:
    """P7: a broker that takes nothing for minutes is told; an alarm and a lost connection are told otherwise."""
    watch, entry = Watch(), an_entry(1)
    watch.look(entry, is_standing=True)
    watch.look(entry, 40, is_standing=True)
    watch.now += 2

    assert watch.deadline.waited_seconds == 0
    assert watch.deadline.silent_seconds == 42
    watch.deadline.restart(is_resend=True)
    assert watch.deadline.silent_seconds == 40, "what was looked at"
    watch.deadline.restart(is_resend=False)
    watch.look(entry, 1000)
    assert watch.deadline.silent_seconds == 0
    watch.look(an_entry(2), 3)
    assert watch.deadline.silent_seconds == 0
