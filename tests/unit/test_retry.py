"""``bus_amqp.retry``: what a subscriber may say, and when an event that failed is tried again."""

import math

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.retry import (
    GROUP_RETRY,
    NO_RETRY,
    RUNGS_SECONDS,
    TEMPORARY_RETRY,
    RetryLater,
    RetryPolicy,
    delay_after,
    postponement_of,
    rung_for,
)

BOOM = LookupError("boom")


def delays_of(policy: RetryPolicy, error: BaseException = BOOM) -> list[float]:
    """Return all the delays that an event gets which never succeeds."""
    delays: list[float] = []
    while (delay := delay_after(len(delays) + 1, error, policy)) is not None:
        delays.append(delay)
    return delays


@pytest.mark.parametrize(
    ("delay", "rung"),
    [(0.001, 1), (1, 1), (1.01, 5), (5, 5), (6, 30), (31, 120), (121, 600), (600, 600), (601, 3600), (3600, 3600)],
)
def test_a_delay_takes_the_next_rung_up(delay: float, rung: int) -> None:
    """Never earlier than asked for (but for the jitter), and never a queue for a delay of one's own."""
    assert rung_for(delay) == rung
    assert rung in RUNGS_SECONDS


@pytest.mark.parametrize("delay", [3600.1, 86_400, math.inf, math.nan, 0, -1, True, "5", None])
def test_a_delay_that_no_rung_can_hold_is_refused(delay: float) -> None:
    """An event must not come back a day earlier than its subscriber said."""
    for use in (rung_for, RetryLater, lambda value: RetryPolicy(attempts=2, delays_seconds=(value,))):
        with pytest.raises(InvalidArgumentError, match="delay"):
            use(delay)
    assert issubclass(InvalidArgumentError, ValueError)


def test_the_default_of_groups_lasts_ten_minutes_and_that_of_temporary_ones_less_than_one() -> None:
    """The issue's numbers; a rung less its jitter is four fifths of it."""
    assert delays_of(GROUP_RETRY) == [5, 30, 120, 600]
    assert 600 <= 0.8 * sum(delays_of(GROUP_RETRY)) <= sum(delays_of(GROUP_RETRY)) <= 780
    assert delays_of(TEMPORARY_RETRY) == [5, 30]
    assert delays_of(NO_RETRY) == []


def test_the_last_delay_repeats() -> None:
    """Ten attempts need no list of nine delays."""
    assert delays_of(RetryPolicy(attempts=5, delays_seconds=(1, 5))) == [1, 5, 5, 5]


def test_an_error_that_will_come_again_is_not_tried_again() -> None:
    """Of its class or of one below; others are."""
    policy = RetryPolicy(attempts=3, delays_seconds=(1,), no_retry_on=(LookupError, TypeError))

    assert delays_of(policy, KeyError("k")) == []
    assert delays_of(policy, ValueError("v")) == [1, 1]


def test_one_class_and_a_list_are_taken_for_tuples() -> None:
    """What one writes first works, and the policy can still be a key of a dictionary."""
    policy = RetryPolicy(attempts=2, delays_seconds=[5], no_retry_on=LookupError)  # type: ignore[arg-type]  # as people do

    assert (policy.delays_seconds, policy.no_retry_on) == ((5,), (LookupError,))
    assert hash(policy) == hash(RetryPolicy(attempts=2, delays_seconds=(5,), no_retry_on=(LookupError,)))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"attempts": 1001}, "attempts"),
        ({"attempts": 2, "delays_seconds": ()}, "delays_seconds"),
        ({"delays_seconds": 5}, "delays_seconds"),
        ({"no_retry_on": (LookupError("an object"),)}, "no_retry_on"),
        ({"no_retry_on": ("LookupError",)}, "no_retry_on"),
        ({"keep_order": 1}, "keep_order"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_where_it_is_made(fields: dict[str, object], named: str) -> None:
    """And not at the first failure, in the night."""
    with pytest.raises(InvalidArgumentError, match=named):
        RetryPolicy(**fields)  # type: ignore[arg-type]  # the faults under test


def test_later_is_told_from_other_errors() -> None:
    """A subclass that skips our constructor has no delay: a failure like any other, and no fault of a worker."""

    class Careless(RetryLater):
        def __init__(self) -> None:
            """Forget the delay."""

    broken = RetryLater(5)
    broken.delay_seconds = 10**9

    assert postponement_of(RetryLater(5)) == 5
    assert [postponement_of(error) for error in (Careless(), broken, BOOM)] == [None, None, None]
