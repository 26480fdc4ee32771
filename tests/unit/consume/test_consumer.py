"""``bus_amqp.consume.consumer``: subscriptions on one connection, without any thread."""

import time

import pytest

from bus_amqp.consume.consumer import IDLE_SECONDS
from bus_amqp.consume.consumption import Attach, Detach, RestoreFailed
from bus_amqp.errors import (
    AccessRefusedError,
    ChannelLostError,
    NotFoundOnBrokerError,
    TransportError,
)
from bus_amqp.transport.signals import Cancelled, Deliveries
from tests.unit.consume.desk import Desk, channel_of
from tests.unit.fakes import WAIT_SECONDS, FakeDelivery


def test_attaching_consumes_and_says_so(desk: Desk) -> None:
    """P6: ``subscribe`` returns once the queue is consuming."""
    consumption = desk.attached()

    [channel] = desk.connection.consume_channels
    assert (channel.queue, channel.prefetch) == ("bus.events.billing", 8)
    assert consumption.attached.result(0) is None
    assert consumption.health().is_consuming
    assert desk.wakes == 1
    assert desk.consumer.prepare() == IDLE_SECONDS


@pytest.mark.parametrize(
    "error", [AccessRefusedError("no right"), NotFoundOnBrokerError("no queue"), ChannelLostError("x")]
)
def test_a_first_attach_that_is_refused_is_told_and_forgotten(error: TransportError, desk: Desk) -> None:
    """P6: ``subscribe`` raises what the broker said, and nothing goes on behind its back."""
    desk.connection.consume_error = error
    consumption = desk.consumption()

    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    assert consumption.attached.exception(0) is error
    assert desk.consumer.is_finished()
    assert desk.consumer.prepare() == IDLE_SECONDS
    assert desk.restored == []


def test_deliveries_go_to_the_dispatcher_of_their_channel(desk: Desk) -> None:
    """Two subscriptions on one connection are two queues."""
    billing, workflow = desk.attached("billing"), desk.attached("workflow")

    desk.deliver(billing, 1, 2)
    desk.deliver(workflow, 1)

    assert (billing.dispatcher.waiting, workflow.dispatcher.waiting) == (2, 1)
    assert (billing.delivered, workflow.delivered) == (2, 1)


def test_settlements_of_one_turn_go_out_in_one_write(desk: Desk) -> None:
    """Speed: a hundred letters are one acknowledgement for each subscription."""
    billing, workflow = desk.attached("billing"), desk.attached("workflow")

    billing.accept(0, FakeDelivery(1))
    workflow.accept(0, FakeDelivery(1))
    billing.accept(0, FakeDelivery(2))
    billing.accept(0, FakeDelivery(3))
    desk.consumer.prepare()

    assert channel_of(billing).accepted == [1, 2, 3]
    assert channel_of(workflow).accepted == [1]


def test_a_settlement_of_an_older_session_is_dropped(desk: Desk) -> None:
    """P2, P3: tag 1 of the new channel is another message; acknowledged by mistake it would be lost."""
    consumption = desk.attached()
    old = consumption.dispatcher.session
    desk.consumer.lost()
    desk.connect()
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    consumption.accept(old, FakeDelivery(1))
    consumption.accept(consumption.dispatcher.session, FakeDelivery(2))
    desk.consumer.prepare()

    assert channel_of(consumption).accepted == [2]


def test_a_copy_of_an_older_session_that_failed_costs_the_new_channel_nothing(desk: Desk) -> None:
    """P4: the broker delivers that event again anyway; to close the channel once more would redeliver everything."""
    consumption = desk.attached()
    old = consumption.dispatcher.session
    desk.consumer.lost()
    desk.connect()
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    desk.consumer.post(RestoreFailed(consumption, RuntimeError("the dead-letter queue is gone"), old))
    desk.consumer.prepare()

    assert consumption.channel is not None
    assert not channel_of(consumption).is_closed


