"""``bus_amqp.publish.publisher`` when the broker rejects, returns, blocks, closes or goes away."""

from collections.abc import Sequence

import pytest

from bus_amqp.errors import (
    BusClosedError,
    ChannelLostError,
    ConnectionLostError,
    InvalidArgumentError,
    NotFoundOnBrokerError,
)
from bus_amqp.publish.outbox import Entry
from bus_amqp.publish.publisher import IDLE_SECONDS
from bus_amqp.receipt import Receipt, ReceiptState
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Unblocked
from bus_amqp.wire.message import Message
from tests.unit.publish.desk import CONFIRM_SECONDS, Desk


def test_unconfirmed_events_are_sent_again_in_order_before_newer_ones() -> None:
    """P2, P3: a lost connection loses nothing and reorders nothing."""
    desk = Desk()
    entries = desk.put(4)
    desk.publisher.prepare()
    desk.confirm(2)
    desk.put(2)

    desk.reconnect()
    desk.publisher.prepare()

    assert desk.sent == [1, 3, 4, 5, 6]
    assert desk.publisher.counts.resent == 3
    desk.confirm(5, multiple=True)
    assert all(entry.receipt.state is ReceiptState.CONFIRMED for entry in entries)
    assert desk.publisher.is_finished()


def test_without_a_connection_nothing_is_sent_and_nothing_lost() -> None:
    """P1: the outbox keeps what cannot go."""
    desk = Desk()
    desk.publisher.lost()
    desk.put(2)

    assert desk.publisher.prepare() == IDLE_SECONDS
    desk.publisher.offline()
    desk.connect()
    desk.publisher.prepare()

    assert desk.sent == [1, 2]


def test_rejected_events_are_sent_again_once_the_window_is_empty() -> None:
    """P3: sent again at once, a rejected event would overtake those that are still open."""
    desk = Desk()
    desk.put(3)
    desk.publisher.prepare()
    desk.reject(1)
    desk.put(1)

    assert desk.publisher.prepare() == CONFIRM_SECONDS
    assert desk.sent == [1, 2, 3]
    desk.reject(3)
    desk.confirm(2)
    pause = desk.publisher.prepare()
    assert pause == pytest.approx(0.2), "a broker that rejects needs a moment"
    desk.put(1)
    assert desk.publisher.prepare() == pytest.approx(pause), "and gets it, whatever wakes the publisher"
    assert desk.sent == []
    desk.now += pause
    desk.publisher.prepare()
    desk.confirm(1)
    desk.publisher.prepare()

    # RabbitMQ 3.10 rejects for ever on a channel that has met a quorum queue without a leader.
    assert desk.sent == [1, 3, 4], "on another channel"
    assert desk.connection.publish_channels[0].is_closed
    assert desk.publisher.counts.resent == 2


def test_a_broker_that_rejects_is_probed_with_one_event_at_a_time() -> None:
    """P3: of a whole window sent again it could take a later event first; seen in a cluster whose node was cut off."""
    desk = Desk()
    desk.put(3)
    desk.publisher.prepare()
    desk.reject(3, multiple=True)
    desk.now += desk.publisher.prepare()

    desk.publisher.prepare()
    assert desk.sent == [1]
    desk.reject(1)
    desk.now += desk.publisher.prepare()
    desk.publisher.prepare()
    assert desk.sent == [1]
    assert len(desk.connection.publish_channels) == 3, "each time on another channel"
    desk.confirm(1)
    desk.publisher.prepare()

    assert desk.sent == [1, 2, 3]


def test_a_broker_that_goes_on_rejecting_is_complained_of() -> None:
    """P7: nothing else gets on meanwhile, so the bus is not well; the next node may take what this one does not."""
    desk = Desk()
    desk.put(2)
    desk.publisher.prepare()
    desk.confirm(2)
    for _ in range(40):
        desk.reject(1)
        desk.now += desk.publisher.prepare()
        desk.publisher.prepare()

    assert "rejecting" in desk.publisher.complaint
    desk.reject(1)
    desk.publisher.prepare()
    desk.reconnect()
    assert desk.publisher.complaint == ""
    desk.publisher.prepare()
    assert desk.sent == [1], "and it is asked at once"


def test_rejected_events_survive_a_lost_connection_in_order() -> None:
    """Both faults at once: the rejected ones take their places among the unconfirmed."""
    desk = Desk()
    desk.put(4)
    desk.publisher.prepare()
    desk.reject(3)
    desk.reject(1)
    desk.confirm(2)

    desk.reconnect()
    desk.publisher.prepare()

    assert desk.sent == [1, 3, 4]


