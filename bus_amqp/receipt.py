"""``Receipt``: what became of one published event, for whoever wants to know.

Settled by the publisher thread, and by the closing one when that has ended; read by any thread.  Most receipts
are thrown away unread, so one costs no lock and no condition: a waiter registers itself *before* it looks at
the state, who settles writes the state *before* looking for waiters; each sees the other, or both do.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from enum import StrEnum
from uuid import UUID

from bus_amqp.errors import DeadlineExceededError, EventBusException, ForkedProcessError

logger = logging.getLogger("bus_amqp.publish")


RunCallback = Callable[[Callable[[], None]], None]


class ReceiptState(StrEnum):
    """``accepted``: in the outbox; ``stored``: on disk too; ``confirmed``: by the broker; ``failed``: for good."""

    ACCEPTED = "accepted"
    STORED = "stored"
    CONFIRMED = "confirmed"
    FAILED = "failed"


_ACCEPTED, _STORED = ReceiptState.ACCEPTED, ReceiptState.STORED
_list_lock = threading.Lock()  # guards the callback lists of all receipts: touched only by those that have one
_left_to_parent: list[RunCallback] = []  # of whose receipts the outcome is not known here; written in a forked child


class Receipt:
    """Speaks like ``concurrent.futures.Future``, cannot be cancelled, and may be awaited.

    ``result`` returns None once the broker has confirmed, and raises what went wrong otherwise.
    """

    __slots__ = ("_callbacks", "_error", "_run_callback", "_state", "event_id")

    def __init__(self, run_callback: RunCallback, event_id: UUID | None = None) -> None:
        self.event_id = event_id  # of the event that was published; None for the bus's own copies
        self._state = _ACCEPTED  # written by the one thread that settles
        self._error: EventBusException | None = None  # written by that thread, before the state
        self._callbacks: list[Callable[[], None]] | None = None  # guarded by _list_lock
        self._run_callback = run_callback  # carries user code away from the publisher thread

    def __repr__(self) -> str:
        return f"<Receipt {self._state}{f': {self._error}' if self._error else ''}>"

    @property
    def state(self) -> ReceiptState:
        """How far the event has come."""
        return self._state

    def done(self) -> bool:
        """Return whether the event is confirmed or has failed."""
        state = self._state
        return state is not _ACCEPTED and state is not _STORED

    def result(self, timeout: float | None = None) -> None:
        """Wait until confirmed.  Raises ``DeadlineExceededError`` after ``timeout`` seconds, or why the event failed.

        That error is a ``TimeoutError`` too, and says nothing about the event, which stays on its way.
        """
        if error := self.exception(timeout):
            raise error

    def exception(self, timeout: float | None = None) -> EventBusException | None:
        """Wait as ``result`` does and return the error, or None.  Raises ``DeadlineExceededError``."""
        self._check_process()
        if not self.done():
            settled = threading.Event()
            self._when_done(settled.set)
            if not settled.wait(timeout):
                self._forget(settled.set)  # who asks again and again must not leave a callback each time
                if not self.done():
                    raise DeadlineExceededError(
                        f"not confirmed within {timeout} seconds; the event is still {self._state}"
                    )
        return self._error

    def add_done_callback(self, function: Callable[[Receipt], object]) -> None:
        """Call ``function(receipt)`` once done: on the bus's callback thread, or here and now if done already."""

        def call() -> None:
            try:
                function(self)
            except Exception:  # a user's callback: it must not end the thread that serves all of them
                logger.exception("a callback of %r raised", self)

        self._check_process()
        if self.done():
            call()
        else:
            self._when_done(lambda: self._run_callback(call))

    def __await__(self) -> Generator[None, None, None]:
        self._check_process()
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def settle() -> None:
            if not waiter.done():  # the awaiting task may have been cancelled
                waiter.set_result(None)

        def wake_loop() -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(settle)

        self._when_done(wake_loop)
        try:
            yield from waiter.__await__()
        finally:
            self._forget(wake_loop)  # the awaiting task may have been cancelled, and await again
        self.result(0)

    def settle(self, error: EventBusException | None = None) -> None:
        """Write the outcome and tell who waits; the first outcome stays.

        On the publisher thread; once that has ended, on the thread that closes the bus.  Never on two at once.
        """
        if self.done():
            return
        self._error = error
        self._state = ReceiptState.FAILED if error else ReceiptState.CONFIRMED
        if self._callbacks is not None:
            self._notify()

    def _check_process(self) -> None:
        """Fail a receipt whose event the parent process sends: nobody will ever settle it here."""
        if _left_to_parent and not self.done() and self._run_callback in _left_to_parent:
            self._callbacks = None  # the parent's; and they are called there
            self.settle(
                ForkedProcessError(
                    f"event {self.event_id} was published before this process was forked: its parent sends it, "
                    "and only the parent's receipt tells what became of it"
                )
            )

    def _when_done(self, function: Callable[[], None]) -> None:
        with _list_lock:
            if self._callbacks is None:
                self._callbacks = []
            self._callbacks.append(function)
        if self.done():
            self._notify()

    def _forget(self, function: Callable[[], None]) -> None:
        if self._callbacks is None:
            return
        with _list_lock:
            if self._callbacks is not None and function in self._callbacks:
                self._callbacks.remove(function)

    def _notify(self) -> None:
        with _list_lock:
            callbacks, self._callbacks = self._callbacks, None
        for function in callbacks or ():
            function()


def confirm_all(receipts: Iterable[Receipt]) -> None:
    """Settle many receipts as confirmed; those that have an outcome keep it.  One call for a whole window."""
    confirmed = ReceiptState.CONFIRMED
    for receipt in receipts:
        if receipt._state is _ACCEPTED or receipt._state is _STORED:
            receipt._state = confirmed
            if receipt._callbacks is not None:
                receipt._notify()


def store_all(receipts: Iterable[Receipt]) -> None:
    """Note that these events are on disk.  Before the publisher thread gets to see them, which confirms them."""
    stored = ReceiptState.STORED
    for receipt in receipts:
        receipt._state = stored


def leave_receipts_to_parent(run_callback: RunCallback) -> None:
    """Have the receipts with this ``run_callback`` fail where somebody asks.  In a forked child only."""
    _left_to_parent.append(run_callback)


def _renew_lock_in_child() -> None:
    global _list_lock
    _list_lock = threading.Lock()  # a thread that is not here may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock_in_child)
