"""How a bus ends: by a signal, or when its program ends without having closed it."""

from __future__ import annotations

import atexit
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bus_amqp.bus import EventBus
from bus_amqp.errors import DeadlineExceededError, InvalidArgumentError, UndeliveredError

EXIT_FLUSH_SECONDS = 5.0
LOOK_SECONDS = 0.5  # how soon run_until_signal notices that a callback closed the bus


@contextmanager
def until_signal(closed: threading.Event) -> Iterator[None]:
    """Block until SIGINT or SIGTERM, or until ``closed`` is set; the block that follows is the orderly end.

    A second signal during that block ends the process at once, by the system's own hand: no Python code, no lock and
    no thread is in its way, whatever hangs.  A program's own handlers are put back, and called for the second one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InvalidArgumentError("run_until_signal works on the main thread only: Python delivers signals there")
    wanted = threading.Event()
    previous: dict[signal.Signals, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        wanted.set()
        for each, handler in previous.items():
            # Python's own handler of SIGINT raises KeyboardInterrupt, which an orderly end would have to end for;
            # and a shell that starts a program in the background may have it ignore SIGINT, the second one as well.
            is_own = handler not in (signal.default_int_handler, signal.SIG_IGN)
            signal.signal(each, handler if is_own else signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop) or signal.SIG_DFL  # None: not installed from Python
    try:
        while not wanted.is_set() and not closed.is_set():
            wanted.wait(LOOK_SECONDS)
        if not wanted.is_set():
            stop(signal.SIGTERM, None)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def close_at_exit(bus: EventBus) -> Callable[[], None]:
    """Flush at interpreter exit a bus that nobody closed; return what ``atexit`` was given.

    Holds the bus: one whose last name is gone still has threads, and events to send.
    """

    def finish() -> None:
        try:
            bus.close(EXIT_FLUSH_SECONDS)
        except UndeliveredError as exc:
            warnings.warn(f"bus_amqp: {exc.count} events were not sent at exit: close() the bus", stacklevel=1)
        except DeadlineExceededError as exc:
            warnings.warn(f"bus_amqp: at exit, {exc}", stacklevel=1)

    atexit.register(finish)
    return finish
