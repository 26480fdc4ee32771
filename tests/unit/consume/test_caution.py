"""``bus_amqp.consume.caution``: when to take one event at a time, and when that is over."""

import pytest

from bus_amqp.consume.caution import DELIVERY_COUNT, ORDERED, SHARED, Caution
from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import Properties
from tests.unit.fakes import FakeDelivery

NEW = FakeDelivery(redelivered=False)


def delivered(count: object) -> FakeDelivery:
    return FakeDelivery(properties=Properties(headers={DELIVERY_COUNT: count}), redelivered=True)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("first", "is_careful"),
    [
        (NEW, False),
        (delivered(1), False),
        (delivered(2), True),
        (delivered(19), True),
        (delivered("many"), False),
        (FakeDelivery(properties=UndecodableError("malformed", reason="properties"), redelivered=True), False),
    ],
)
def test_the_first_event_decides(first: FakeDelivery, is_careful: bool) -> None:
    """P5: delivered three times already, it may be what ends the process; those behind it are innocent."""
    caution = Caution(SHARED)

    assert caution.look([first, delivered(19)]) is is_careful
    assert (caution.is_careful, caution.is_watching) == (is_careful, is_careful)


@pytest.mark.parametrize(("count", "is_careful"), [(9, False), (10, True), (15, True), (16, False)])
def test_an_ordered_group_is_careful_late_and_never_so_late_that_care_would_kill(count: int, is_careful: bool) -> None:
    """P3, P5: three orderly restarts are no crashes; twenty members that stand by must not count an event to death."""
    assert Caution(ORDERED).look([delivered(count)]) is is_careful


def test_it_ends_when_an_event_is_settled_that_was_never_delivered_before() -> None:
    """Until then the poison may be still ahead: with many in hand its crash would be counted against all of them."""
    caution = Caution(ORDERED)
    caution.look([delivered(11)])

    for _ in range(100):
        caution.look([delivered(11)])
        assert not caution.may_end(0)
    caution.look([NEW])
    assert not caution.may_end(1), "it is in hand, and may be a poison of its own"
    assert caution.may_end(0)
    caution.end()
    assert (caution.is_careful, caution.is_watching) == (False, False)


def test_a_group_that_shares_its_work_is_careful_for_twenty_events() -> None:
    """An orderly restart looks the same: five hundred slow events one by one would be a heavy price for nothing."""
    caution = Caution(SHARED)
    caution.look([delivered(5)])

    ends = []
    for _ in range(20):
        caution.look([delivered(5)])
        ends.append(caution.may_end(0))

    assert ends == [False] * 19 + [True]


def test_a_queue_that_counts_nothing_is_not_watched() -> None:
    """A temporary subscription's classic queue has no counts and no limit."""
    assert not Caution().is_watching
