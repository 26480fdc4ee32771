"""``Adoption``: the journals that other processes left behind, on their way out through this one.

Page by page and oldest file first, so that a backlog of any size takes little memory.  Their loose events came after
the journals, and are gathered into another.  An adopted event has no caller: what fails for good is moved aside with
the reason.  Publisher thread only; ``files`` is read by any.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from bus_amqp.errors import BusClosedError, EventBusException, OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.aside import Aside
from bus_amqp.publish.gathering import Gathering
from bus_amqp.publish.journal import Journal, StoredEvent
from bus_amqp.publish.outbox import OVERHEAD_BYTES, Entry
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.receipt import Receipt
from bus_amqp.wire.message import Message

logger = logging.getLogger("bus_amqp.publish")

PAGE_EVENTS = 512  # one batch of the publisher
PAGE_BYTES = 4 * 1024 * 1024
OPEN_BYTES = 16 * 1024 * 1024  # adopted events in memory, with the publisher or on their way to it
OPEN_FILES = 64  # many small files, as processes leave them that do little, must not take all file descriptors


class AdoptedEntry(Entry):
    """An event of an earlier process; nobody waits for its receipt."""

    __slots__ = ()


class Page:
    """Some events of one journal that are in memory together, and what became of them."""

    __slots__ = ("entries", "expired_bytes", "failed", "journal", "last_number", "last_row", "size_bytes")

    def __init__(
        self, journal: Journal, last_row: int, events: Sequence[Message], expired: Sequence[tuple[Message, str]] = ()
    ) -> None:
        self.journal: Journal | None = journal
        self.last_row = last_row
        self.last_number = 0  # of the last entry; set by the outbox, which numbers them
        self.failed = list(expired)  # and what is refused on the way
        self.expired_bytes = sum(len(message.body) + OVERHEAD_BYTES for message, _ in expired)
        self.entries = [AdoptedEntry(message, _AdoptedReceipt(self, message)) for message in events]
        self.size_bytes = sum(entry.size_bytes for entry in self.entries)


class _AdoptedReceipt(Receipt):
    """Tells its page what failed for good."""

    __slots__ = ("_message", "_page")

    def __init__(self, page: Page, message: Message) -> None:
        super().__init__(_call, _id_of(message))
        self._page = page
        self._message = message

    def settle(self, error: EventBusException | None = None) -> None:
        if error is not None and not self.done() and not isinstance(error, BusClosedError):
            self._page.failed.append((self._message, f"{type(error).__name__}: {error}"))
        super().settle(error)


class Adoption:
    """What is to be adopted, what is being sent, what is settled."""

    def __init__(
        self,
        directory: OutboxDirectory,
        aside: Aside,
        *,
        max_age_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._aside = aside
        self._max_age_seconds = max_age_seconds
        self._clock = clock
        self._names: deque[Path]  # files to look at, oldest first
        self._must_wait = False  # until the next look: the first of them may be free in a moment
        self.gathering = Gathering(directory)  # of what came after them
        self._journal: Journal | None = None  # the one that is being read
        self._last_row = 0  # of it, read so far
        self._pages: deque[Page] = deque()  # read and not settled, in order
        self._settled: deque[Page] = deque()  # settled, and that is not written down yet
        self._unsettled: dict[Journal, int] = {}  # adopted journals, and how many of their pages are not written down
        self._left: set[Journal] = set()  # of those, the ones that could not be read to their end: tried again later
        self.look(None)

    def __repr__(self) -> str:
        return f"<Adoption {self.files} files, {len(self._pages)} pages in hand>"

    @property
    def files(self) -> int:
        """How many files are waiting or being sent.  Some of those that wait may belong to living processes."""
        return self.gathering.waiting + len(self._names) + len(self._unsettled)  # in the order of their way

    @property
    def has_unread(self) -> bool:
        """Whether there is more to read, as far as is known."""
        return self._journal is not None or (bool(self._names) and not self._must_wait) or self.gathering.has_more

    def look(self, own: Path | None) -> None:
        """Look for orphans that have come since; ``own`` is none."""
        loose = self.gathering.look()  # first: what somebody gathers meanwhile is in a journal then
        known = {own, *(journal.path for journal in self._unsettled)}
        self._names = deque(path for path in self._directory.candidates() if path not in known)
        self._must_wait = False
        self.gathering.begin(loose)

    def next_page(self) -> Page | None:
        """Return the next events to send; None while there are none, or too many in memory."""
        while self._held_bytes() < OPEN_BYTES:
            if self._journal is None and not self._adopt_next():
                return None
            events = self._next_events()
            if events:
                return self._page_of(events)
        return None

    def _held_bytes(self) -> int:
        sending = sum(page.size_bytes for page in self._pages)
        return sending + sum(page.expired_bytes for page in (*self._pages, *self._settled))

    def _adopt_next(self) -> bool:
        while len(self._unsettled) < OPEN_FILES and not self._must_wait:
            if self._names:
                if self._adopt(self._names[0]):
                    return True
            elif not self.gathering.is_due:
                return False
            elif self._gather():
                return True
        return False

    def _adopt(self, path: Path) -> bool:
        journal = self._directory.adopt(path)
        if journal is None and path.exists() and self._directory.may_be_ours(path):
            journal, self._must_wait = self.gathering.adopt(path)
            if self._must_wait:
                return False
        if journal is not None:
            self._begin(journal)
            logger.info("sending the events of %s, whose process has ended", path)
        self._names.popleft()  # not before: who counts the files from another thread must not see none
        return journal is not None

    def _gather(self) -> bool:
        page = self.gathering.next_page()
        if page is None:
            return False
        gathered, journal = page
        if gathered.is_shared:  # the other one's journal is there now, and comes first
            if journal is not None:
                journal.close()
            self.look(None)  # our own is held, by ourselves
            return False
        if journal is not None:
            self._begin(journal)
        self.gathering.passed(gathered.looked_at)
        return journal is not None

    def _begin(self, journal: Journal) -> None:
        self._journal, self._last_row = journal, 0
        self._unsettled[journal] = 0

    def _next_events(self) -> list[StoredEvent]:
        journal = self._journal
        assert journal is not None  # the caller has looked
        try:
            events = journal.read(self._last_row, max_events=PAGE_EVENTS, max_bytes=PAGE_BYTES)
        except OutboxDamagedError as exc:
            self._go_on_with_copy(journal, exc)
            return []
        except OutboxStorageError as exc:
            self._directory.tell_unusable(journal.path, exc)
            self._left.add(journal)
            self._finish_reading(journal)
            return []
        if not events:
            self._finish_reading(journal)
            return []
        self._last_row = events[-1].number
        return events

    def _finish_reading(self, journal: Journal) -> None:
        self._journal = None
        if not self._unsettled[journal]:  # else ``tidy`` ends it with its last page
            self._unsettled[journal] = 1
            self._settled.append(Page(journal, self._last_row, []))

    def _go_on_with_copy(self, journal: Journal, why: OutboxDamagedError) -> None:
        """Go on with what can be read of a damaged journal, in a copy that has the same numbers."""
        self._journal = copy = self._directory.set_aside(journal, why)
        if copy is not None:
            self._unsettled[copy] = self._unsettled[journal]
        del self._unsettled[journal]
        for page in (*self._pages, *self._settled):
            if page.journal is journal:
                page.journal = copy

    def _page_of(self, events: list[StoredEvent]) -> Page:
        assert self._journal is not None  # they were read from it
        oldest = -math.inf if self._max_age_seconds is None else self._clock() - self._max_age_seconds
        reason = f"waited longer than outbox_max_age_seconds = {self._max_age_seconds}"
        page = Page(
            self._journal,
            events[-1].number,
            [event.message for event in events if event.accepted_at >= oldest],
            [(event.message, reason) for event in events if event.accepted_at < oldest],
        )
        self._unsettled[self._journal] += 1
        self._pages.append(page)
        return page

    def settle(self, settled_through: int) -> list[Page]:
        """Return the pages of which no entry is open, given that none up to that number is.

        Writes nothing: ``tidy`` does, for many pages at once.
        """
        settled = []
        while self._pages and self._pages[0].last_number <= settled_through:
            settled.append(self._pages.popleft())
        self._settled += settled
        return settled

    def tidy(self) -> bool:
        """Move aside what failed, delete what is settled, remove files of which nothing is left; tell if there was any.

        Raises ``OutboxStorageError``; what could not be done is done the next time.
        """
        is_any = bool(self._settled)
        self.gathering.go_on()
        while self._settled:
            page = self._settled[0]
            if page.failed:
                self._aside.put(page.failed)
                logger.warning(
                    "%d adopted events were not sent and are moved aside: %s", len(page.failed), page.failed[0][1]
                )
                page.failed = []
            journal = page.journal
            if journal is not None:
                is_last = self._unsettled[journal] == 1 and journal is not self._journal
                is_whole = is_last and journal not in self._left
                if not is_whole and (len(self._settled) == 1 or self._settled[1].journal is not journal):
                    journal.delete_through(page.last_row)  # once for all pages of it that are settled
                if is_last:
                    self._end(journal)  # no need to delete rows first: on a full disk that would not work
                else:
                    self._unsettled[journal] -= 1
            self._settled.popleft()
        return is_any

    def _end(self, journal: Journal) -> None:
        journal.close(remove=journal not in self._left)
        self._left.discard(journal)
        del self._unsettled[journal]

    def close(self) -> None:
        """Let go of all files; what is not settled is for the next process."""
        try:
            self.tidy()
        except OutboxStorageError as exc:
            logger.warning("settled events stay in the outbox directory and will be sent twice: %s", exc)
        for journal in self._unsettled:
            journal.close()
        self.forget()

    def forget(self) -> None:
        """Know nothing more."""
        self._unsettled.clear()
        self._left.clear()
        self._pages.clear()
        self._settled.clear()
        self._names.clear()
        self.gathering.forget()
        self._journal = None


def _id_of(message: Message) -> UUID | None:
    try:
        return UUID(message.message_id)
    except ValueError:
        return None


def _call(function: Callable[[], None]) -> None:
    function()
