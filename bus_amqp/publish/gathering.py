"""``Gathering``: the loose events that an adoption has seen and not gathered yet.

A page at a time, and the next one only when it is told to go on: so many files take their time, which is the publisher
thread's.  What cannot be gathered now is counted and holds up nobody's own events; the next look tries it again.
"""

from __future__ import annotations

import math
import time
from collections import deque
from pathlib import Path

from bus_amqp.errors import OutboxStorageError
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.loose_events import Gathered, GatheringBusyError, LooseEvents
from bus_amqp.publish.outbox_directory import OutboxDirectory

BUSY_SECONDS = 10.0  # others may gather one after the other; who does it for so long stands still, and is told
FORGET_SECONDS = 60.0  # longer than from look to look


class Gathering:
    """Publisher thread only; ``waiting`` is read by any."""

    def __init__(self, directory: OutboxDirectory) -> None:
        self._events = LooseEvents(directory)
        self._paths: deque[Path] = deque()  # oldest first
        self._held_back = 0  # files that could not be gathered the last time
        self._may_go_on = True
        self._busy_since = self._busy_last = -math.inf  # monotonic: since when, and when last, others kept us from it
        self.fault = ""  # why they could not, if that is one

    def __repr__(self) -> str:
        return f"<Gathering {len(self._paths)} files, {self._held_back} held back>"

    @property
    def waiting(self) -> int:
        """How many files are to be gathered, as far as is known."""
        return len(self._paths) + self._held_back

    @property
    def has_more(self) -> bool:
        """Whether there is something to gather, now or when it may go on."""
        return bool(self._paths)

    @property
    def is_due(self) -> bool:
        """Whether there is something to gather now."""
        return self._may_go_on and bool(self._paths)

    def go_on(self) -> None:
        """Allow one more page."""
        self._may_go_on = True

    def look(self) -> deque[Path]:
        """Return the files that there are now; ``begin`` makes them those that are to be gathered."""
        return deque(self._events.look())

    def begin(self, paths: deque[Path]) -> None:
        """Forget what was known, and go on with these."""
        self._paths, self._held_back, self._may_go_on = paths, 0, True
        if not paths and not self._is_busy():
            self.fault = ""

    def next_page(self) -> tuple[Gathered, Journal | None] | None:
        """Gather some events; return their journal, held.  None: it cannot be done now.

        ``passed`` is to be told then: who counts the files from another thread must not see none in between.
        """
        try:
            gathered, journal = self._events.gather(self._paths)
        except OutboxStorageError as exc:
            self._hold_back(exc)
            return None
        self._busy_last, self.fault = -math.inf, ""
        if journal is not None:
            self._may_go_on = False
        return gathered, journal

    def _hold_back(self, why: OutboxStorageError) -> None:
        is_fault = True
        if isinstance(why, GatheringBusyError):
            now = time.monotonic()
            if not self._is_busy():
                self._busy_since = now
            self._busy_last = now
            is_fault = now - self._busy_since >= BUSY_SECONDS
        if is_fault:
            self.fault = f"loose events cannot be gathered, and stay: {why}"
        self._held_back, self._paths = len(self._paths), deque()

    def adopt(self, path: Path) -> tuple[Journal | None, bool]:
        """Adopt a journal that is held, if that is only for one append of a spool.

        And return whether that is not known yet, so that what comes behind it has to wait, too.
        """
        try:
            journal = self._events.adopt(path)
        except OutboxStorageError as exc:
            self._hold_back(exc)
            return None, not self.fault
        self._busy_last = -math.inf
        return journal, False

    def _is_busy(self) -> bool:
        return time.monotonic() - self._busy_last < FORGET_SECONDS

    def passed(self, files: int) -> None:
        """Forget the first files."""
        for _ in range(files):
            self._paths.popleft()

    def forget(self) -> None:
        """Know nothing more."""
        self._paths.clear()
        self._held_back = 0
