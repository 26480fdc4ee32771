"""``Control``: the connection for everything that is not a publish and not a delivery.

Declaring, binding, deleting and looking: requests that wait for an answer, and would stall every
subscription and its heartbeats on the consumer's connection.  Opened with the first request, closed when idle.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bus_amqp.backoff import Backoff
from bus_amqp.errors import BusClosedError, ConnectionLostError, EventBusException, TransportError
from bus_amqp.ioloop.loop import FAREWELL_SECONDS, PARTING_SECONDS
from bus_amqp.ioloop.service import start_thread
from bus_amqp.transport.base import Connection, Connector

logger = logging.getLogger("bus_amqp.connection")

ROLE = "control"
IDLE_SECONDS = 5.0
T = TypeVar("T")


@dataclass(slots=True)
class _Request:
    work: Callable[[Connection], object]
    deadline: float  # monotonic; after it the request fails with the error of the last try
    keep_seconds: float  # how long the connection is kept for another request
    future: Future[Any] = field(default_factory=Future)


class Control:
    """Serves requests one by one on a thread that lives only while there are some.

    The lock makes "is there a thread" and "leave it a request" one step.
    """

    def __init__(self, connectors: Sequence[Connector], *, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._connectors = connectors
        self._backoff = backoff
        self._lock = threading.Lock()
        self._requests: deque[_Request] = deque()  # guarded by _lock
        self._thread: threading.Thread | None = None  # guarded by _lock; kept when it has ended, to be joined
        self._is_running = False  # guarded by _lock
        self._closed = False  # guarded by _lock
        self._connection: Connection | None = None  # control thread; others only call wake()
        self._tries = 0  # control thread: which node is next
        self._in_hand: _Request | None = None  # control thread
        self._lost_at_the_end: ConnectionLostError | None = None  # control thread: the first one after close()
        self._ending = threading.Event()  # ends pauses at once

    def __repr__(self) -> str:
        return f"<Control {len(self._requests)} requests>"

    def submit(
        self, work: Callable[[Connection], T], timeout_seconds: float, *, keep_seconds: float = 0.0
    ) -> Future[T]:
        """Have ``work(connection)`` run on the control thread.

        ``keep_seconds``: another request will come within that time, so keep the connection for it.

        A connection that is lost on the way is replaced and the work begun again until the time is over.
        The future's callbacks run on the control thread: they must be quick.
        """
        request = _Request(work, time.monotonic() + timeout_seconds, keep_seconds)
        with self._lock:
            if self._closed:
                raise BusClosedError("the bus is closed")
            self._requests.append(request)
            if not self._is_running:
                self._thread = start_thread("bus-control", self._run)
                self._is_running = True
        if (connection := self._connection) is not None:
            connection.wake()
        return request.future

    def run(self, work: Callable[[Connection], T], timeout_seconds: float) -> T:
        """Submit and wait.  Raises what the work raised, ``ConnectionLostError`` when there was no broker in time."""
        # The thread keeps the deadline; the second on top lets its own, better message win.
        try:
            return self.submit(work, timeout_seconds).result(timeout_seconds + 1)
        except TimeoutError as exc:
            if isinstance(exc, EventBusException):
                raise
            raise ConnectionLostError(f"no answer from the broker within {timeout_seconds} s") from exc

    def close(self, timeout_seconds: float) -> bool:
        """Serve what is waiting, close the connection and end the thread; return whether it ended in time.

        Without a broker nothing of it is tried any more: one connect timeout for each request would be too long.
        """
        with self._lock:
            self._closed = True
            thread = self._thread
        self._ending.set()
        if (connection := self._connection) is not None:
            connection.wake()
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(max(PARTING_SECONDS, timeout_seconds))
        if thread.is_alive():
            for connector in self._connectors:
                connector.abort(ROLE)
            thread.join(FAREWELL_SECONDS)
        return not thread.is_alive()

    def _run(self) -> None:
        try:
            connection = self._serve_until_idle()
        except BaseException as exc:
            self._abandon(exc)
            raise  # the top of the thread logs it
        if connection is not None:  # after the lock was left: another thread may serve already
            connection.close()

    def _abandon(self, error: BaseException) -> None:
        """Leave nothing behind: the next request starts another thread, and nobody waits for this one."""
        with self._lock:
            self._is_running = False
            stranded = [self._in_hand, *self._requests]
            self._requests.clear()
            connection, self._connection, self._in_hand = self._connection, None, None
        for request in stranded:
            if request is not None and not request.future.done():
                request.future.set_exception(ConnectionLostError(f"the thread of the requests ended: {error!r}"))
        if connection is not None:
            connection.close()

    def _serve_until_idle(self) -> Connection | None:
        """Return the connection, which is to be closed."""
        kept_until = time.monotonic() + IDLE_SECONDS
        while True:
            with self._lock:
                request = self._requests.popleft() if self._requests else None
                is_idle = time.monotonic() > kept_until
                if request is None and (self._closed or is_idle or self._connection is None):
                    self._is_running = False
                    connection, self._connection = self._connection, None  # the next thread opens its own
                    return connection
            if request is not None:
                self._in_hand = request
                self._serve(request)
                self._in_hand = None
                kept_until = max(kept_until, time.monotonic() + max(IDLE_SECONDS, request.keep_seconds))
            else:
                self._idle(kept_until - time.monotonic())

    def _serve(self, request: _Request) -> None:
        if self._lost_at_the_end is not None:
            request.future.set_exception(self._lost_at_the_end)
            return
        backoff = self._backoff()
        while True:
            try:
                request.future.set_result(request.work(self._open()))
                return
            except ConnectionLostError as exc:
                self._drop()
                if self._closed:
                    self._lost_at_the_end = exc
                delay = backoff.next_delay()
                if time.monotonic() + delay >= request.deadline or self._closed:
                    request.future.set_exception(exc)
                    return
                self._ending.wait(delay)
            except EventBusException as exc:
                if isinstance(exc, TransportError):
                    self._drop()  # a refusal may have cost the channel; a fresh start is cheap here
                request.future.set_exception(exc)
                return
            except Exception as exc:  # noqa: BLE001 -- the caller's work: the error is the caller's, the thread serves others
                self._drop()
                request.future.set_exception(exc)
                return

    def _open(self) -> Connection:
        if self._connection is None:
            connector = self._connectors[self._tries % len(self._connectors)]
            try:
                self._connection = connector.connect(ROLE)
            except TransportError:
                self._tries += 1
                raise
        return self._connection

    def _idle(self, seconds: float) -> None:
        assert self._connection is not None  # _run ends the thread otherwise
        try:
            self._connection.turn(max(0.0, seconds))  # keeps the heartbeats going; wake() ends it
        except TransportError:
            self._drop()
        except Exception:  # the top of a thread that serves others: a connection that fails so is of no use
            logger.exception("the idle control connection failed; this is a fault of bus_amqp")
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
