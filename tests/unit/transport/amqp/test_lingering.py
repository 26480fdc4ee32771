"""``bus_amqp.transport.amqp.lingering``: acknowledgements that a close could lose."""

import math

import pytest

from bus_amqp.transport.amqp.lingering import COMMANDS_AHEAD, LINGER_SECONDS, Lingering


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_few_acknowledgements_are_sent_on_at_once(clock: Clock) -> None:
    """P8: a close must not cost time for nothing."""
    lingering = Lingering(clock)
    assert lingering.over_at == -math.inf

    for _ in range(COMMANDS_AHEAD):
        lingering.note(1)

    assert lingering.over_at == -math.inf


def test_many_hold_the_close_up_from_the_last_one_on(clock: Clock) -> None:
    """P2, P8: RabbitMQ keeps what is more than 32 in the channel, and drops it with that."""
    lingering = Lingering(clock)
    lingering.note(COMMANDS_AHEAD)
    clock.now += LINGER_SECONDS / 2

    lingering.note(1)

    assert lingering.over_at == clock.now + LINGER_SECONDS
    assert repr(lingering) == f"<Lingering after {COMMANDS_AHEAD + 1} frames>"


def test_a_pause_has_let_the_broker_catch_up(clock: Clock) -> None:
    """A consumer that is given little to do never waits, however long it has been running."""
    lingering = Lingering(clock)
    for _ in range(10):
        lingering.note(COMMANDS_AHEAD)
        clock.now += LINGER_SECONDS

    assert lingering.over_at == -math.inf
