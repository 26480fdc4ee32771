"""What is met between turns waits for the next one, in order, under the right channel."""

from __future__ import annotations

from bus_amqp.errors import ChannelLostError
from bus_amqp.transport.amqp.deliveries import AmqpDelivery
from bus_amqp.transport.amqp.frames import Bounced, Delivered, Settled
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.signals import Blocked, Cancelled, ChannelClosed, Confirmed, Deliveries, Rejected, Returned


class AChannel:
    """Stands for either kind of channel: the inbox only passes it on."""


def a_delivery(tag: int) -> AmqpDelivery:
    return AmqpDelivery(tag, b"", "key", "", False, "", 0, b"\x00\x00")


def test_deliveries_of_a_channel_are_one_signal_until_something_else_of_it_comes():
    """Merged for speed; but never across the end of a consumer."""
    first, second = AChannel(), AChannel()
    inbox = Inbox()
    inbox.add_consumer(1, first)
    inbox.add_consumer(2, second)
    one, two, three, four = map(a_delivery, (1, 2, 3, 4))

    inbox.add(Delivered(1, [one]))
    inbox.add(Delivered(2, [two]))
    inbox.add(Delivered(1, [three]))
    inbox.cancel(1)
    inbox.add(Delivered(1, [four]))

    assert inbox.take() == [
        Deliveries(first, [one, three]),
        Deliveries(second, [two]),
        Cancelled(first),
        Deliveries(first, [four]),
    ]
    assert not inbox


def test_a_batch_that_was_handed_out_does_not_grow():
    """It belongs to the consumer by then; what is added to it would never be seen."""
    inbox = Inbox()
    channel = AChannel()
    inbox.add_consumer(1, channel)
    inbox.add(Delivered(1, [a_delivery(1)]))
    (taken,) = inbox.take()

    inbox.add(Delivered(1, [a_delivery(2)]))

    assert [one.tag for one in taken.deliveries] == [1]
    assert [one.tag for one in inbox.take()[0].deliveries] == [2]


def test_confirms_and_returns_keep_their_order():
    """A return comes before the confirm of its message: turned round, it would be taken for stored."""
    inbox = Inbox()
    channel = AChannel()
    inbox.add_publisher(1, channel)

    inbox.add(Bounced(1, "NO_ROUTE", "bus.events", "key", "id"))
    inbox.add(Settled(1, 7, True, True))
    inbox.add(Settled(1, 8, False, False))

    assert inbox.take() == [
        Returned(channel, "bus.events", "key", "id", "NO_ROUTE"),
        Confirmed(channel, 7, True),
        Rejected(channel, 8, False),
    ]


def test_a_channel_that_we_closed_leaves_nothing_behind():
    """The broker has taken its deliveries back: handed up, they would be handled twice."""
    inbox = Inbox()
    inbox.add_consumer(1, AChannel())
    inbox.add(Delivered(1, [a_delivery(1)]))
    inbox.add_signal(Blocked("memory"))

    inbox.forget(1)
    inbox.add(Delivered(1, [a_delivery(2)]))

    assert inbox.take() == [Blocked("memory")]


def test_a_channel_that_the_broker_closed_is_told_after_what_it_brought():
    """What was confirmed before the end stays confirmed."""
    inbox = Inbox()
    channel = AChannel()
    inbox.add_publisher(1, channel)
    error = ChannelLostError("gone")
    inbox.add(Settled(1, 1, False, True))

    inbox.lose(1, error)
    inbox.add(Settled(1, 2, False, True))

    assert inbox.take() == [Confirmed(channel, 1, False), ChannelClosed(channel, error)]
