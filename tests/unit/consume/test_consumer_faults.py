"""``bus_amqp.consume.consumer`` when channels end, connections are lost and restores fail."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bus_amqp.consume import consumer as consumer_module
from bus_amqp.consume import outage as outage_module
from bus_amqp.consume.consumer import IDLE_SECONDS
from bus_amqp.consume.consumption import Attach, Detach, RestoreFailed
from bus_amqp.errors import (
    AccessRefusedError,
    BusClosedError,
    ChannelLostError,
    ConnectionLostError,
    InvalidArgumentError,
    NotFoundOnBrokerError,
)
from bus_amqp.health import Gap
from bus_amqp.transport.signals import Cancelled, ChannelClosed
from tests.unit.consume.desk import LOST, Desk, channel_of
from tests.unit.fakes import FakeConsumeChannel


def test_after_a_lost_connection_every_subscription_is_restored(desk: Desk) -> None:
    """P7: subscriptions consume again without the user."""
    billing, workflow = desk.attached("billing"), desk.attached("workflow")
    desk.deliver(billing, 1, 2)

    desk.consumer.lost()
    assert not billing.health().is_consuming
    assert billing.dispatcher.waiting == 0, "the broker delivers it again"
    desk.connect()
    assert desk.restored == [billing, workflow]
    desk.consumer.post(Attach(billing))
    desk.consumer.post(Attach(workflow))
    desk.consumer.prepare()

    assert billing.health().is_consuming
    assert workflow.health().is_consuming
    assert len(desk.connection.consume_channels) == 2


@pytest.mark.parametrize(
    "end",
    [
        Cancelled,
        lambda channel: ChannelClosed(channel, ChannelLostError("closed by the broker")),
        lambda channel: ChannelClosed(channel, NotFoundOnBrokerError("no queue")),
    ],
)
def test_a_channel_that_ended_is_restored_and_the_others_go_on(
    end: Callable[[FakeConsumeChannel], Cancelled | ChannelClosed], desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """P4, P7: a deleted queue is one subscription's trouble; the ghost consumer that everybody knows."""
    billing, workflow = desk.attached("billing"), desk.attached("workflow")
    channel = channel_of(billing)
    desk.deliver(billing, 1)
    with caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        desk.consumer.handle([end(channel)])

    assert not billing.health().is_consuming
    assert billing.health().reason
    assert billing.dispatcher.session == 1
    assert channel.is_closed
    assert "bus.events.billing" in caplog.text
    assert workflow.health().is_consuming
    assert workflow.dispatcher.session == 0

    desk.consumer.prepare()
    assert desk.restored == [billing]
    desk.consumer.post(Attach(billing))
    desk.consumer.prepare()
    assert billing.health().is_consuming


def test_a_restore_that_failed_is_tried_again(desk: Desk) -> None:
    """P7: until it works, with a pause in between."""
    consumption = desk.attached()
    desk.consumer.handle([Cancelled(channel_of(consumption))])
    desk.consumer.prepare()
    assert len(desk.restored) == 1

    for tries in (2, 3):
        desk.consumer.post(RestoreFailed(consumption, ConnectionLostError("no broker")))
        desk.consumer.prepare()
        assert len(desk.restored) == tries
        assert consumption.reason == "no broker"

    desk.consumer.post(Attach(consumption))
    assert desk.consumer.prepare() == IDLE_SECONDS
    assert consumption.health().is_consuming


