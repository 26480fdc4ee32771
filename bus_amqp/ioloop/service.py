"""Where threads are born.  No other file constructs one, so this list is complete:

``bus-publisher`` and ``bus-consumer`` own a connection each, ``bus-control`` one while there are requests;
``bus-worker-<subscription>-<number>`` call plain subscribers, ``bus-async`` runs the coroutine ones,
``bus-lookup`` asks the system for a host's address,
``bus-callback`` calls receipt callbacks, ``bus-closer`` closes a bus from inside one of its callbacks.
The demonstration and the test tools start theirs here too (``demo-...``, ``tcp-proxy-...``, ``bus-waker``).

All are daemons: a program whose user forgot ``close`` ends when its main thread does (after a short
flush), and one handler that hangs cannot keep a process alive for ever.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from bus_amqp.errors import BusClosedError

logger = logging.getLogger("bus_amqp.ioloop")


def start_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """Start a thread.  What escapes from it is logged here, whole: nobody else would hear of it."""

    def guarded() -> None:
        try:
            run()
        except Exception:  # the top of a thread
            logger.exception("thread %s ended with an error; this is a fault of bus_amqp", name)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


class Caller:
    """A thread that calls functions one after another; started with the first, ended by ``close``.

    Keeps user callbacks and slow chores off the threads that own a connection.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # two first calls at once must not start two threads
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._closed = False  # guarded by _lock

    def __repr__(self) -> str:
        return f"<Caller {self._name} {self._calls.qsize()} waiting>"

    def call(self, function: Callable[[], object]) -> None:
        """Have the function called soon.

        After ``close``, or where no thread can be had (the interpreter is ending): here and now, so that no callback
        is lost.  Never raises.
        """
        with self._lock:
            is_here = self._closed
            if not is_here and self._thread is None:
                try:
                    self._thread = start_thread(self._name, self._run)
                except RuntimeError:
                    is_here = True
            if not is_here:
                self._calls.put(function)
        if is_here:
            self._do(function)

    def _run(self) -> None:
        while (function := self._calls.get()) is not None:
            self._do(function)

    def _do(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception:  # user code, or a chore that must not take the others with it
            logger.exception("a call on thread %s failed", self._name)

    def close(self, timeout_seconds: float) -> None:
        """Finish the calls that are waiting and end the thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._calls.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_seconds)


class AsyncLoop:
    """``bus-async``: the event loop of coroutine subscribers, started with the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # two first subscribers at once must not start two loops
        self._loop: asyncio.AbstractEventLoop | None = None  # guarded by _lock
        self._thread: threading.Thread | None = None  # guarded by _lock
        self._closed = False  # written under _lock; read without it on the loop's thread
        self._spawned: set[Future[None]] = set()  # asyncio holds tasks weakly: one that hangs would be collected

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine on the loop, to its end; an error of it is logged.  Raises ``BusClosedError``."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop())
        except (BusClosedError, RuntimeError) as exc:  # RuntimeError: closed between the two calls
            coroutine.close()  # or the interpreter warns that nobody awaited it
            raise BusClosedError("the bus is closed: its event loop has ended") from exc
        self._spawned.add(future)
        future.add_done_callback(self._finished)

    def _finished(self, future: Future[None]) -> None:
        self._spawned.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            logger.error("a task on thread bus-async ended with an error", exc_info=error)

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.  Raises ``BusClosedError`` after ``close``: nobody would end another thread."""
        with self._lock:
            if self._closed:
                raise BusClosedError("the bus is closed: its event loop has ended")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = start_thread("bus-async", self._run)
            return self._loop

    @property
    def is_current(self) -> bool:
        """Whether the caller is the loop's own thread."""
        return self._thread is threading.current_thread()

    def forgive_cancelling(self) -> bool:
        """Have the task that runs live on although it was cancelled; False: the loop is ending, and so must it.

        A subscriber may cancel its own task, or every task it can find: the subscription must not end with it.
        """
        task = asyncio.current_task()
        if self._closed or task is None:
            return False
        while task.cancelling():
            task.uncancel()
        return True

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None  # set before the thread was started
        asyncio.set_event_loop(loop)
        try:
            self._run_until_closed(loop)
        finally:
            tasks = asyncio.all_tasks(loop)  # handlers that would not end in time
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _run_until_closed(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on whatever a subscriber does to the loop: the others are on it too."""
        while True:
            try:
                loop.run_forever()
                how = "stop()"
            except (SystemExit, KeyboardInterrupt) as exc:  # of a task that a subscriber has left there
                how = repr(exc)
            if self._closed:
                return
            logger.error("a subscriber has stopped the event loop of the bus by %s; it goes on", how)

    def close(self, timeout_seconds: float) -> None:
        """End the loop and its thread."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(timeout_seconds)
