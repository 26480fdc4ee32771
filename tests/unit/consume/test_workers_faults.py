"""``bus_amqp.consume.workers`` when something fails outside of the subscriber, or a subscriber is greedy."""

import logging
import threading

import pytest

from bus_amqp.event import Event
from bus_amqp.ioloop.service import AsyncLoop
from tests.unit.consume.shift import Shift
from tests.unit.fakes import WAIT_SECONDS, wait_until


def nothing(event: Event) -> None:
    """Handle nothing."""


async def nothing_async(event: Event) -> None:
    """Handle nothing, in a coroutine."""


@pytest.mark.parametrize("is_async", [False, True])
def test_a_fault_outside_of_the_subscriber_ends_the_session_and_not_the_worker(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """P4: a worker that ends without a word is a subscription that stands still for ever."""
    async_loop = AsyncLoop()
    shift = Shift(nothing_async if is_async else nothing, 1, async_loop if is_async else None)
    fault = RuntimeError("a fault of the bus")
    shift.settler.faults.append(fault)

    with caplog.at_level(logging.ERROR, "bus_amqp.consume"):
        shift.deliver(1)
        wait_until(lambda: shift.settler.given_back and not shift.dispatcher.running)
        shift.deliver(2, first_tag=2)
        wait_until(lambda: shift.settler.tags == [2])

    assert shift.settler.given_back == [(0, fault)]
    assert "a fault of the bus" in caplog.text
    assert shift.end()
    async_loop.close(WAIT_SECONDS)


def test_a_coroutine_subscriber_that_never_suspends_leaves_the_loop_to_the_others() -> None:
    """P4: all coroutine subscribers share a loop; one with a full queue must not have it for itself."""
    both_are_there, seen = threading.Event(), []

    async def greedy(event: Event) -> None:
        both_are_there.wait(WAIT_SECONDS)
        seen.append("greedy")

    async def modest(event: Event) -> None:
        seen.append("modest")

    async_loop = AsyncLoop()
    one, other = Shift(greedy, 1, async_loop), Shift(modest, 1, async_loop)
    one.deliver(*range(200))
    wait_until(lambda: one.dispatcher.running)
    other.deliver(1)
    both_are_there.set()
    wait_until(lambda: len(seen) == 201)

    assert seen.index("modest") < 50
    assert one.end()
    assert other.end()
    async_loop.close(WAIT_SECONDS)