def test_flush_does_not_count_a_rejected_event_as_settled() -> None:
    """P2: a nack is no confirm."""
    desk = Desk()
    desk.put(2)
    desk.publisher.prepare()

    desk.reject(1)
    desk.confirm(2)

    assert desk.outbox.wait_settled(0) == 1


def test_a_blocked_broker_is_sent_nothing_until_it_takes_publishes_again() -> None:
    """P1: an alarm on the broker fills the outbox and nothing else."""
    desk = Desk()
    desk.publisher.handle([Blocked("disk")])
    desk.put()

    assert desk.publisher.prepare() == IDLE_SECONDS
    assert desk.sent == []
    desk.publisher.handle([Unblocked()])
    desk.publisher.prepare()

    assert desk.sent == [1]


def test_a_fresh_connection_is_not_blocked() -> None:
    """The alarm of the old node says nothing about the new one."""
    desk = Desk()
    desk.publisher.handle([Blocked("disk")])
    desk.put()

    desk.reconnect()
    desk.publisher.prepare()

    assert desk.sent == [1]


def test_a_channel_that_the_broker_closed_is_reported_after_its_confirms_are_taken() -> None:
    """P7: the loop starts afresh; what was confirmed in the same turn is not sent twice."""
    desk = Desk()
    first, second = desk.put(2)
    desk.publisher.prepare()

    with pytest.raises(ChannelLostError, match="precondition"):
        desk.publisher.handle(
            [Confirmed(desk.channel, 1, False), ChannelClosed(desk.channel, ChannelLostError("precondition"))]
        )
    desk.reconnect()
    desk.publisher.prepare()

    assert first.receipt.state is ReceiptState.CONFIRMED
    assert not second.receipt.done()
    assert desk.sent == [2]


def test_a_message_that_cannot_be_written_fails_alone() -> None:
    """A foreign header in one copy must not keep its whole batch from being sent."""
    desk = Desk()
    entries = desk.put(4)

    def check(messages: Sequence[Message]) -> None:
        if entries[1].message in messages:
            raise refuse(2)

    desk.channel.on_send = check
    desk.publisher.prepare()

    assert desk.sent == [1, 3, 4]
    assert isinstance(entries[1].receipt.exception(0), InvalidArgumentError)
    assert desk.failed == [entries[1]]
    desk.confirm(3, multiple=True)
    assert [entry.receipt.state for entry in entries].count(ReceiptState.CONFIRMED) == 3
    assert desk.publisher.is_finished()
    assert desk.outbox.wait_settled(0) == 0


def test_losing_the_connection_while_a_batch_is_sent_one_by_one_loses_nothing() -> None:
    """P2: two faults in one batch; what was not yet registered must go back to the outbox too."""
    desk = Desk()
    entries = desk.put(4)

    def fail(messages: Sequence[Message]) -> None:
        if entries[0].message in messages:
            raise refuse(1)
        if entries[2].message in messages:
            raise ConnectionLostError("cut")

    desk.channel.on_send = fail
    with pytest.raises(ConnectionLostError):
        desk.publisher.prepare()
    desk.reconnect()
    desk.publisher.prepare()

    assert desk.sent == [2, 3, 4]
    desk.confirm(3, multiple=True)
    assert desk.publisher.is_finished()


def test_what_is_left_when_the_bus_ends_fails_with_a_number() -> None:
    """P8: unsent events are an error with their number, and each receipt says so."""
    desk = Desk()
    entries = desk.put(3)
    desk.publisher.prepare()
    desk.confirm(1)
    desk.publisher.lost()

    assert desk.publisher.fail_all(BusClosedError("closed")) == 2
    assert [entry.receipt.state for entry in entries] == [
        ReceiptState.CONFIRMED, ReceiptState.FAILED, ReceiptState.FAILED,
    ]  # fmt: skip


def refuse(number: int) -> Exception:
    return InvalidArgumentError(f"{number} cannot be written")


def test_a_copy_for_an_exchange_that_is_gone_fails_and_events_go_on() -> None:
    """P2, P4: only its subscription can declare that exchange; sent again it would cost every new channel."""
    desk = Desk()
    desk.put()
    copy = Entry(Message("billing", b"{}", exchange="bus.events.dead", mandatory=True), Receipt(lambda call: call()))
    desk.outbox.put_copy(copy)
    desk.put()
    desk.publisher.prepare()
    channel = desk.channel

    with pytest.raises(ChannelLostError):
        desk.publisher.handle([ChannelClosed(channel, NotFoundOnBrokerError("gone", exchange="bus.events.dead"))])
    desk.reconnect()
    desk.publisher.prepare()

    assert isinstance(copy.receipt.exception(0), NotFoundOnBrokerError)
    assert desk.exchanges_gone == ["bus.events.dead"]
    assert desk.sent == [1, 2]
    assert desk.failed == []
