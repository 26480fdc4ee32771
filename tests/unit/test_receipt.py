"""``bus_amqp.receipt``: what became of one event, seen from any thread."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from bus_amqp.errors import DeadlineExceededError, UnroutableError
from bus_amqp.receipt import Receipt, ReceiptState
from tests.unit.fakes import Running, call_here, wait_until, wait_until_blocked

REFUSED = UnroutableError("no queue")


def a_receipt(run_callback: Callable[[Callable[[], None]], None] = call_here) -> Receipt:
    return Receipt(run_callback)


def test_a_fresh_receipt_is_accepted_and_open() -> None:
    """``publish`` returns it before the broker knows."""
    receipt = a_receipt()

    assert receipt.state is ReceiptState.ACCEPTED
    assert not receipt.done()
    assert "accepted" in repr(receipt)


def test_a_confirmed_receipt_has_no_error() -> None:
    """``result`` returning is the promise that the broker has it."""
    receipt = a_receipt()

    receipt.settle()

    assert receipt.state is ReceiptState.CONFIRMED
    assert receipt.done()
    assert receipt.result(0) is None
    assert receipt.exception() is None


def test_a_failed_receipt_raises_why() -> None:
    """``result`` must never return for an event that was not stored."""
    receipt = a_receipt()

    receipt.settle(REFUSED)

    assert receipt.state is ReceiptState.FAILED
    assert receipt.exception(0) is REFUSED
    with pytest.raises(UnroutableError):
        receipt.result()


@pytest.mark.parametrize(("first", "second"), [(None, REFUSED), (REFUSED, None)])
def test_the_first_outcome_stays(first: UnroutableError | None, second: UnroutableError | None) -> None:
    """An outcome that was told to a caller cannot be taken back."""
    receipt = a_receipt()
    calls: list[Receipt] = []
    receipt.add_done_callback(calls.append)

    receipt.settle(first)
    receipt.settle(second)

    assert receipt.exception(0) is first
    assert calls == [receipt]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_waiting_too_long_raises_timeout_error_and_changes_nothing(timeout: float) -> None:
    """As ``concurrent.futures`` does; the event is still on its way."""
    receipt = a_receipt()

    with pytest.raises(TimeoutError, match="accepted"):
        receipt.result(timeout)
    with pytest.raises(TimeoutError):
        receipt.exception(timeout)

    receipt.settle()
    receipt.result(timeout)


def test_a_waiter_is_woken_by_the_outcome() -> None:
    """A caller may block for the confirm without any poll."""
    receipt = a_receipt()
    waiting = Running(receipt.result)
    wait_until_blocked(waiting.thread)

    receipt.settle()

    assert waiting.result() is None


def test_callbacks_run_where_the_bus_wants_them_and_at_once_when_it_is_late() -> None:
    """User code never runs on the publisher thread; a late callback is not lost."""
    handed_over: list[Callable[[], None]] = []
    receipt = a_receipt(handed_over.append)
    calls: list[str] = []
    receipt.add_done_callback(lambda settled: calls.append(f"early {settled.state}"))

    receipt.settle()
    assert calls == []
    handed_over.pop()()
    receipt.add_done_callback(lambda settled: calls.append(f"late {settled.state}"))

    assert calls == ["early confirmed", "late confirmed"]
    assert handed_over == []


def test_a_raising_callback_is_logged_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Callbacks are foreign code: one must not cost the others theirs."""
    receipt = a_receipt()
    calls: list[Receipt] = []
    receipt.add_done_callback(lambda settled: 1 / 0)
    receipt.add_done_callback(calls.append)

    with caplog.at_level(logging.ERROR, "bus_amqp.publish"):
        receipt.settle()

    assert calls == [receipt]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.usefixtures("restless_threads")
def test_settling_races_with_registering_and_every_callback_runs_exactly_once() -> None:
    """The receipt has no lock on its hot path: a waiter that is missed would wait for ever."""
    rounds, registrants = 400, 3
    start = threading.Barrier(registrants + 1)
    receipts = [a_receipt() for _ in range(rounds)]
    counts = [[0] * rounds for _ in range(registrants)]

    def register(which: int) -> None:
        for number, receipt in enumerate(receipts):
            start.wait()

            def count(_: Receipt, number: int = number) -> None:
                counts[which][number] += 1

            receipt.add_done_callback(count)
            receipt.result(5)

    running = [Running(lambda which=which: register(which)) for which in range(registrants)]  # type: ignore[misc]  # a default as a binding
    for receipt in receipts:
        start.wait()
        receipt.settle()
    for one in running:
        one.result()

    assert counts == [[1] * rounds] * registrants


def test_a_receipt_can_be_awaited() -> None:
    """``await bus.publish(event)`` works in a coroutine and does not block its loop."""
    confirmed, failed, settled = a_receipt(), a_receipt(), a_receipt()
    settled.settle()

    async def wait() -> str:
        threading.Thread(target=confirmed.settle).start()
        await confirmed
        threading.Thread(target=failed.settle, args=(REFUSED,)).start()
        with pytest.raises(UnroutableError):
            await failed
        await settled
        return "done"

    assert asyncio.run(asyncio.wait_for(wait(), 5)) == "done"


@pytest.mark.usefixtures("restless_threads")
def test_awaiting_races_with_settling() -> None:
    """A task must be woken however the two threads interleave."""
    receipts = [a_receipt() for _ in range(300)]
    go = threading.Event()

    def settle_all() -> None:
        go.wait()
        for receipt in receipts:
            receipt.settle()

    settling = Running(settle_all)

    async def await_all() -> None:
        go.set()
        for receipt in receipts:
            await receipt

    asyncio.run(asyncio.wait_for(await_all(), 10))
    settling.result()


def test_settling_after_the_awaiting_task_or_its_loop_ended_harms_nobody() -> None:
    """The publisher thread must survive a task that was cancelled, and a loop that is gone."""
    cancelled, abandoned = a_receipt(), a_receipt()

    async def give_up() -> None:
        task = asyncio.ensure_future(_await(cancelled))
        other = asyncio.ensure_future(_await(abandoned))
        await asyncio.sleep(0)
        task.cancel()
        other.cancel()
        cancelled.settle()
        await asyncio.gather(task, other, return_exceptions=True)

    asyncio.run(give_up())
    abandoned.settle()

    wait_until(abandoned.done)


async def _await(receipt: Receipt) -> None:
    await receipt


def test_a_wait_that_ran_out_leaves_nothing_behind() -> None:
    """Who asks once a second for a day must not fill the memory; the error is one of the bus, too."""
    receipt = a_receipt()
    others: list[Receipt] = []
    receipt.add_done_callback(others.append)

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(receipt), 0.001)

    for _ in range(5):
        with pytest.raises(DeadlineExceededError):
            receipt.result(0)
        asyncio.run(ask())

    assert len(receipt._callbacks or ()) == 1
    receipt.settle()
    assert others == [receipt]
