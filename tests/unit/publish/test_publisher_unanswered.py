"""``bus_amqp.publish.publisher`` when the broker answers nothing: the confirm deadline."""

import pytest

from bus_amqp.errors import BrokerRefusedError
from bus_amqp.receipt import ReceiptState
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Rejected, Returned, Unblocked
from tests.unit.publish.desk import CONFIRM_SECONDS, Desk

TOO_LARGE = BrokerRefusedError("message size 5000 is larger than configured max size 1000")


def test_unconfirmed_messages_are_sent_again_on_another_channel_in_order() -> None:
    """A publisher that waits for ever for a confirm hangs; one that drops the message loses it."""
    desk = Desk()
    entries = desk.put(3)
    desk.publisher.prepare()
    desk.confirm(2)
    desk.now += CONFIRM_SECONDS - 1
    assert desk.publisher.prepare() == 1
    first = desk.channel

    desk.now += 1
    assert desk.publisher.prepare() == 0
    desk.publisher.prepare()

    assert desk.channel is not first
    assert desk.sent == [1, 3]
    assert desk.publisher.counts.resent == 2
    desk.confirm(2, multiple=True)
    assert all(entry.receipt.state is ReceiptState.CONFIRMED for entry in entries)


@pytest.mark.parametrize("kind", [Confirmed, Rejected])
def test_a_late_answer_is_never_credited_to_another_message(kind: type) -> None:
    """Sequences begin at 1 with every channel: the late confirm of one message would count for another."""
    desk = Desk()
    desk.put(1)
    desk.publisher.prepare()
    old = desk.channel
    desk.now += CONFIRM_SECONDS
    desk.publisher.prepare()
    [other] = desk.put(1)
    desk.publisher.prepare()
    assert desk.sent == [1, 2]

    desk.publisher.handle([kind(old, 2, True)])
    desk.publisher.handle([Returned(old, "bus.events", other.message.routing_key, other.message.message_id, "late")])
    desk.publisher.handle([ChannelClosed(old, TOO_LARGE)])

    assert not other.receipt.done()
    desk.confirm(2, multiple=True)
    assert other.receipt.state is ReceiptState.CONFIRMED


def test_the_deadline_stands_still_under_an_alarm_and_while_the_socket_is_full() -> None:
    """Hours of an alarm are no fault of the channel, and a dead peer is the heartbeat's business."""
    desk = Desk()
    desk.put(1)
    desk.publisher.prepare()
    channel = desk.channel

    desk.publisher.handle([Blocked("disk")])
    desk.publisher.prepare()
    desk.now += 100 * CONFIRM_SECONDS
    desk.publisher.handle([Unblocked()])
    desk.publisher.prepare()
    channel.unsent_bytes = 10
    desk.publisher.prepare()
    desk.now += 100 * CONFIRM_SECONDS
    desk.publisher.prepare()
    assert desk.channel is channel
    assert "1 events unconfirmed for 3000 s" in desk.publisher.complaint, "left alone, but not unsaid"

    channel.unsent_bytes = 0
    desk.publisher.prepare()
    desk.now += CONFIRM_SECONDS
    desk.publisher.prepare()
    desk.publisher.prepare()
    assert desk.channel is not channel


def test_after_an_alarm_the_whole_time_is_given_again() -> None:
    """A thousand publishers come back at once: seen with 1 s left, all that was under way was sent twice."""
    desk = Desk()
    desk.put(1)
    desk.publisher.prepare()
    channel = desk.channel
    desk.now += CONFIRM_SECONDS - 1
    desk.publisher.handle([Blocked("disk")])
    desk.publisher.prepare()

    desk.publisher.handle([Unblocked()])
    desk.publisher.prepare()
    desk.now += CONFIRM_SECONDS - 1
    desk.publisher.prepare()

    assert desk.channel is channel


def test_what_is_unconfirmed_for_long_is_told() -> None:
    """A quorum queue without a majority withholds confirms: the operator must hear that it is not the bus."""
    desk = Desk()
    desk.put(3)
    desk.publisher.prepare()
    assert desk.publisher.complaint == ""

    for _ in range(3):
        desk.now += CONFIRM_SECONDS
        desk.publisher.prepare()
        desk.publisher.prepare()  # what the first has given up

    assert "3 events unconfirmed for 90 s" in desk.publisher.complaint
    assert "majority" in desk.publisher.complaint


def test_an_open_rejection_waits_no_longer_than_the_deadline() -> None:
    """A nack waits for the window to settle; a window that never settles must not hold it for ever."""
    desk = Desk()
    desk.put(2)
    desk.publisher.prepare()
    desk.reject(1)
    desk.publisher.prepare()
    desk.now += CONFIRM_SECONDS

    desk.publisher.prepare()
    desk.publisher.prepare()

    assert desk.sent == [1, 2]
    assert len(desk.connection.publish_channels) == 2
