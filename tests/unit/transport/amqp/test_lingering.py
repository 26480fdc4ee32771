"""``bus_amqp.transport.amqp.lingering``: acknowledgements that a close could lose."""

import math
import time
from unittest.mock import Mock

import pytest

from bus_amqp.transport.amqp.consume_channel import BulkConsumeChannel
from bus_amqp.transport.amqp.lingering import COMMANDS_AHEAD, LINGER_SECONDS, Lingering
from bus_amqp.transport.amqp.plain_channels import PlainConsumeChannel
from tests.unit.clock import Clock


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


def _channels() -> list[BulkConsumeChannel | PlainConsumeChannel]:
    def nothing() -> None:
        pass

    link = Mock()
    return [
        BulkConsumeChannel(1, "bus.events.billing", link, nothing, nothing),
        PlainConsumeChannel(Mock(channel_id=1), "bus.events.billing", link, Mock(), 1000, nothing, nothing),
    ]


@pytest.mark.parametrize("channel", _channels(), ids=["bulk", "plain"])
def test_each_channel_counts_its_frames(channel: BulkConsumeChannel | PlainConsumeChannel) -> None:
    """P8: one frame for many in order is one command; each out of order, and each rejection, is one as well."""
    channel.accept(range(1, 1000))
    channel.accept([])
    channel.accept(range(1001, 1001 + COMMANDS_AHEAD - 1))  # 1000 is still open
    assert channel.settled_at == -math.inf

    channel.discard([1000])

    assert channel.settled_at > time.monotonic()
