"""``bus_amqp.backoff``: how long to wait before the next try."""

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.backoff import Backoff


def highest(low: float, high: float) -> float:
    """Take the longest delay that the jitter allows."""
    return high


def test_delays_double_up_to_the_ceiling() -> None:
    """P7: quick after a blip, gentle in an outage."""
    backoff = Backoff(0.1, 2.0, highest)

    assert [round(backoff.next_delay(), 3) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_a_success_starts_again_from_the_first_delay() -> None:
    """An outage of yesterday must not slow the next reconnect."""
    backoff = Backoff(0.1, 2.0, highest)
    for _ in range(5):
        backoff.next_delay()

    backoff.reset()

    assert backoff.next_delay() == 0.1


def test_jitter_is_full() -> None:
    """A thousand clients must not come back in one instant: the whole range from nothing is used."""
    asked: list[tuple[float, float]] = []

    def note(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    backoff = Backoff(0.5, 8.0, note)

    assert [backoff.next_delay() for _ in range(3)] == [0, 0, 0]
    assert asked == [(0.0, 0.5), (0.0, 1.0), (0.0, 2.0)]


@given(st.integers(1, 3000))
def test_however_long_the_outage_the_delay_stays_in_bounds(failures: int) -> None:
    """A broker that is away for a month must not overflow a float."""
    backoff = Backoff(0.1, 2.0)

    assert all(0 <= backoff.next_delay() <= 2.0 for _ in range(failures))
