"""``bus_amqp.publish.publisher``: entries to the broker and back, on one thread."""

import pytest

from bus_amqp.errors import (
    TopologyMismatchError,
)
from bus_amqp.publish.publisher import BATCH_EVENTS, IDLE_SECONDS, UNSENT_BYTES, UNSENT_LOOK_SECONDS
from bus_amqp.receipt import ReceiptState
from tests.unit.fakes import FakeConnection
from tests.unit.publish.desk import CONFIRM_SECONDS, PLAN, Desk


def test_opening_declares_first_and_publishes_then() -> None:
    """The exchange may be new, or deleted while the connection was away."""
    assert Desk().connection.declared == [PLAN]
    assert Desk(plan=None).connection.declared == []


def test_a_refused_declaration_leaves_no_channel_to_publish_on() -> None:
    """Bad input: an exchange of another type is the operator's move, and the error must reach ``connect``."""
    desk = Desk()
    desk.publisher.lost()
    connection = FakeConnection()
    connection.declare_error = TopologyMismatchError("another type")

    with pytest.raises(TopologyMismatchError):
        desk.publisher.opened(connection)

    desk.put()
    assert desk.publisher.prepare() == IDLE_SECONDS
    assert connection.publish_channels == []


def test_events_are_confirmed_and_leave_the_outbox() -> None:
    """The usual way of every event."""
    desk = Desk()
    entries = desk.put(3)

    desk.publisher.prepare()
    assert desk.sent == [1, 2, 3]
    assert [entry.receipt.state for entry in entries] == [ReceiptState.ACCEPTED] * 3
    desk.confirm(2, multiple=True)

    assert [entry.receipt.done() for entry in entries] == [True, True, False]
    assert desk.outbox.open_events == 1
    assert not desk.publisher.is_finished()
    desk.confirm(3)
    assert desk.publisher.is_finished()
    assert desk.publisher.counts.confirmed == 3
    assert desk.outbox.wait_settled(0) == 0


def test_an_entry_is_registered_before_it_is_sent() -> None:
    """The broker may answer while the batch is still being written."""
    desk = Desk()
    [entry] = desk.put()
    desk.channel.on_send = lambda messages: desk.confirm(1)

    desk.publisher.prepare()

    assert entry.receipt.state is ReceiptState.CONFIRMED


def test_no_more_than_the_window_is_unconfirmed() -> None:
    """A broker that confirms slowly must not be buried."""
    desk = Desk(window=4)
    desk.put(10)

    desk.publisher.prepare()
    assert desk.sent == [1, 2, 3, 4]
    desk.confirm(3, multiple=True)
    desk.publisher.prepare()

    assert desk.sent == [1, 2, 3, 4, 5, 6, 7]


def test_what_the_socket_has_not_taken_stops_the_sending() -> None:
    """A peer that reads nothing must not fill our memory a second time."""
    desk = Desk()
    desk.put(3)
    desk.channel.unsent_bytes = UNSENT_BYTES

    assert desk.publisher.prepare() == UNSENT_LOOK_SECONDS
    assert desk.sent == []

    desk.channel.unsent_bytes = 0
    desk.publisher.prepare()
    assert desk.sent == [1, 2, 3]


def test_confirms_are_read_between_large_batches() -> None:
    """Under load the thread must not encode for ever while answers wait."""
    desk = Desk(window=10 * BATCH_EVENTS)
    desk.put(BATCH_EVENTS + 1)

    assert desk.publisher.prepare() == 0.0
    assert desk.channel.batches == [BATCH_EVENTS]
    assert desk.publisher.prepare() == CONFIRM_SECONDS
    assert desk.channel.batches == [BATCH_EVENTS, 1]
