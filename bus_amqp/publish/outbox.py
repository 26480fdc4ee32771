"""``Outbox``: accepted events on their way to the broker.

The hand-over between callers and the publisher thread.  Bounded by count and by bytes; an event occupies
its place until the broker has confirmed it (or it has failed), so memory is bounded whatever the broker does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from bus_amqp.errors import BusClosedError, EventBusException, OutboxFullError
from bus_amqp.health import OutboxHealth
from bus_amqp.receipt import Receipt
from bus_amqp.sections import OUTBOX_OVERHEAD_BYTES
from bus_amqp.wire.message import Message

OVERHEAD_BYTES = OUTBOX_OVERHEAD_BYTES
NO_CHORES_SECONDS = 3600.0


class Entry:
    """One accepted message.  ``number`` counts up in the order of acceptance; set by the outbox."""

    __slots__ = ("message", "number", "receipt", "size_bytes")

    def __init__(self, message: Message, receipt: Receipt) -> None:
        self.message = message
        self.receipt = receipt
        self.size_bytes = len(message.body) + OVERHEAD_BYTES
        self.number = 0

    @property
    def is_copy(self) -> bool:
        """Whether this is a copy of a delivery: only those name an exchange."""
        return self.message.exchange is not None


class Outbox:
    """First in, first out; ``take`` hands entries out, ``restore`` puts them back where they were.

    One lock, because "is there room" and "put it in" must be one step, and because callers wait for room.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards everything below; never held while calling out
        self._room = threading.Condition(self._lock)  # callers that found it full
        self._settled = threading.Condition(self._lock)  # callers of flush
        self._waiting: deque[Entry] = deque()  # accepted, not with the publisher
        self._events = 0  # accepted and not done, wherever they are
        self._bytes = 0
        self._accepted = 0  # the number of the newest entry
        self._settled_through = 0  # every entry up to this number is done
        self._is_stuck = False  # a caller waited in vain and nothing has moved since: fail at once
        self._taker_idle = False  # the publisher found nothing and sleeps
        self._closed = False

    def __repr__(self) -> str:
        return f"<Outbox {self._events} events, {self._bytes} bytes, {len(self._waiting)} to be sent>"

    @property
    def open_events(self) -> int:
        """Events accepted and not done."""
        return self._events

    @property
    def open_bytes(self) -> int:
        """Their size."""
        return self._bytes

    @property
    def accepted(self) -> int:
        """How many entries were ever accepted."""
        return self._accepted

    def put(self, entry: Entry, timeout_seconds: float) -> bool:
        """Accept an entry.  Return whether the publisher must be woken.

        Raises ``OutboxFullError`` if there is no room within the timeout (at once, and not transient, if there can
        never be), ``BusClosedError``.
        """
        with self._lock:
            if self._events >= self._max_events or self._bytes + entry.size_bytes > self._max_bytes or self._closed:
                self._wait_for_room(1, entry.size_bytes, timeout_seconds)
            return self._append(entry)

    def put_many(self, entries: Sequence[Entry], timeout_seconds: float) -> bool:
        """Accept all entries or none; otherwise as ``put``."""
        size_bytes = sum(entry.size_bytes for entry in entries)
        is_wake_needed = False
        with self._lock:
            self._wait_for_room(len(entries), size_bytes, timeout_seconds)
            for entry in entries:
                is_wake_needed |= self._append(entry)
        return is_wake_needed

    def put_copy(self, entry: Entry) -> bool:
        """Accept a copy of a delivery whatever the bound says: prefetch bounds those, and waiting could deadlock."""
        with self._lock:
            return self._append(entry)

    def _append(self, entry: Entry) -> bool:
        self._accepted += 1
        entry.number = self._accepted
        self._events += 1
        self._bytes += entry.size_bytes
        self._waiting.append(entry)
        is_wake_needed, self._taker_idle = self._taker_idle, False
        return is_wake_needed

    def _wait_for_room(self, events: int, size_bytes: int, timeout_seconds: float) -> None:
        if not self._closed and (events > self._max_events or size_bytes > self._max_bytes):
            raise self._never_fits(events, size_bytes)
        deadline = 0.0
        while not self._closed and (
            self._events + events > self._max_events or self._bytes + size_bytes > self._max_bytes
        ):
            deadline = deadline or time.monotonic() + timeout_seconds
            remaining = deadline - time.monotonic()
            if self._is_stuck or remaining <= 0:
                self._is_stuck = True
                raise OutboxFullError(
                    f"{self._events} events ({self._bytes} bytes) wait for the broker's confirm and the outbox takes "
                    f"{self._max_events} ({self._max_bytes} bytes): see bus.health() for why, and try later"
                )
            self._room.wait(remaining)
        if self._closed:
            raise BusClosedError("the bus is closed: nothing can be published any more")

    def _never_fits(self, events: int, size_bytes: int) -> OutboxFullError:
        what = f"{events} events of {size_bytes} bytes" if events > 1 else f"an event of {size_bytes} bytes"
        way_out = "publish them in parts" if events > 1 else "shorten it, or raise publisher.outbox_bytes"
        error = OutboxFullError(
            f"{what} can never fit the outbox ({self._max_events} events, {self._max_bytes} bytes): {way_out}"
        )
        error.is_transient = False  # who tries again whatever is transient would do so for ever
        return error

    def take(self, max_events: int) -> list[Entry]:
        """Hand out the oldest entries.  Publisher thread only; nothing there: the next ``put`` asks for a wake."""
        with self._lock:
            waiting = self._waiting
            if not waiting:
                self._taker_idle = True
                return []
            return [waiting.popleft() for _ in range(min(max_events, len(waiting)))]

    @property
    def lowest_number(self) -> int:
        """No entry has this number or a lower one."""
        return 0

    def arm_wake(self) -> None:
        """Have the next ``put`` ask for a wake, as if ``take`` had found nothing."""
        with self._lock:
            self._taker_idle = True

    def restore(self, entries: Sequence[Entry]) -> None:
        """Put entries back in front, in order of acceptance: they were sent and not confirmed."""
        with self._lock:
            self._waiting.extendleft(reversed(entries))

    def done(self, events: int, size_bytes: int, settled_through: int) -> None:
        """Free the place of settled entries.  ``settled_through``: no entry up to that number is open."""
        with self._lock:
            self._events -= events
            self._bytes -= size_bytes
            self._settled_through = max(self._settled_through, settled_through)
            self._is_stuck = False
            self._room.notify_all()  # who needs more room than there is must not take the wake from who fits
            self._settled.notify_all()

    def wait_settled(self, timeout_seconds: float) -> int:
        """Wait until what is accepted now is done; return how many entries are not."""
        deadline = time.monotonic() + timeout_seconds
        with self._lock:
            mark = self._accepted
            while self._events and self._settled_through < mark:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._closed:
                    return min(self._events, mark - self._settled_through)
                self._settled.wait(remaining)
        return 0

    def overdue(self) -> Sequence[tuple[Entry, EventBusException]]:
        """Return what is given up because it waited too long.  Publisher thread; in memory, nothing is."""
        return ()

    def tend(self) -> float:
        """Do the chores of the publisher thread; return how many seconds until there are more.  In memory: none."""
        return NO_CHORES_SECONDS

    def wind_down(self) -> None:
        """The bus is closing: begin nothing that is not its own."""

    def health(self) -> OutboxHealth | None:
        """Tell what is in the outbox's directory; None where there is no directory."""
        return None

    @property
    def farewell(self) -> str:
        """What becomes of events that a closed bus has not sent."""
        return "the bus was closed before this event could be sent"

    def close(self) -> None:
        """Accept nothing more; callers that wait for room get ``BusClosedError``, those of flush their count."""
        with self._lock:
            self._closed = True
            self._room.notify_all()
            self._settled.notify_all()
