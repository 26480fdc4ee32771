"""``bus_amqp.consume.outage``: since when, and when to try again."""

import time

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.consume import outage as module
from bus_amqp.consume.outage import Outage
from bus_amqp.errors import AccessRefusedError, ChannelLostError, InvalidArgumentError


@pytest.fixture
def outage() -> Outage:
    """Without jitter: of each bound the whole is waited."""
    return Outage(Backoff(first_seconds=10.0, ceiling_seconds=40.0, uniform=lambda low, high: high))


def _pause(outage: Outage, error: Exception) -> float:
    outage.plan_retry(error)
    assert outage.retry_at is not None
    return round(outage.retry_at - time.monotonic())


def test_the_gap_begins_with_the_first_loss(outage: Outage) -> None:
    """P2: not with the last vain try to restore it."""
    assert outage.gap() is None, "nothing was missed before it ever consumed"
    before = time.time()
    outage.begin(was_consuming=True)
    lost_at = outage.lost_at
    outage.begin(was_consuming=False)

    gap = outage.gap()

    assert gap is not None
    assert gap.since.timestamp() == pytest.approx(lost_at)
    assert before <= gap.since.timestamp() <= gap.until.timestamp() <= time.time()
    outage.over()
    assert outage.gap() is None


@pytest.mark.parametrize("error", [AccessRefusedError("no right"), InvalidArgumentError("no such value")])
def test_what_is_refused_waits_for_an_operator(
    outage: Outage, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: however often it was tried, it does not mend itself, nor should he wait for long."""
    monkeypatch.setattr(module, "REFUSED_PAUSE_SECONDS", 5.0)

    assert [_pause(outage, error) for _ in range(3)] == [5, 5, 5]


def test_what_may_pass_is_tried_less_and_less_often(outage: Outage) -> None:
    """P7: a copy that can never be stored would have its event delivered ten times a second for ever."""
    assert [_pause(outage, ChannelLostError("lost")) for _ in range(4)] == [10, 20, 40, 40]


def test_a_cancel_may_be_a_deletion_for_a_while(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    """P2: the queue may still be there, and a look at it is worth little; so the next one follows soon."""
    monkeypatch.setattr(module, "DELETION_SECONDS", 30.0)
    assert not outage.may_be_deletion
    outage.cancelled()

    assert outage.may_be_deletion
    assert _pause(outage, ChannelLostError("cancelled")) == 3

    monkeypatch.setattr(module, "DELETION_SECONDS", 0.0)
    assert not outage.may_be_deletion
    assert _pause(outage, ChannelLostError("still away")) == 20


def test_the_next_session_forgets_the_cancel(outage: Outage) -> None:
    """Or a lost connection, a moment later, would cost a pause for nothing."""
    outage.cancelled()
    outage.over()

    assert not outage.may_be_deletion
    assert outage.retry_at is None
