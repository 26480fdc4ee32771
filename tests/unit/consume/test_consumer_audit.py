"""``bus_amqp.consume.consumer``: how it audits, takes care after crashes, and what it remembers; without any thread."""

import logging
from uuid import uuid4

import pytest

from bus_amqp.consume import consumer as consumer_module
from bus_amqp.consume.caution import DELIVERY_COUNT, SHARED, Caution
from bus_amqp.consume.consumption import Attach, Audited, Consumption
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.signals import Deliveries
from bus_amqp.wire.message import Properties
from tests.unit.consume.desk import Desk, channel_of
from tests.unit.fakes import FakeDelivery, an_event

WELL = QueueState(ready=0, consumers=1)
UNKNOWN = QueueState(ready=0, consumers=0)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An audit is due at each turn, and a second look, too."""
    monkeypatch.setattr(consumer_module, "SECOND_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(consumer_module, "IDLE_SECONDS", 0.0)
    desk = Desk(audit_seconds=0.0)
    desk.consumer._look_seconds = 0.0
    return desk


def answer(desk: Desk, state: QueueState | None = WELL, error: Exception | None = None) -> None:
    """Answer the inspection that is going on, and take the next turn."""
    consumption, session = desk.inspected.pop(0)
    desk.consumer.post(Audited(consumption, session, state, error))
    desk.consumer.prepare()


def test_one_queue_is_looked_at_at_a_time_and_each_in_its_turn(desk: Desk) -> None:
    """P4: a queue that does not answer must not hold up what the others ask of the control connection."""
    first, second = desk.attached("first"), desk.attached("second")
    assert [one for one, _ in desk.inspected] == [first]

    desk.consumer.prepare()
    assert len(desk.inspected) == 1
    answer(desk)
    assert [one for one, _ in desk.inspected] == [second]
    answer(desk)
    assert [one for one, _ in desk.inspected] == [first]


def test_a_healthy_subscription_is_left_alone(desk: Desk) -> None:
    """P7: a new session would have the broker deliver again what is in hand."""
    consumption = desk.attached()
    channel = consumption.channel

    for _ in range(50):
        answer(desk)

    assert consumption.channel is channel
    assert desk.restored == []
    health = consumption.health()
    assert (health.backlog, health.warnings) == (0, ())
    assert health.audited_at is not None


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        ([None], "its queue is gone"),
        ([UNKNOWN, UNKNOWN], "no consumer"),
        ([QueueState(ready=3, consumers=1)] * 2, "delivers none"),
    ],
)
def test_a_ghost_gets_a_new_session_and_its_neighbour_keeps_his(
    states: list[QueueState | None], reason: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4, P7: repaired by itself, told in health, and nobody else's business."""
    ghost = desk.attached("ghost")
    for state in states:
        answer(desk, state)
    neighbour = desk.attached("neighbour")

    assert desk.restored == [ghost]
    assert not ghost.health().is_consuming
    assert reason in ghost.health().reason
    assert neighbour.health().is_consuming
    desk.consumer.post(Attach(ghost))
    desk.consumer.prepare()
    assert ghost.health().is_consuming
    assert neighbour.dispatcher.session == 0


def test_an_answer_about_an_older_session_is_no_reason_to_end_this_one(desk: Desk) -> None:
    """The channel ended and was made again while somebody looked: what he saw was the moment between."""
    consumption = desk.attached()
    [(_, session)] = desk.inspected
    desk.consumer.lost()
    desk.connect()
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()
    channel = consumption.channel

    desk.consumer.post(Audited(consumption, session, None))
    desk.consumer.prepare()

    assert consumption.channel is channel


def test_a_look_that_failed_changes_nothing_and_is_told(desk: Desk) -> None:
    """P7: the control connection's trouble is not the subscription's, but health must not pretend to know."""
    consumption = desk.attached()
    answer(desk, error=TimeoutError("the queue has no leader"))

    assert consumption.health().is_consuming
    assert "no leader" in consumption.health().warnings[0]
    assert len(desk.inspected) == 1, "and somebody looks again"


