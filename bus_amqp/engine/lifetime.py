"""How a bus ends: by a signal, or when its program ends without having closed it."""

from __future__ import annotations

import atexit
import signal
import threading
import warnings
from collections.abc import Callable
from types import FrameType

from bus_amqp.bus import EventBus
from bus_amqp.errors import DeadlineExceededError, InvalidArgumentError, UndeliveredError

EXIT_FLUSH_SECONDS = 5.0
FAREWELL_SECONDS = 1.0  # more than a connection may take to say goodbye, so that its thread is seen to end
LOOK_SECONDS = 0.5  # how soon run_until_signal notices that a callback closed the bus


def wait_for_signal(closed: threading.Event) -> None:
    """Block until SIGINT or SIGTERM, or until ``closed`` is set.  A second signal interrupts the close that follows."""
    if threading.current_thread() is not threading.main_thread():
        raise InvalidArgumentError("run_until_signal works on the main thread only: Python delivers signals there")
    wanted = threading.Event()
    previous: dict[signal.Signals, object] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        wanted.set()
        for each, handler in previous.items():
            signal.signal(each, handler)  # type: ignore[arg-type]  # what signal.signal returned before

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, stop)
    while not wanted.is_set() and not closed.is_set():
        wanted.wait(LOOK_SECONDS)
    if not wanted.is_set():
        stop(signal.SIGTERM, None)


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
