"""Notice handlers that run longer than they should.  No thread, no lock, and no clock of its own.

A worker writes which event it has in hand, one plain store for each event; the consumer thread looks once a second.
Nothing is ended: a thread cannot be, and what the handler does is its own business.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus_amqp.event import Event


class Slot:
    """What one worker has in hand.  Written by that worker, read by the consumer thread."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event: Event | None = None


@dataclass(slots=True)
class _Seen:
    event: Event
    since: float  # monotonic: when it was first seen, up to one look after its start
    is_told: bool = False


class HandlerWatch:
    """The slots of one subscription.  ``timeout_seconds`` 0: nobody is slow."""

    def __init__(self, timeout_seconds: float = 0.0) -> None:
        self.timeout_seconds = timeout_seconds
        self.told = 0  # handlings that were reported; written by the consumer thread
        self.slow = 0  # handlers that are over their time now; written by the consumer thread
        self._slots: list[Slot] = []  # appended to before the first delivery
        self._seen: dict[int, _Seen] = {}  # by number of the slot; consumer thread only

    def __repr__(self) -> str:
        return f"<HandlerWatch {self.slow} of {len(self._slots)} slow, {self.told} told>"

    def slot(self) -> Slot:
        """Return a place for one more worker."""
        self._slots.append(Slot())
        return self._slots[-1]

    def look(self, now: float) -> list[Event]:
        """Return the events whose handlers have just been found to be too slow; each is returned once."""
        if not self.timeout_seconds:
            return []
        found = []
        slow = 0
        for number, slot in enumerate(self._slots):
            event, seen = slot.event, self._seen.get(number)
            if event is None:
                self._seen.pop(number, None)
            elif seen is None or seen.event is not event:
                self._seen[number] = _Seen(event, now)
            elif now - seen.since >= self.timeout_seconds:
                slow += 1
                if not seen.is_told:
                    seen.is_told = True
                    found.append(event)
        self.slow = slow
        self.told += len(found)
        return found
