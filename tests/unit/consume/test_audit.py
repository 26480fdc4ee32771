"""``bus_amqp.consume.audit``: what looks at a queue mean, against what a ghost and a healthy consumer look like."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.consume.audit import MOST_LOOKS, Audit, Finding, Situation
from bus_amqp.errors import ConnectionLostError, NotFoundOnBrokerError
from bus_amqp.transport.base import QueueState

IDLE = Situation(delivered=7, unsettled=0, prefetch=10, is_active=True)


def looks(audit: Audit, *states: QueueState | None, situation: Situation = IDLE) -> list[Finding]:
    return [audit.judge(state, situation) for state in states]


def test_a_queue_that_is_not_there_is_gone_at_once() -> None:
    """P7: a deleted queue whose ``basic.cancel`` never came; a passive declare is not in doubt."""
    assert looks(Audit(), None) == [Finding.GONE]


def test_no_consumer_is_believed_at_the_second_look() -> None:
    """P7: zero consumers on the queue of a process that says it is consuming, the ghost that everybody reports."""
    alone = QueueState(ready=0, consumers=0)

    assert looks(Audit(), alone, alone) == [Finding.SUSPICIOUS, Finding.UNKNOWN]
    assert looks(Audit(), alone, QueueState(0, 1), alone) == [Finding.SUSPICIOUS, Finding.WELL, Finding.SUSPICIOUS]


def test_messages_that_wait_while_we_have_room_are_a_ghost_at_the_second_look() -> None:
    """P7: the consumer is listed, and the broker delivers nothing to it."""
    waiting = QueueState(ready=5, consumers=3)

    assert looks(Audit(), waiting, waiting) == [Finding.WELL, Finding.SILENT]


def test_one_delivery_between_two_looks_shows_that_the_broker_delivers() -> None:
    """A healthy subscription is never disturbed: a new session would deliver again what is in hand."""
    audit, waiting = Audit(), QueueState(ready=5, consumers=1)

    found = [
        audit.judge(waiting, Situation(delivered=number, unsettled=0, prefetch=10, is_active=True))
        for number in range(20)
    ]

    assert set(found) == {Finding.WELL}


def test_a_consumer_with_full_hands_is_slow_and_no_ghost() -> None:
    """Its prefetch is the reason why the broker sends nothing; to begin anew would only repeat the work."""
    busy = Situation(delivered=7, unsettled=6, prefetch=10, is_active=True)

    assert set(looks(Audit(), *[QueueState(ready=5, consumers=1)] * 10, situation=busy)) == {Finding.WELL}


def test_who_stands_by_is_silent_rightly() -> None:
    """P3: the active consumer of an ordered group has full hands, the others get nothing; the count shows one alone."""
    standby = Situation(delivered=7, unsettled=0, prefetch=10, is_active=False)
    waiting = [QueueState(ready=5, consumers=1)] * 10

    assert set(looks(Audit(has_standby=True), *waiting, situation=standby)) == {Finding.WELL}
    assert looks(Audit(has_standby=True), *waiting[:2])[-1] is Finding.SILENT
    assert looks(Audit(), *waiting[:2], situation=standby)[-1] is Finding.SILENT


def test_a_new_session_that_changed_nothing_is_tried_more_and_more_seldom() -> None:
    """Each new session has the broker begin a transfer again: over a very slow line none would ever end."""
    audit, waiting = Audit(), QueueState(ready=5, consumers=1)
    found = []
    for _ in range(100):
        found.append(audit.judge(waiting, IDLE))
        if found[-1] is Finding.SILENT:
            audit.began()

    at = [number for number, one in enumerate(found) if one is Finding.SILENT]
    assert at[:4] == [1, 5, 13, 29]
    assert {later - earlier for earlier, later in pairwise(at[3:])} == {MOST_LOOKS}


def test_the_backlog_is_told_and_a_failed_look_says_why() -> None:
    """P4: health warns before a backlog fills the broker; a look that failed says nothing about the queue."""
    audit = Audit(backlog_warning=100)

    audit.judge(QueueState(ready=100, consumers=1), IDLE)
    assert (audit.backlog, audit.has_backlog) == (100, False)
    audit.judge(QueueState(ready=101, consumers=1), IDLE)
    assert audit.has_backlog
    looked_at = audit.looked_at
    audit.failed(TimeoutError("no majority"))
    assert (audit.error, audit.looked_at, audit.backlog) == ("no majority", looked_at, 101)
    audit.judge(QueueState(ready=0, consumers=1), IDLE)
    assert (audit.error, audit.has_backlog) == ("", False)


@given(
    states=st.lists(st.builds(QueueState, ready=st.integers(0, 3), consumers=st.integers(1, 3)), max_size=40),
    unsettled=st.integers(6, 10),
    has_standby=st.booleans(),
)
def test_nothing_that_a_listed_and_busy_consumer_can_show_ends_its_session(
    states: list[QueueState], unsettled: int, has_standby: bool
) -> None:
    """A healthy one is never subscribed again, whatever the numbers."""
    audit = Audit(has_standby=has_standby)

    found = looks(audit, *states, situation=Situation(delivered=7, unsettled=unsettled, prefetch=10, is_active=True))

    assert set(found) <= {Finding.WELL}


def test_a_missing_exchange_of_others_is_a_gap_once_it_is_back() -> None:
    """What its owner published meanwhile is nowhere: told once, from the last good look to the first."""
    audit = Audit()
    audit.judge(QueueState(0, 1), IDLE)
    looked_at = audit.looked_at
    audit.failed(NotFoundOnBrokerError("no exchange 'theirs'"))
    audit.failed(NotFoundOnBrokerError("no exchange 'theirs'"))

    audit.judge(QueueState(0, 1), IDLE)
    gap = audit.bound_again()

    assert gap is not None
    assert gap.since == looked_at
    assert gap.until >= gap.since
    assert audit.bound_again() is None


def test_a_look_that_fails_for_another_reason_is_no_gap() -> None:
    """A control connection that is lost says nothing of bindings."""
    audit = Audit()

    audit.failed(ConnectionLostError("cut"))

    assert audit.bound_again() is None
