"""``Recorder``: a subscriber that remembers its events, for tests of users and ours.

Called back on worker threads, asked from the test's thread.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import UUID

from bus_amqp.event import Event


class Recorder:
    """Remembers events in the order in which they were handled.  Safe from any thread.

    ``patience_seconds``: how long ``wait_for`` waits unless told otherwise.  Raise it for all recorders where tests run
    on a busy machine: ``Recorder.patience_seconds = 20``.
    """

    patience_seconds = 5.0

    def __init__(self) -> None:
        self._changed = threading.Condition()  # never held while calling out
        self._events: list[Event] = []  # guarded by _changed
        self._distinct: dict[UUID, None] = {}  # guarded by _changed; the order of the first arrivals

    def __repr__(self) -> str:
        return f"<Recorder {len(self._events)} events, {len(self._distinct)} different>"

    def on_event(self, event: Event[Any], /) -> None:
        """Remember the event."""
        with self._changed:
            self._events.append(event)
            self._distinct[event.event_id] = None
            self._changed.notify_all()

    @property
    def events(self) -> list[Event]:
        """All events so far, with duplicates."""
        with self._changed:
            return list(self._events)

    @property
    def ids(self) -> list[UUID]:
        """The ids of all events so far, with duplicates."""
        return [event.event_id for event in self.events]

    def ids_without_duplicates(self) -> list[UUID]:
        """Return each id once, in the order in which the events came first."""
        with self._changed:
            return list(self._distinct)

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._events.clear()
            self._distinct.clear()

    def wait_for(self, count: int, timeout_seconds: float | None = None) -> Recorder:
        """Wait until ``count`` different events came (a second delivery is no news); return the recorder itself.

        Raises ``AssertionError`` that tells how many came in time.
        """
        patience_seconds = self.patience_seconds if timeout_seconds is None else timeout_seconds
        deadline = time.monotonic() + patience_seconds
        with self._changed:
            while len(self._distinct) < count:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._changed.wait(remaining):
                    break
            came, deliveries = len(self._distinct), len(self._events)
        if came < count:
            raise AssertionError(
                f"waited {patience_seconds} s for {count} events: {came} came (in {deliveries} deliveries)"
            )
        return self
