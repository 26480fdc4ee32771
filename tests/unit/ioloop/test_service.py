"""``bus_amqp.ioloop.service``: the threads of the bus."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from bus_amqp.errors import BusClosedError
from bus_amqp.ioloop.service import AsyncLoop, Caller, start_thread
from tests.unit.fakes import WAIT_SECONDS, Running, wait_until


@pytest.fixture
def caller() -> Iterator[Caller]:
    caller = Caller("bus-unit-caller")

    yield caller

    caller.close(WAIT_SECONDS)


@pytest.fixture
def async_loop() -> Iterator[AsyncLoop]:
    async_loop = AsyncLoop()

    yield async_loop

    async_loop.close(WAIT_SECONDS)


def test_a_thread_has_its_name_and_keeps_no_process_alive() -> None:
    """Operators find it in a dump; a handler that hangs cannot stop the interpreter from ending."""
    names: list[str] = []

    thread = start_thread("bus-unit", lambda: names.append(threading.current_thread().name))
    thread.join(WAIT_SECONDS)

    assert names == ["bus-unit"]
    assert thread.daemon


def test_what_escapes_from_a_thread_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that ends without a word would be a bus that is silent for ever."""
    with caplog.at_level(logging.ERROR, "bus_amqp.ioloop"):
        start_thread("bus-unit", lambda: 1 // 0 and None).join(WAIT_SECONDS)

    assert "bus-unit" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_calls_run_one_after_another_on_one_thread(caller: Caller) -> None:
    """User callbacks of one bus never run at the same time."""
    seen: list[tuple[int, str]] = []

    for number in range(20):
        caller.call(lambda number=number: seen.append((number, threading.current_thread().name)))  # type: ignore[misc]  # a default as a binding
    wait_until(lambda: len(seen) == 20)

    assert seen == [(number, "bus-unit-caller") for number in range(20)]


def test_no_call_no_thread(caller: Caller) -> None:
    """A process that only publishes has one thread."""
    assert "bus-unit-caller" not in {thread.name for thread in threading.enumerate()}
    assert "0 waiting" in repr(caller)


def test_a_raising_call_is_logged_and_the_next_one_runs(caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
    """One user's callback must not end the thread that serves all of them."""
    done = threading.Event()

    with caplog.at_level(logging.ERROR, "bus_amqp.ioloop"):
        caller.call(lambda: 1 // 0 and None)
        caller.call(done.set)
        assert done.wait(WAIT_SECONDS)

    assert "ZeroDivisionError" in caplog.text


def test_closing_finishes_what_waits_and_later_calls_run_at_once(caller: Caller) -> None:
    """P8: no callback is lost, also not one that comes during the close."""
    go = threading.Event()
    seen: list[str] = []
    caller.call(lambda: go.wait(WAIT_SECONDS) and None)
    caller.call(lambda: seen.append("waiting"))
    closing = Running(lambda: caller.close(WAIT_SECONDS))

    go.set()
    closing.result()
    caller.call(lambda: seen.append(threading.current_thread().name))

    assert seen == ["waiting", threading.current_thread().name]


def test_a_caller_may_be_closed_by_its_own_call(caller: Caller) -> None:
    """``close`` from a callback must not wait for itself."""
    closed = threading.Event()

    def close() -> None:
        caller.close(WAIT_SECONDS)
        closed.set()

    caller.call(close)

    assert closed.wait(1)


@pytest.mark.usefixtures("restless_threads")
def test_two_first_calls_start_one_thread() -> None:
    """A second thread would run two callbacks at once, and outlive the close."""
    for _ in range(30):
        caller = Caller("bus-unit-race")
        seen: list[int] = []
        barrier = threading.Barrier(3)

        def first(barrier: threading.Barrier = barrier, caller: Caller = caller, seen: list[int] = seen) -> None:
            barrier.wait()
            caller.call(lambda: seen.append(threading.get_ident()))

        running = [Running(first) for _ in range(3)]
        for one in running:
            one.result()
        caller.close(WAIT_SECONDS)

        assert len(seen) == 3
        assert len(set(seen)) == 1


def test_the_event_loop_starts_with_the_first_who_asks_and_is_one(async_loop: AsyncLoop) -> None:
    """Coroutine subscribers of all subscriptions share one thread."""
    loop = async_loop.loop()

    async def where() -> str:
        return threading.current_thread().name

    assert async_loop.loop() is loop
    assert not async_loop.is_current
    assert asyncio.run_coroutine_threadsafe(where(), loop).result(WAIT_SECONDS) == "bus-async"


def test_closing_the_event_loop_cancels_what_is_left(async_loop: AsyncLoop) -> None:
    """P8: a handler that would not end must not keep the thread, nor warn of a pending task."""
    started, ended = threading.Event(), threading.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = async_loop.loop()
    asyncio.run_coroutine_threadsafe(hang(), loop)
    assert started.wait(WAIT_SECONDS)
    async_loop.close(WAIT_SECONDS)

    assert ended.is_set()
    assert loop.is_closed()
    async_loop.close(WAIT_SECONDS)


def test_a_closed_event_loop_is_not_started_again(async_loop: AsyncLoop) -> None:
    """P8: a ``subscribe`` that races with ``close`` would start a thread that nobody ends."""
    ran: list[int] = []

    async def run() -> None:
        ran.append(1)

    async_loop.close(WAIT_SECONDS)

    with pytest.raises(BusClosedError):
        async_loop.loop()
    with pytest.raises(BusClosedError):
        async_loop.spawn(run())
    assert ran == []
    assert "bus-async" not in {thread.name for thread in threading.enumerate()}


def test_what_escapes_from_a_spawned_coroutine_is_logged(
    async_loop: AsyncLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody awaits a worker: its error would be lost with its future."""

    async def fail() -> None:
        raise ZeroDivisionError("of a worker")

    with caplog.at_level(logging.ERROR, "bus_amqp.ioloop"):
        async_loop.spawn(fail())
        wait_until(lambda: "of a worker" in caplog.text, "the log")
