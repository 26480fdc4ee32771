"""``bus_amqp.publish.isolation``: which message the broker means when it closes the channel."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp.publish.isolation import BATCH_AT_MOST, PARTS, Isolation

WINDOW = 4096


def send_all(culprits: set[int], count: int) -> tuple[list[int], list[int], list[int]]:
    """Send messages 0.. to a broker that closes the channel at each culprit.

    Returns who was found at fault, how often each message was stored, and how large the batches were.
    """
    isolation = Isolation()
    waiting = list(range(count))
    found: list[int] = []
    stored = [0] * count
    batches: list[int] = []
    while waiting:
        assert len(batches) < 100 * (len(culprits) + 1) + count, "no end in sight"
        batch = waiting[: min(WINDOW, isolation.batch_events or WINDOW)]
        batches.append(len(batch))
        refused = next((number for number in batch if number in culprits), None)
        for number in batch:
            if number == refused:
                break
            stored[number] += 1
        if refused is None:
            waiting = waiting[len(batch) :]
            isolation.passed()
        elif isolation.refused(len(batch)):
            assert len(batch) == 1
            found.append(waiting.pop(0))
    return found, stored, batches


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3 * WINDOW).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), max_size=20))
    )
)
def test_exactly_the_culprits_are_found_and_everything_else_is_stored(made: tuple[int, set[int]]) -> None:
    """P2: an innocent event must not fail for its neighbour, and the guilty one must not be sent for ever."""
    count, culprits = made

    found, stored, _ = send_all(culprits, count)

    assert found == sorted(culprits)
    assert all(times >= 1 for number, times in enumerate(stored) if number not in culprits)


def test_one_culprit_in_a_full_window_costs_few_closes_and_few_duplicates() -> None:
    """Each close costs the broker a channel and stores what stood before the culprit once more."""
    found, stored, batches = send_all({3000}, WINDOW)

    assert found == [3000]
    assert max(stored) <= 4
    assert len(batches) < 4 * PARTS


def test_a_missing_right_costs_one_message_for_each_refusal() -> None:
    """Where everything is refused, a window sent again for each event would be a flood."""
    found, _, batches = send_all(set(range(100)), 100)

    assert found == list(range(100))
    assert batches[3:] == [1] * (len(batches) - 3)


def test_after_the_culprit_the_full_rate_comes_back() -> None:
    """One bad event must not slow the bus for good."""
    isolation = Isolation()
    isolation.refused(1)
    passed = 0
    while isolation.batch_events is not None:
        assert isolation.batch_events <= BATCH_AT_MOST
        isolation.passed()
        passed += 1

    assert passed == 10


def test_without_a_refusal_nothing_is_held_back() -> None:
    """The usual case knows nothing of all this."""
    isolation = Isolation()
    isolation.passed()

    assert isolation.batch_events is None