def test_a_backlog_is_logged_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """P4: a warning before the broker is full; not one each half-minute."""
    consumption = desk.attached()
    with caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        for _ in range(3):
            consumption.delivered += 1
            answer(desk, QueueState(ready=100_001, consumers=1))

    assert caplog.text.count("100001 events wait") == 1
    assert "100001 events wait in the queue" in consumption.health().warnings


def test_a_slow_handler_is_logged_with_its_event(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """P4: which event it is, is what one wants to know."""
    consumption = desk.attached()
    consumption.watch.timeout_seconds = 1e-9
    event = consumption.watch.slot().event = an_event(3)
    with caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        for _ in range(3):
            desk.consumer.prepare()

    assert caplog.text.count(str(event.event_id)) == 1
    assert consumption.health().slow_handlers == 1
    assert "1 handlers run" in consumption.health().warnings[0]


def counted(tag: int, count: int) -> FakeDelivery:
    properties = Properties(message_id=str(uuid4()), headers={DELIVERY_COUNT: count} if count else {})
    return FakeDelivery(tag, properties=properties, redelivered=count > 0)


def handled(consumption: Consumption, delivery: FakeDelivery) -> None:
    consumption.accept(consumption.dispatcher.session, delivery)


def test_after_crashes_it_takes_one_at_a_time_until_the_suspects_are_through(desk: Desk) -> None:
    """P5: a crash is then counted against the event in hand, and twenty of them dead-letter no other."""
    consumption = desk.consumption()
    consumption.caution = Caution(SHARED)
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()
    full = channel_of(consumption)

    desk.consumer.handle([Deliveries(full, [counted(1, 2), counted(2, 2)])])
    careful = channel_of(consumption)
    assert full.is_closed
    assert (careful.prefetch, consumption.dispatcher.waiting) == (1, 0)
    for tag, count in [(1, 3), (2, 3), (3, 0)]:
        delivery = counted(tag, count)
        desk.consumer.handle([Deliveries(careful, [delivery])])
        desk.consumer.prepare()
        assert channel_of(consumption) is careful
        handled(consumption, delivery)
        desk.consumer.prepare()

    assert careful.accepted == [1, 2, 3]
    assert channel_of(consumption).prefetch == full.prefetch
    desk.consumer.handle([Deliveries(channel_of(consumption), [counted(1, 2)])])
    assert channel_of(consumption).prefetch == full.prefetch, "this process has lived: it is not looked at again"


def test_what_was_acknowledged_last_is_known_again_after_a_lost_connection(desk: Desk) -> None:
    """P2: nobody can tell which acknowledgements the broker has read; what comes again has been handled."""
    consumption = desk.attached()
    deliveries = [counted(tag, 0) for tag in (1, 2, 3)]
    desk.consumer.handle([Deliveries(channel_of(consumption), deliveries)])
    for delivery in deliveries[:2]:
        handled(consumption, delivery)
    desk.consumer.prepare()
    consumption.accept(0, deliveries[2])  # not yet collected

    desk.consumer.lost()
    desk.connect()
    assert [consumption.was_handled(one) for one in deliveries] == [True, True, True]
    late = counted(4, 0)
    assert not consumption.was_handled(late)
    consumption.accept(0, late)  # its handler outlived the session
    assert consumption.was_handled(late)


def test_a_copy_that_was_stored_is_not_a_success(desk: Desk) -> None:
    """P2: the copy has the same id, and is to be handled when it comes."""
    consumption = desk.attached()
    delivery = counted(1, 0)
    desk.consumer.handle([Deliveries(channel_of(consumption), [delivery])])
    consumption._accepted.append((0, 1))  # as a stored copy does
    desk.consumer.prepare()
    assert channel_of(consumption).accepted == [1]

    desk.consumer.lost()

    assert not consumption.was_handled(delivery)
