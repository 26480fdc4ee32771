"""``Dispatcher``: hands deliveries from the consumer thread to the workers of one subscription."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bus_amqp.consume.lanes import Lanes
from bus_amqp.wire.message import Delivery

Kept = tuple[Delivery, float]  # a delivery that failed and stays in hand, and the seconds until its next attempt


class Batch(NamedTuple):
    """Deliveries that one worker has in hand, and the session whose tags they carry."""

    session: int
    deliveries: list[Delivery]


class Dispatcher:
    """Puts a lock around ``Lanes``: the consumer thread submits, workers take and give back.

    ``session`` counts the channels that this subscription has had; a tag means something in its own only.
    """

    def __init__(self, *, is_keyed: bool = True, lanes: Lanes | None = None) -> None:
        self._changed = threading.Condition()  # guards the lanes; never held while calling out
        self._lanes = Lanes(is_keyed=is_keyed) if lanes is None else lanes  # empty ones are false
        self._session = 0  # written under _changed by the consumer thread; read by workers without it
        self._closed = False  # written under _changed; read without it
        self._on_idle: Callable[[], None] | None = None  # guarded by _changed; taken out once
        self._on_ready: Callable[[], None] = _nothing  # set before the first delivery: wakes an event loop

    def __repr__(self) -> str:
        return f"<Dispatcher session {self._session}{' closed' if self._closed else ''} {self._lanes!r}>"

    @property
    def running(self) -> int:
        """Deliveries in hand."""
        return self._lanes.in_hand

    @property
    def waiting(self) -> int:
        """Deliveries that wait for a worker."""
        with self._changed:
            return len(self._lanes)

    @property
    def why_still(self) -> str:
        """Why nothing new is started though there is some; empty while it is."""
        with self._changed:
            return self._lanes.why_still

    @property
    def session(self) -> int:
        """The number of the current session."""
        return self._session

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def call_when_ready(self, function: Callable[[], None]) -> None:
        """Have ``function`` called, on any thread, when there may be something to take.  Before the first delivery."""
        self._on_ready = function

    def begin_session(self) -> None:
        """Count a new session and forget what was not started.  Consumer thread."""
        with self._changed:
            self._session += 1
            self._lanes.forget_waiting()

    def submit(self, deliveries: Sequence[Delivery]) -> None:
        """Queue deliveries of the current session.  Consumer thread."""
        with self._changed:
            if self._closed:
                return  # not started: the channel's end gives them back to the broker
            self._lanes.add(deliveries)
            if len(deliveries) == 1:
                self._changed.notify()
            else:
                self._changed.notify_all()
        self._on_ready()

    def take(self, limit: int) -> Batch | None:
        """Wait for work.  None: the subscription has ended, and so should the worker."""
        with self._changed:
            while not self._closed:
                if self._lanes.has_ready:
                    return Batch(self._session, self._lanes.take(limit))
                self._changed.wait(self._lanes.seconds_until_due())
        return None

    def take_now(self, limit: int) -> Batch | None:
        """Take without waiting.  None: nothing is ready."""
        with self._changed:
            if self._closed or not self._lanes.has_ready:
                return None
            return Batch(self._session, self._lanes.take(limit))

    def may_start(self, batch: Batch) -> bool:
        """Return whether a delivery of this batch may still be started: its tag is valid and nobody said stop."""
        return batch.session == self._session and not self._closed

    def done(self, batch: Batch, kept: Sequence[Kept] = ()) -> None:
        """Give a batch back, handled or not; ``kept``: those of it that failed and are to be tried again in order."""
        with self._changed:
            # Those of a session that has ended are delivered again: to keep them too would be to have them twice.
            self._lanes.done(batch.deliveries, kept if batch.session == self._session else ())
            is_ready = self._lanes.has_ready
            if self._lanes.is_patient:
                self._changed.notify_all()  # what stood still may go on, and who waits must know for how long
            elif is_ready:
                self._changed.notify()
            on_idle = self._take_on_idle()
        if is_ready:
            self._on_ready()
        if on_idle is not None:
            on_idle()

    def close(self, on_idle: Callable[[], None]) -> None:
        """Start nothing more; ``on_idle`` is called once, when nothing is in hand: now or by the last worker."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._on_idle = on_idle
            self._changed.notify_all()
            call = self._take_on_idle()
        self._on_ready()
        if call is not None:
            call()

    def _take_on_idle(self) -> Callable[[], None] | None:
        if not self._closed or self._lanes.in_hand:
            return None
        call, self._on_idle = self._on_idle, None
        return call


def _nothing() -> None:
    """Thread workers wait on the condition and need no other wake."""
