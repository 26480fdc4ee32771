"""``bus_amqp.publish.publisher``: mandatory events, and what came back."""

import pytest

from bus_amqp.errors import (
    UnroutableError,
)
from bus_amqp.receipt import ReceiptState
from tests.unit.publish.desk import Desk


def test_a_mandatory_event_that_came_back_fails_when_its_confirm_arrives() -> None:
    """``mandatory``: the broker confirms an unroutable message too, and means "not stored"."""
    desk = Desk()
    returned, stored = desk.put(2, mandatory=True)
    desk.publisher.prepare()

    desk.give_back(returned)
    assert not returned.receipt.done()
    desk.confirm(2, multiple=True)

    assert isinstance(returned.receipt.exception(0), UnroutableError)
    assert stored.receipt.state is ReceiptState.CONFIRMED
    assert desk.failed == [returned]
    assert (desk.publisher.counts.confirmed, desk.publisher.counts.failed) == (1, 1)
    assert desk.publisher.is_finished()


def test_copies_without_an_id_are_not_taken_for_stored_when_one_came_back() -> None:
    """P5: a dead letter that was stored nowhere must not have its original acknowledged."""
    desk = Desk()
    copies = desk.put(2, mandatory=True, message_id="")
    for copy in copies:
        copy.message.routing_key = "a.b.c.0.e"
    desk.publisher.prepare()

    desk.give_back(copies[0])
    desk.confirm(1)
    desk.give_back(copies[1])
    desk.confirm(2)

    assert [isinstance(copy.receipt.exception(0), UnroutableError) for copy in copies] == [True, True]


@pytest.mark.parametrize("fault", ["lost", "rejected"])
def test_what_came_back_once_may_be_stored_the_second_time(fault: str) -> None:
    """The mark of a return belongs to one sending: after another the queue may be there."""
    desk = Desk()
    [entry] = desk.put(mandatory=True)
    desk.publisher.prepare()
    desk.give_back(entry)
    if fault == "lost":
        desk.reconnect()
    else:
        desk.reject(1)
        desk.now += desk.publisher.prepare()
    desk.publisher.prepare()

    desk.confirm(len(desk.channel.sent))

    assert entry.receipt.state is ReceiptState.CONFIRMED
