"""``bus_amqp.publish.publisher`` when the broker says no for good."""

import pytest

from bus_amqp.errors import (
    AccessRefusedError,
    BrokerRefusedError,
    ChannelLostError,
    NotFoundOnBrokerError,
)
from bus_amqp.publish.outbox import Entry
from bus_amqp.publish.outcomes import REFUSAL_TOLD_SECONDS
from bus_amqp.publish.publisher import IDLE_SECONDS
from bus_amqp.receipt import Receipt, ReceiptState
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Unblocked
from bus_amqp.wire.message import Message
from tests.unit.fakes import FakeConnection
from tests.unit.publish.desk import CONFIRM_SECONDS, Desk

TOO_LARGE = BrokerRefusedError("message size 5000 is larger than configured max size 1000")
GONE = NotFoundOnBrokerError("no exchange 'bus.events'")


def serve(desk: Desk, culprits: set[int], turns: int = 200) -> None:
    """Play a broker that closes the channel at each culprit and confirms the rest, until nothing is left."""
    answered: dict[int, int] = {}
    for _ in range(turns):
        desk.publisher.prepare()
        channel = desk.channel
        sent, first = desk.sent, answered.get(id(channel), 0)
        for sequence in range(first + 1, len(sent) + 1):
            if sent[sequence - 1] in culprits:
                desk.publisher.handle([ChannelClosed(channel, TOO_LARGE)])
                break
            desk.publisher.handle([Confirmed(channel, sequence, False)])
            answered[id(channel)] = sequence
        if desk.publisher.is_finished():
            return
    raise AssertionError(f"not finished after {turns} turns")


def test_a_message_that_the_broker_refuses_fails_alone() -> None:
    """The close names no message; sent again for ever it would hold up everything behind it."""
    desk = Desk()
    entries = desk.put(50)

    serve(desk, {20})

    assert [entry.receipt.state for entry in entries].count(ReceiptState.CONFIRMED) == 49
    assert entries[19].receipt.exception(0) is TOO_LARGE
    assert desk.failed == [entries[19]]
    assert desk.publisher.counts.failed == 1
    assert desk.outbox.open_events == desk.outbox.open_bytes == 0
    assert desk.outbox.wait_settled(0) == 0


def test_all_that_is_refused_fails_and_the_connection_stays() -> None:
    """A user without the right to write: each receipt says so, and no reconnect is spent on it."""
    desk = Desk()
    entries = desk.put(30)
    connection = desk.connection

    serve(desk, set(range(1, 31)))

    assert [entry.receipt.state for entry in entries] == [ReceiptState.FAILED] * 30
    assert desk.failed == entries
    assert desk.connection is connection


def test_a_refusal_is_told_for_a_minute() -> None:
    """Health says so; one event must not make the bus unwell for ever."""
    desk = Desk()
    desk.put()
    assert desk.publisher.complaint == ""
    serve(desk, {1})

    assert "1 events refused" in desk.publisher.complaint
    assert "max size 1000" in desk.publisher.complaint
    desk.now += REFUSAL_TOLD_SECONDS
    assert desk.publisher.complaint == ""


def test_a_rejected_message_is_no_suspect_and_keeps_its_place() -> None:
    """P3: nacked and suspected at once, both are sent again in the order of acceptance."""
    desk = Desk()
    desk.put(4)
    desk.publisher.prepare()
    desk.reject(1)

    desk.publisher.handle([ChannelClosed(desk.channel, TOO_LARGE)])
    desk.publisher.prepare()

    assert len(desk.connection.publish_channels) == 2
    assert desk.sent == [1]


def test_a_close_that_is_nobodys_fault_fails_nothing() -> None:
    """Without an open message there is no culprit: the loop starts afresh."""
    desk = Desk()

    with pytest.raises(ChannelLostError):
        desk.publisher.handle([ChannelClosed(desk.channel, AccessRefusedError("no"))])

    assert desk.failed == []


def test_after_a_refusal_under_an_alarm_the_channel_waits_for_its_end() -> None:
    """A blocked broker reads nothing: asking it for a channel would cost the connection."""
    desk = Desk()
    desk.put(2)
    desk.publisher.prepare()
    desk.publisher.handle([ChannelClosed(desk.channel, TOO_LARGE), Blocked("memory")])

    assert desk.publisher.prepare() == IDLE_SECONDS
    assert len(desk.connection.publish_channels) == 1
    desk.publisher.handle([Unblocked()])
    desk.publisher.prepare()
    assert desk.sent == [1]


# --- an exchange that is gone


def lose_exchange(desk: Desk) -> None:
    desk.publisher.prepare()
    with pytest.raises(ChannelLostError):
        desk.publisher.handle([ChannelClosed(desk.channel, GONE)])
    desk.reconnect()


def test_events_wait_for_an_exchange_that_is_gone_and_then_fail() -> None:
    """For as long as a confirm may take it can be made again; then somebody has to be told."""
    desk = Desk(plan=None)
    entries = desk.put(3)
    lose_exchange(desk)
    desk.now += CONFIRM_SECONDS - 1
    lose_exchange(desk)
    assert desk.failed == []

    desk.now += 1
    lose_exchange(desk)

    assert desk.failed == entries
    assert all(entry.receipt.exception(0) is GONE for entry in entries)
    assert desk.outbox.wait_settled(0) == 0
    assert "no exchange" in desk.publisher.complaint


def test_an_exchange_that_came_back_costs_nothing_the_next_time() -> None:
    """The patience belongs to one absence."""
    desk = Desk(plan=None)
    desk.put()
    lose_exchange(desk)
    desk.publisher.prepare()
    desk.confirm(1)
    desk.now += 10 * CONFIRM_SECONDS
    desk.put()

    lose_exchange(desk)

    assert desk.failed == []


def test_a_copy_that_went_elsewhere_is_no_sign_of_the_exchange() -> None:
    """Dead letters are stored while the bus's own exchange is missing."""
    desk = Desk(plan=None)
    [event] = desk.put()
    lose_exchange(desk)
    copy = Entry(Message("billing", b"{}", exchange="bus.events.dead", mandatory=True), Receipt(lambda call: call()))
    desk.outbox.put_copy(copy)
    desk.publisher.prepare()
    desk.confirm(2)
    desk.now += CONFIRM_SECONDS

    with pytest.raises(ChannelLostError):
        desk.publisher.handle([ChannelClosed(desk.channel, GONE)])

    assert desk.failed == [event]
    assert copy.receipt.state is ReceiptState.CONFIRMED


def test_rejected_events_keep_their_place_when_the_exchange_goes() -> None:
    """P3: both faults at once."""
    desk = Desk()
    desk.put(4)
    desk.publisher.prepare()
    desk.reject(3)

    with pytest.raises(ChannelLostError):
        desk.publisher.handle([ChannelClosed(desk.channel, GONE)])
    desk.reconnect()
    desk.publisher.prepare()

    assert desk.sent == [1, 2, 3, 4]


def test_a_user_who_may_not_declare_goes_on_when_the_exchange_is_gone_later() -> None:
    """At first the missing right is told; later it must not keep the events from failing in time."""
    desk = Desk()
    desk.put()
    desk.publisher.lost()
    connection = FakeConnection()
    connection.declare_error = AccessRefusedError("no configure right")

    desk.publisher.opened(connection)

    assert len(connection.publish_channels) == 1