def test_what_is_done_is_collected_within_a_second(desk: Desk) -> None:
    """P4: the event behind a finished one may hang; the broker must not wait for it with the finished one."""
    desk.attached()

    assert desk.consumer.prepare() <= 1.0


def test_detaching_settles_closes_and_forgets(desk: Desk) -> None:
    """P6, P8: what was handled is acknowledged before the channel gives the rest back."""
    consumption = desk.attached()
    channel = channel_of(consumption)

    consumption.accept(0, FakeDelivery(1))
    consumption.accept(0, FakeDelivery(2))
    desk.consumer.post(Detach(consumption))
    desk.consumer.prepare()

    assert channel.accepted == [1, 2]
    assert channel.is_closed
    assert consumption.detached.result(0) is None
    assert desk.consumer.is_finished()
    desk.consumer.handle([Deliveries(channel, [FakeDelivery(3)]), Cancelled(channel)])
    assert desk.restored == []


def test_the_channel_stays_until_the_broker_has_taken_what_was_acknowledged(desk: Desk) -> None:
    """P2, P8: closed sooner, a quorum queue gives it to somebody else; meanwhile the others are served."""
    consumption, other = desk.attached("leaving"), desk.attached("other")
    channel = channel_of(consumption)
    consumption.accept(0, FakeDelivery(1))
    channel.settled_at = time.monotonic() + WAIT_SECONDS

    desk.consumer.post(Detach(consumption))
    pause_seconds = desk.consumer.prepare()
    other.accept(0, FakeDelivery(1))
    desk.consumer.prepare()

    assert 0 < pause_seconds <= WAIT_SECONDS
    assert (channel.accepted, channel.is_closed) == ([1], False)
    assert channel_of(other).accepted == [1]
    assert not consumption.detached.done()

    channel.settled_at = time.monotonic()
    desk.consumer.prepare()

    assert channel.is_closed
    assert consumption.detached.done()


def test_who_has_no_time_closes_it_sooner(desk: Desk) -> None:
    """P8: ``close(0.1)`` ends in that time, and what is lost by it is handled twice, not never."""
    consumption = desk.attached()
    channel_of(consumption).settled_at = time.monotonic() + WAIT_SECONDS

    desk.consumer.post(Detach(consumption, deadline=time.monotonic() + 0.1))
    desk.consumer.prepare()

    assert consumption.detached.done()


def test_a_lost_connection_ends_that_wait(desk: Desk) -> None:
    """P8: there is no channel any more that could be closed too soon."""
    consumption = desk.attached()
    channel_of(consumption).settled_at = time.monotonic() + WAIT_SECONDS
    desk.consumer.post(Detach(consumption))
    desk.consumer.prepare()
    assert not consumption.detached.done()

    desk.consumer.lost()
    desk.consumer.offline()

    assert consumption.detached.done()
    assert desk.consumer.is_finished()


def test_attaching_twice_consumes_once(desk: Desk) -> None:
    """Two answers to two restores must not make two consumers of one subscription."""
    consumption = desk.attached()

    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    assert len(desk.connection.consume_channels) == 1


def test_it_is_finished_when_every_subscription_is_detached(desk: Desk) -> None:
    """P8: the loop ends after the last channel is closed, and not before."""
    first, second = desk.attached("first"), desk.attached("second")

    desk.consumer.post(Detach(first))
    desk.consumer.prepare()
    assert not desk.consumer.is_finished()
    desk.consumer.post(Detach(second))
    desk.consumer.prepare()

    assert desk.consumer.is_finished()
    assert "0 of 0" in repr(desk.consumer)


def test_what_was_handled_last_is_acknowledged_when_the_loop_leaves(desk: Desk) -> None:
    """P8: one handler hangs over the end of ``close``; what the others have done must not be done again."""
    consumption = desk.attached()
    consumption.accept(0, FakeDelivery(1))

    desk.consumer.leaving()

    assert channel_of(consumption).accepted == [1]
