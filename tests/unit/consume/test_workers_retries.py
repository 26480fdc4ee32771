"""``bus_amqp.consume.workers``: what they do with an event that is to be tried again."""

import logging
from collections.abc import Iterator

import pytest

from bus_amqp.consume.dispatcher import Batch, Dispatcher
from bus_amqp.consume.patient_lanes import PatientLanes
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.event import Event
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.retry import RetryLater, RetryPolicy
from tests.unit.consume.shift import Shift
from tests.unit.fakes import FakeDelivery, Running, wait_until, wait_until_blocked

POLICY = RetryPolicy(attempts=3, delays_seconds=(5,))
IN_ORDER = RetryPolicy(attempts=3, delays_seconds=(0.02,), keep_order=True)


@pytest.fixture
def async_loop() -> Iterator[AsyncLoop]:
    loop = AsyncLoop()
    yield loop
    loop.close(5)


def failing_on(description: str, error: Exception, times: int = 99) -> object:
    left = [times]

    def on_event(event: Event) -> None:
        if event.description == description and left[0]:
            left[0] -= 1
            raise error

    return on_event


def test_a_failed_event_is_sent_to_its_wait_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """P4, P5: the worker waits for nothing; one line tells attempt, number of attempts and the delay."""
    shift = Shift(failing_on("2", ValueError("boom")), 1, None, POLICY)
    with caplog.at_level(logging.INFO, logger="bus_amqp"):
        shift.deliver(1, 2, 3)
        wait_until(lambda: len(shift.settler.tags) == 2)
        assert shift.end()

    assert shift.settler.retried == [(0, 2, SecondChance(5, "ValueError: boom", attempts=1))]
    assert (shift.settler.tags, shift.settler.dead) == ([1, 3], [])
    assert [counts.retried for counts in shift.workers.counts] == [1]
    [record] = [record for record in caplog.records if record.name == "bus_amqp.consume"]
    assert record.levelno == logging.WARNING
    assert "attempt 1 of 3" in record.getMessage()
    assert "5 s" in record.getMessage()
    assert "ValueError: boom" in record.getMessage()


def test_later_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The subscriber knows what it does."""
    shift = Shift(failing_on("1", RetryLater(30)), 1, None, POLICY)
    with caplog.at_level(logging.INFO, logger="bus_amqp"):
        shift.deliver(1)
        wait_until(lambda: shift.settler.retried)
        assert shift.end()

    [record] = [record for record in caplog.records if record.name == "bus_amqp.consume"]
    assert record.levelno == logging.INFO
    assert "postponed" in record.getMessage()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_kept_event_is_tried_again_with_nobody_to_wake_the_workers(workers: int) -> None:
    """Its time comes by itself: no delivery, no settlement, no other worker needs to happen."""
    shift = Shift(failing_on("1", ValueError("boom"), times=2), workers, None, IN_ORDER)
    shift.deliver(7, 7, 8)
    wait_until(lambda: len(shift.settler.tags) == 3)

    assert shift.end()
    assert shift.settler.tags == [3, 1, 2]
    assert [tag for tag, _ in shift.settler.kept] == [1, 1]
    assert shift.settler.retried == []


def test_a_kept_event_of_a_coroutine_is_tried_again(async_loop: AsyncLoop) -> None:
    """The event loop is woken when its time has come."""
    handle = failing_on("1", ValueError("boom"), times=2)

    async def on_event(event: Event) -> None:
        handle(event)  # type: ignore[operator]  # a function

    shift = Shift(on_event, 2, async_loop, IN_ORDER)
    shift.deliver(7, 7, 8)
    wait_until(lambda: len(shift.settler.tags) == 3)

    assert shift.end()
    assert shift.settler.tags == [3, 1, 2]


def test_a_kept_event_of_a_session_that_has_ended_is_not_kept() -> None:
    """P3: the broker delivers it again; kept too, it would be handled twice."""
    shift = Shift(failing_on("1", ValueError("boom"), times=1), 1, None, IN_ORDER)
    ended: list[int] = []
    keep = shift.settler.keep

    def end_session_first(delivery: object, chance: SecondChance) -> float:
        shift.dispatcher.begin_session()
        ended.append(1)
        return keep(delivery, chance)  # type: ignore[arg-type]  # passed on

    shift.settler.keep = end_session_first  # type: ignore[method-assign]  # the moment under test
    shift.deliver(7)
    wait_until(lambda: ended and not shift.dispatcher.running)

    assert shift.dispatcher.waiting == 0
    assert shift.dispatcher.why_still == ""
    assert shift.end()
    assert shift.settler.tags == []


def test_a_subscription_that_ends_waits_for_no_kept_event() -> None:
    """P6, P8: it is not in hand: ``close`` is done, and the worker ends."""
    shift = Shift(failing_on("1", ValueError("boom")), 1, None, RetryPolicy(2, (600,), keep_order=True))
    shift.deliver(7, 7)
    wait_until(lambda: shift.settler.kept and not shift.dispatcher.running)
    assert shift.dispatcher.waiting == 2
    idle: list[None] = []

    shift.dispatcher.close(lambda: idle.append(None))

    assert idle == [None]
    assert shift.end()


def test_when_lanes_go_on_after_standing_still_all_workers_do() -> None:
    """One wake for one settled event is not enough then: what was held back is work for all of them."""
    now = [0.0]
    dispatcher = Dispatcher(lanes=PatientLanes(prefetch=2, clock=lambda: now[0]))
    dispatcher.submit([FakeDelivery(1, routing_key="a.b.c.bad.e")])
    failed = dispatcher.take_now(1)
    assert failed is not None
    dispatcher.done(failed, [(failed.deliveries[0], 1000.0)])
    dispatcher.submit([FakeDelivery(tag, routing_key=f"a.b.c.{tag}.e") for tag in (2, 3, 4)])
    assert dispatcher.why_still
    takers = [Running(lambda: dispatcher.take(1)) for _ in range(3)]
    for taker in takers:
        wait_until_blocked(taker.thread)

    now[0] += 1000.0
    again = dispatcher.take_now(1)
    assert again is not None
    dispatcher.done(again)

    taken = [taker.result() for taker in takers]
    assert sorted(batch.deliveries[0].tag for batch in taken if isinstance(batch, Batch)) == [2, 3, 4]
