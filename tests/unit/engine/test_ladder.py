"""``bus_amqp.engine.ladder``: copies wait on rungs that are made when they are first needed."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from bus_amqp.consume.dead_letter import DeadLetterAddress
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.engine.ladder import Ladder
from bus_amqp.errors import (
    AccessRefusedError,
    BusClosedError,
    ConnectionLostError,
    EventBusException,
    NotFoundOnBrokerError,
    UnroutableError,
)
from bus_amqp.settings import Settings
from bus_amqp.wire.message import Message
from tests.unit.fakes import FakeConnection, FakeDelivery

ADDRESS = DeadLetterAddress("bus.events.dead", "billing", "bus.events.billing", subscriber="unit")
GONE = UnroutableError("no queue took it")


class Bench:
    """A ladder; control and outbox answer when the test says so."""

    def __init__(self, *, declare: bool = True) -> None:
        self.requests: list[tuple[Callable[[FakeConnection], object], Future[Any]]] = []
        self.sent: list[tuple[Message, Callable[[EventBusException | None], None]]] = []
        self.outcomes: list[EventBusException | None] = []
        self.closed: EventBusException | None = None
        self.ladder = Ladder(
            Settings(declare=declare),
            self,  # type: ignore[arg-type]  # only submit is used
            lambda message, on_done: self.sent.append((message, on_done)),
            uniform=lambda low, high: high,
        )

    def submit(self, work: Callable[[FakeConnection], object], timeout_seconds: float) -> Future[Any]:
        if self.closed is not None:
            raise self.closed
        self.requests.append((work, Future()))
        return self.requests[-1][1]

    def postpone(self, delay_seconds: float = 5) -> None:
        self.ladder.postpone(FakeDelivery(), SecondChance(delay_seconds, "why", 1), ADDRESS, self.outcomes.append)

    def use_a_rung(self) -> None:
        """Have one made, so that it is believed to be there."""
        self.postpone()
        self.declare()
        self.settle()
        self.outcomes.clear()

    def declare(self, error: EventBusException | None = None) -> FakeConnection:
        """Serve the oldest request."""
        work, future = self.requests.pop(0)
        connection = FakeConnection()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(work(connection))
        return connection

    def settle(self, error: EventBusException | None = None) -> Message:
        """Answer the oldest copy."""
        message, on_done = self.sent.pop(0)
        on_done(error)
        return message


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_rung_is_made_when_it_is_first_needed(bench: Bench) -> None:
    """And once: declaring stays off the way of the next failures."""
    bench.postpone(4)
    assert bench.sent == []
    [plan] = bench.declare().declared
    assert [queue.name for queue in plan.queues] == ["bus.events.wait.5s"]
    message = bench.settle()
    assert (message.exchange, message.expiration_ms) == ("bus.events.wait.5s", 5000)
    assert bench.outcomes == [None]

    bench.postpone(5)

    assert (bench.requests, len(bench.sent)) == ([], 1)
    bench.postpone(6)
    assert len(bench.requests) == 1, "another rung"


@pytest.mark.parametrize("error", [GONE, NotFoundOnBrokerError("no exchange")])
def test_a_rung_that_is_gone_is_made_again_and_the_copy_sent_once_more(bench: Bench, error: EventBusException) -> None:
    """An operator deleted it: no session is ended for that, no event handled twice."""
    bench.use_a_rung()
    bench.postpone()
    first = bench.settle(error)
    assert bench.outcomes == []

    bench.declare()

    assert bench.settle() is first
    assert bench.outcomes == [None]


def test_a_rung_that_is_gone_at_once_again_is_left_to_the_next_delivery(bench: Bench) -> None:
    """That has a pause between tries, and this has none; the rung is not believed to be there."""
    bench.use_a_rung()
    bench.postpone()
    bench.settle(GONE)
    bench.declare()
    bench.settle(GONE)

    [error] = bench.outcomes
    assert "gone" in str(error)
    bench.postpone()
    assert len(bench.requests) == 1


@pytest.mark.parametrize("error", [ConnectionLostError("away"), AccessRefusedError("no right")])
def test_a_rung_that_cannot_be_made_is_told(bench: Bench, error: EventBusException) -> None:
    """The original is not acknowledged: who asked decides what becomes of it."""
    bench.postpone()
    bench.declare(error)

    assert (bench.outcomes, bench.sent) == ([error], [])


def test_a_bus_that_closes_makes_no_rungs(bench: Bench) -> None:
    """The original goes back to its queue with the channel."""
    bench.closed = BusClosedError("the bus is closed")

    bench.postpone()

    assert bench.outcomes == [bench.closed]


def test_other_errors_are_passed_on(bench: Bench) -> None:
    """They say nothing about the rung."""
    bench.postpone()
    bench.declare()
    lost = BusClosedError("the bus was closed before this event could be sent")
    bench.settle(lost)

    assert bench.outcomes == [lost]
    assert bench.requests == []


def test_without_the_right_to_declare_a_missing_rung_is_the_operators_move() -> None:
    """``settings.declare=False``: nothing is declared, and what is missing is named."""
    bench = Bench(declare=False)
    bench.postpone()
    assert bench.requests == []
    bench.settle(GONE)

    [error] = bench.outcomes
    assert isinstance(error, NotFoundOnBrokerError)
    assert "bus.events.wait.5s" in str(error)
