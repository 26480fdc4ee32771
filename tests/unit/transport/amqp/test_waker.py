"""Waking from other threads."""

from __future__ import annotations

import select
import threading

from bus_amqp.transport.amqp.waker import Waker


def is_readable(waker: Waker) -> bool:
    poll = select.poll()
    poll.register(waker, select.POLLIN)
    return bool(poll.poll(0))


def test_many_wakes_are_one_and_are_taken_at_once():
    """Each publish may wake: only the first may cost a system call, and none may be left over."""
    waker = Waker()
    for _ in range(100_000):  # more than a socket would take
        waker.wake()

    assert is_readable(waker)
    waker.clear()

    assert not is_readable(waker)
    waker.wake()
    assert is_readable(waker)
    waker.close()


def test_waking_after_close_touches_no_descriptor():
    """The number may belong to another file by then: a stray byte would corrupt it."""
    waker = Waker()
    waker.close()

    waker.wake()
    waker.close()

    assert waker.fileno() == -1


def test_no_wake_is_lost_between_threads(restless_threads):
    """A lost wake is an event that waits for the next heartbeat."""
    waker = Waker()
    work: list[int] = []
    done: list[int] = []
    poll = select.poll()
    poll.register(waker, select.POLLIN)

    def produce() -> None:
        for number in range(3000):
            work.append(number)
            waker.wake()

    threads = [threading.Thread(target=produce) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(done) < 9000:
        assert poll.poll(5000), f"no wake for {len(work)} letters"
        waker.clear()
        while work:
            done.append(work.pop())
    for thread in threads:
        thread.join()
    waker.close()
