"""What can still be read of a damaged journal is copied to a new one.  Called by ``OutboxDirectory``.

Damage is a place in the file: what lies before it is found from the front, what lies behind it from the back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.journal import Journal, StoredEvent

_PAGE_EVENTS, _PAGE_BYTES = 500, 4 * 1024 * 1024


def copy_readable(journal: Journal, make_copy: Callable[[], Journal]) -> tuple[Journal | None, int]:
    """Return the copy and how many events are in it; no copy if there is nothing to put into it.

    Raises ``OutboxStorageError``; then nothing of the copy stays.
    """
    copy: Journal | None = None
    count = 0
    for page in _readable(journal):
        copy = copy or make_copy()
        try:
            copy.copy(page)
        except OutboxStorageError:
            copy.close(remove=True)
            raise
        count += len(page)
    return copy, count


def _readable(journal: Journal) -> Iterator[list[StoredEvent]]:
    last, page_events = 0, _PAGE_EVENTS
    while True:
        try:
            page = journal.read(last, max_events=page_events, max_bytes=_PAGE_BYTES)
        except OutboxDamagedError:
            if page_events == 1:
                break  # this is the place
            page_events = 1
            continue
        if not page:
            return
        yield page
        last = page[-1].number
    if rest := _from_the_back(journal, last):
        yield rest


def _from_the_back(journal: Journal, last: int) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    with suppress(OutboxDamagedError):  # the same place, from behind
        for event in journal.read_backwards(last):
            found.append(event)  # noqa: PERF402 -- what was read before the error counts
    return found[::-1]
