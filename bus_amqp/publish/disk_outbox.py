"""``DiskOutbox``: events that survive their process, and those that other processes have left in the directory.

Our own stay in memory too, so the publisher's way is that of the memory outbox; the disk is read only for journals of
processes that have ended.  Those that are there at the start go out before our own events, later ones among them.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from bus_amqp.errors import EventBusException, EventExpiredError, OutboxStorageError
from bus_amqp.health import OutboxHealth
from bus_amqp.publish.adoption import AdoptedEntry, Adoption, Page
from bus_amqp.publish.aside import Aside
from bus_amqp.publish.outbox import Entry
from bus_amqp.publish.outbox_directory import ASIDE_SUFFIX, DAMAGED_SUFFIX, OutboxDirectory
from bus_amqp.publish.own_journal import OwnJournal
from bus_amqp.publish.stored_outbox import StoredOutbox

logger = logging.getLogger("bus_amqp.publish")

FIRST_ADOPTED = -(2**62)  # adopted entries count up from here: before all of our own, and never as far as zero
TIDY_SECONDS = 0.25  # how long settled events may stay on disk, to be sent again after a crash
TIDY_EVENTS = 512  # or how many, if they come faster
AGE_LOOK_SECONDS = 1.0
GATHER_EVENTS, GATHER_SECONDS = 256, 0.005  # a batch worth a write of its own, and how long it may take to come


class DiskOutbox(StoredOutbox):
    """``take``, ``restore``, ``done``, ``overdue`` and ``tend`` are called by the publisher thread only."""

    def __init__(
        self,
        max_events: int,
        max_bytes: int,
        directory: OutboxDirectory,
        *,
        max_age_seconds: float | None = None,
        rescan_seconds: float = 30.0,
        gather_seconds: float = GATHER_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(max_events, max_bytes, OwnJournal(directory, clock=clock))
        self._directory = directory
        self._max_age_seconds = max_age_seconds
        self._rescan_seconds = rescan_seconds
        self._gather_seconds = gather_seconds
        self._clock = clock
        self._ages: deque[tuple[int, float]] = deque()  # last number of a commit and its time; guarded by _lock
        self._aside = Aside(directory, clock)
        self._adoption = Adoption(directory, self._aside, max_age_seconds=max_age_seconds, clock=clock)
        self._early: deque[Entry] = deque()  # adopted at the start, not with the publisher; guarded by _lock
        self._is_catching_up = self._adoption.has_unread  # own events wait; publisher thread only
        self._is_winding_down = False  # written by who closes, read by the publisher thread
        self._last_adopted = FIRST_ADOPTED  # publisher thread only, as all that follows
        self._expired_number = 0  # own entries up to it are too old
        self._settled_number = FIRST_ADOPTED  # no entry up to it is open
        self._gathering_since = 0.0  # monotonic; 0: not gathering
        self._tidied_at = self._looked_at = time.monotonic()
        self._faults: dict[str, str] = {}  # what each chore met last: one line in the log for each, not for each try

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, in {self._directory.path}>"

    def health(self) -> OutboxHealth:
        """Tell what is in the directory.  Any thread."""
        return OutboxHealth(
            str(self._directory.path),
            adopted_files=self._adoption.files,
            aside_files=len(self._directory.files(ASIDE_SUFFIX)),
            damaged_files=len(self._directory.files(DAMAGED_SUFFIX)),
            moved_aside=self._aside.moved,
            fault="; ".join(self._faults.copy().values()),
        )

    @property
    def lowest_number(self) -> int:
        """Those that are adopted at the start have negative numbers."""
        return FIRST_ADOPTED

    def _note_stored(self, number: int) -> None:
        if self._max_age_seconds is not None:
            self._ages.append((number, self._clock()))

    def take(self, max_events: int) -> list[Entry]:
        """Hand out the oldest entries; those that are adopted at the start come first."""
        if self._is_catching_up and not self._closed:
            entries = self._take_early(max_events)
            if entries or self._is_catching_up:
                return entries
        if self._is_gathering():
            return []
        self._adopt_late()
        return super().take(max_events)

    def _is_gathering(self) -> bool:
        """Return whether to let a few more events come before the next are sent.

        A commit lets go of the interpreter's lock each time, so the publisher would get events one by one, and a write
        for each.  Only while others are on their way, so that one event by itself never waits.
        """
        waiting = len(self._waiting)
        if waiting == 0 or waiting >= GATHER_EVENTS or self._events <= waiting or self._closed:
            self._gathering_since = 0.0
            return False
        now = time.monotonic()
        self._gathering_since = self._gathering_since or now
        if now - self._gathering_since < self._gather_seconds:
            return True
        self._gathering_since = 0.0
        return False

    def _take_early(self, max_events: int) -> list[Entry]:
        while not self._early:
            if self._is_winding_down and not self._waiting:
                return []  # nothing of ours waits behind what others left
            page = self._adoption.next_page()
            if page is None:
                self._is_catching_up = self._adoption.has_unread  # True: too many in memory, their confirms come first
                return []
            with self._lock:
                self._admit(page)
                for entry in page.entries:
                    self._last_adopted += 1
                    entry.number = self._last_adopted
                self._events += len(page.entries)
                self._bytes += page.size_bytes
                self._early.extend(page.entries)
            page.last_number = self._last_adopted
        with self._lock:
            return [self._early.popleft() for _ in range(min(max_events, len(self._early)))]

    def _admit(self, page: Page) -> None:
        # What others left has a place already, on disk: it must not take that of callers.
        self._max_events += len(page.entries)
        self._max_bytes += page.size_bytes

    def restore(self, entries: Sequence[Entry]) -> None:
        """Put entries back in front, in order of acceptance."""
        if self._is_catching_up:
            with self._lock:  # nothing but these has been handed out yet
                self._early.extendleft(reversed(entries))
        else:
            super().restore(entries)

    def done(self, events: int, size_bytes: int, settled_through: int) -> None:
        """Free the place of settled entries; their rows go later, many at once."""
        super().done(events, size_bytes, settled_through)
        self._settled_number = max(self._settled_number, settled_through)
        with self._lock:
            while self._ages and self._ages[0][0] <= self._settled_number:
                self._ages.popleft()
        self._settle_adopted()

    def _settle_adopted(self) -> None:
        for page in self._adoption.settle(self._settled_number):
            with self._lock:
                self._max_events -= len(page.entries)
                self._max_bytes -= page.size_bytes
            page.entries.clear()  # a full disk may keep the page for long

    def overdue(self) -> Sequence[tuple[Entry, EventBusException]]:
        """Move aside what has waited too long and is not with the broker; return it with the reason."""
        if self._max_age_seconds is None:
            return ()
        entries = self._pop_older_than(self._clock() - self._max_age_seconds)
        reason = f"waited longer than outbox_max_age_seconds = {self._max_age_seconds}"
        if not entries:
            return ()
        try:
            self._aside.put([(entry.message, reason) for entry in entries])
        except OutboxStorageError as exc:
            self._tell("aside", f"events are too old and cannot be moved aside: {exc}")
            with self._lock:
                self._waiting.extendleft(reversed(entries))
            return ()
        self._tell("aside", "")
        try:
            self._own.delete([entry.number for entry in entries])
        except OutboxStorageError as exc:  # they are aside, so they are settled; ``tend`` deletes them with the rest
            logger.warning("events that were moved aside cannot be deleted yet: %s", exc)
        logger.warning("%d events %s and are moved aside in %s", len(entries), reason, self._directory.path)
        return [(entry, EventExpiredError(f"{reason}: moved aside, not sent")) for entry in entries]

    def _pop_older_than(self, oldest: float) -> list[Entry]:
        expired: list[Entry] = []
        others: list[Entry] = []
        with self._lock:
            while self._ages and self._ages[0][1] < oldest:
                self._expired_number = self._ages.popleft()[0]
            while self._waiting and self._waiting[0].number <= self._expired_number:
                entry = self._waiting.popleft()
                (expired if type(entry) is Entry and not entry.is_copy else others).append(entry)
            self._waiting.extendleft(reversed(others))  # copies and adopted ones have no age of ours
        return expired

    def tend(self) -> float:
        """Delete what is settled, many at once."""
        now = time.monotonic()
        is_time = now - self._tidied_at >= TIDY_SECONDS
        self._tell("gather", self._adoption.gathering.fault)
        try:
            self._settle_adopted()  # a page whose events were all too old is settled without a confirm
            has_room_again = self._adoption.tidy() and self._adoption.has_unread
            is_more = self._own.delete_through(self._settled_number, at_least=1 if is_time else TIDY_EVENTS)
            self._own.checkpoint_if_due()
        except OutboxStorageError as exc:
            self._tell("tidy", f"settled events cannot be deleted, and may be sent twice: {exc}")
            has_room_again, is_more = False, True
        else:
            self._tell("tidy", "")
        if is_time:
            self._tidied_at = now
            self._look_for_file()
        if has_room_again and not self._is_winding_down:
            return 0.0
        waits = [TIDY_SECONDS] if is_more else [self._rescan_seconds]
        if now - self._gathering_since < 2 * self._gather_seconds:  # else nobody takes: a blocked broker
            waits.append(self._gather_seconds)
        if self._max_age_seconds is not None or self._events:  # of a blocked broker: the log grows
            waits.append(AGE_LOOK_SECONDS)
        return min(waits)

    def _look_for_file(self) -> None:
        try:
            self._own.replace_if_removed()
        except OutboxStorageError as exc:
            self._tell("removed", f"the outbox file was removed, and events do not survive this process: {exc}")
        else:
            self._tell("removed", "")

    def _adopt_late(self) -> None:
        """Put what processes left that ended while we run behind our own.

        Only when they can be sent: a bus without a connection would take them from one that has one, and the later
        events of the same process could go through that before these.
        """
        if self._is_catching_up or self._is_winding_down or self._closed:
            return
        now = time.monotonic()
        if not self._adoption.has_unread and now - self._looked_at >= self._rescan_seconds:
            self._looked_at = now
            self._adoption.look(self._own.path)
        while (page := self._adoption.next_page()) is not None:
            with self._lock:
                self._admit(page)
            self._put_unstored(page.entries)
            page.last_number = page.entries[-1].number if page.entries else self._settled_number

    def _tell(self, chore: str, fault: str) -> None:
        if fault != self._faults.get(chore, ""):
            self._faults.pop(chore, None)
            if fault:
                self._faults[chore] = fault
                logger.error("%s", fault)

    # -- ending

    def wind_down(self) -> None:
        """Adopt nothing more but what our own events wait behind."""
        self._is_winding_down = True

    @property
    def farewell(self) -> str:
        """Events that are not sent are on disk."""
        return (
            f"the bus was closed before this event could be sent; it is stored in {self._directory.path}, and the next "
            "process with that directory, or `bus-amqp forward`, will send it"
        )

    def close(self) -> None:
        """Accept nothing more, and let go of all files.  What others left is no longer counted: it is on disk."""
        super().close()
        self._put_unstored(())  # those that came before are stored now
        with self._lock:
            adopted = [entry for entry in (*self._early, *self._waiting) if isinstance(entry, AdoptedEntry)]
            self._early.clear()
            self._waiting = deque(entry for entry in self._waiting if not isinstance(entry, AdoptedEntry))
            self._events -= len(adopted)
            self._bytes -= sum(entry.size_bytes for entry in adopted)
        self._adoption.close()
        self._own.close(self._settled_number)

    def abandon_after_fork(self) -> None:
        """In a forked child: forget what is the parent's, and write to a file of its own from now on.

        SQLite's handles and the locks have been let go of by then (``sqlite_file``, ``file_lock``).
        """
        self._own.abandon_after_fork()
        self._adoption.forget()
        self._early.clear()
        self._is_catching_up = False