def test_the_pause_before_a_retry_is_slept_and_not_spun(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: a right that is missing does not come back by asking a million times a second."""
    monkeypatch.setattr(outage_module, "REFUSED_PAUSE_SECONDS", 5.0)
    consumption = desk.attached()
    desk.consumer.handle([ChannelClosed(channel_of(consumption), AccessRefusedError("no right"))])

    assert desk.consumer.prepare() == consumer_module.IDLE_SECONDS
    assert desk.restored == []


def test_a_copy_that_was_not_stored_ends_the_session(desk: Desk) -> None:
    """P5: the channel is closed, so the broker delivers the original again, and the queues are restored first."""
    consumption = desk.attached()
    channel = channel_of(consumption)

    desk.consumer.post(RestoreFailed(consumption, RuntimeError("the dead-letter queue is gone"), session=0))
    desk.consumer.prepare()

    assert channel.is_closed
    assert consumption.dispatcher.session == 1
    assert desk.restored == [consumption]


def test_a_gap_is_logged_with_its_times(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """P2: what could not be kept is at least said."""
    consumption = desk.attached()
    desk.consumer.handle([Cancelled(channel_of(consumption))])
    gap = Gap(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))

    with caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        desk.consumer.post(Attach(consumption, gap))
        desk.consumer.prepare()

    assert "2026-03-01" in caplog.text
    assert "2026-03-02" in caplog.text
    assert consumption.health().gaps == (gap,)


def test_a_connection_that_is_lost_while_detaching_detaches(desk: Desk) -> None:
    """P6: ``unsubscribe`` must not hang over a broker that dies in the same moment."""
    consumption = desk.attached()
    channel_of(consumption).error = LOST
    desk.consumer.post(Detach(consumption))

    with pytest.raises(ConnectionLostError):
        desk.consumer.prepare()
    desk.consumer.lost()

    assert consumption.detached.result(0) is None
    assert desk.consumer.is_finished()


def test_a_connection_that_is_lost_over_one_letter_keeps_the_others(desk: Desk) -> None:
    """P6: the letters behind it are somebody's ``subscribe`` and somebody's ``unsubscribe``."""
    ending, starting, late = desk.attached("ending"), desk.consumption("starting"), desk.consumption("late")
    desk.connection.consume_error = LOST
    for letter in (Attach(starting), Detach(ending), Attach(late)):
        desk.consumer.post(letter)

    with pytest.raises(ConnectionLostError):
        desk.consumer.prepare()
    desk.consumer.lost()
    desk.consumer.offline()
    desk.connect()

    assert ending.detached.done()
    assert desk.restored == [starting, late]


def test_without_a_connection_subscriptions_end_and_wait_to_begin(desk: Desk) -> None:
    """P6, P7: ``unsubscribe`` needs no broker, and what is asked for in an outage is there after it."""
    ending, starting = desk.attached("ending"), desk.consumption("starting")
    desk.consumer.lost()
    desk.consumer.post(Detach(ending))
    desk.consumer.post(Attach(starting))

    desk.consumer.offline()

    assert ending.detached.done()
    assert not starting.attached.done()
    desk.connect()
    assert desk.restored == [starting]


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_restore_that_comes_back_after_unsubscribe_revives_nothing(is_connected: bool, desk: Desk) -> None:
    """P8: attached again, nobody would ever detach it: ``close`` would wait in vain and a queue be left."""
    consumption = desk.attached()
    desk.consumer.lost()
    desk.connect()
    consumption.dispatcher.close(lambda: desk.consumer.post(Detach(consumption)))
    if not is_connected:
        desk.consumer.lost()

    desk.consumer.post(Attach(consumption))
    (desk.consumer.prepare if is_connected else desk.consumer.offline)()
    desk.consumer.post(RestoreFailed(consumption, ConnectionLostError("late")))
    if is_connected:
        desk.consumer.prepare()

    assert consumption.detached.done()
    assert desk.consumer.is_finished()
    assert desk.connection.consume_channels == []


def test_an_argument_that_amqp_cannot_carry_is_its_own_subscriptions_trouble(desk: Desk) -> None:
    """P4: an impossible prefetch must not cost the others their connection, again and again."""
    good, bad = desk.attached("good"), desk.consumption("bad")
    desk.connection.consume_error = error = InvalidArgumentError("prefetch 70000 does not fit")

    desk.consumer.post(Attach(bad))
    desk.consumer.prepare()

    assert bad.attached.exception(0) is error
    assert good.health().is_consuming


@pytest.mark.parametrize("is_connected", [True, False])
def test_detaching_tells_who_still_waits_for_the_first_attach(is_connected: bool, desk: Desk) -> None:
    """P8: ``subscribe`` on one thread and ``close`` on another; it must not wait out the connect timeout."""
    consumption = desk.consumption()
    if not is_connected:
        desk.consumer.lost()
        desk.consumer.post(Attach(consumption))
    consumption.dispatcher.close(lambda: desk.consumer.post(Detach(consumption)))

    (desk.consumer.prepare if is_connected else desk.consumer.offline)()

    assert isinstance(consumption.attached.exception(0), BusClosedError)
    assert consumption.detached.done()
    assert desk.consumer.is_finished()


def test_a_restore_that_failed_late_leaves_a_working_channel_alone(desk: Desk) -> None:
    """P7: two restores, the second has worked: to close its channel would redeliver everything for nothing."""
    consumption = desk.attached()

    desk.consumer.post(RestoreFailed(consumption, ConnectionLostError("the first of two")))
    desk.consumer.prepare()

    assert not channel_of(consumption).is_closed
    assert consumption.dispatcher.session == 0
    assert desk.restored == []


def test_a_copy_that_failed_after_the_end_was_asked_for_changes_nothing(desk: Desk) -> None:
    """P6, P8: what is in hand is settled on the channel that it came by; nothing is begun again."""
    consumption = desk.attached()
    consumption.dispatcher.close(lambda: None)

    desk.consumer.post(RestoreFailed(consumption, RuntimeError("not stored"), session=0))
    desk.consumer.prepare()

    assert not channel_of(consumption).is_closed
    assert desk.restored == []


@pytest.mark.parametrize(("stable_seconds", "failures"), [(60.0, 3), (-1.0, 1)])
def test_only_a_channel_that_lived_for_a_while_makes_the_pauses_short_again(
    stable_seconds: float, failures: int, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: a copy that can never be stored would otherwise have its event delivered ten times a second for ever."""
    monkeypatch.setattr(outage_module, "STABLE_SECONDS", stable_seconds)
    consumption = desk.attached()

    for session in range(3):
        consumption.give_back(session, RuntimeError("not stored"))
        desk.consumer.prepare()
        desk.consumer.post(Attach(consumption))
        desk.consumer.prepare()

    assert repr(consumption.outage) == f"<Outage none, <Backoff after {failures} failures>>"


def test_bindings_that_were_gone_are_a_gap_of_a_channel_that_was_not(desk: Desk) -> None:
    """P2: the exchange was deleted and made again; the queue and its consumer never noticed."""
    consumption = desk.attached()
    channel = channel_of(consumption)
    gap = Gap(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))

    desk.consumer.post(Attach(consumption, gap))
    desk.consumer.prepare()

    assert consumption.health().gaps == (gap,)
    assert consumption.channel is channel
