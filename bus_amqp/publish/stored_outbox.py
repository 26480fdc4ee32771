"""``StoredOutbox``: an outbox whose events are on disk before ``put`` returns.

Callers that come at the same time share a commit: the first of them leads, and takes along whoever came while the
commit before was under way.  The order in the journal is the order of numbers is the order in the outbox.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from bus_amqp.errors import EventBusException, OutboxStorageError
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.publish.own_journal import OwnJournal
from bus_amqp.receipt import store_all


class _Batch:
    """Entries that one commit stores.  ``stored`` is made by the first that follows, and set once it is done."""

    __slots__ = ("entries", "error", "own", "stored")

    def __init__(self) -> None:
        self.entries: list[Entry] = []  # in the order of their numbers; guarded by the outbox's lock
        self.own: list[Entry] = []  # those that go to the journal: no copies, and nothing adopted
        self.stored: threading.Event | None = None
        self.error: EventBusException | None = None  # written before ``stored`` is set


class StoredOutbox(Outbox):
    """The outbox's lock is never held while the disk is written; ``OwnJournal.committing`` is, and is taken first."""

    def __init__(self, max_events: int, max_bytes: int, own: OwnJournal) -> None:
        super().__init__(max_events, max_bytes)
        self._own = own
        self._gathering: _Batch | None = None  # guarded by _lock; has a leader that has not begun

    def put(self, entry: Entry, timeout_seconds: float) -> bool:
        """Accept an entry; on disk on return.  Raises as the memory outbox does, and ``OutboxStorageError``."""
        with self._lock:
            if self._events >= self._max_events or self._bytes + entry.size_bytes > self._max_bytes or self._closed:
                self._wait_for_room(1, entry.size_bytes, timeout_seconds)
            batch, is_leader = self._join((entry,), is_own=True)
        return self._carry(batch, is_leader=is_leader)

    def put_many(self, entries: Sequence[Entry], timeout_seconds: float) -> bool:
        """Accept all entries or none, in one commit."""
        with self._lock:
            self._wait_for_room(len(entries), sum(entry.size_bytes for entry in entries), timeout_seconds)
            batch, is_leader = self._join(entries, is_own=True)
        return self._carry(batch, is_leader=is_leader)

    def put_copy(self, entry: Entry) -> bool:
        """Accept a copy of a delivery, in memory: its original is on the broker until the copy is confirmed."""
        return self._put_unstored((entry,))

    def _put_unstored(self, entries: Sequence[Entry]) -> bool:
        with self._lock:
            batch, is_leader = self._join(entries, is_own=False)
        return self._carry(batch, is_leader=is_leader, is_own=False)

    def _join(self, entries: Sequence[Entry], *, is_own: bool) -> tuple[_Batch, bool]:
        for entry in entries:
            self._accepted += 1
            entry.number = self._accepted
            self._bytes += entry.size_bytes
        self._events += len(entries)
        batch = self._gathering
        is_leader = batch is None
        if batch is None:
            batch = self._gathering = _Batch()
        elif batch.stored is None:
            batch.stored = threading.Event()
        batch.entries += entries
        if is_own:
            batch.own += entries
        return batch, is_leader

    def _carry(self, batch: _Batch, *, is_leader: bool, is_own: bool = True) -> bool:
        is_wake_needed = False
        if is_leader:
            is_wake_needed = self._lead(batch)
        else:
            assert batch.stored is not None  # _join has made it
            batch.stored.wait()
        if batch.error is not None and is_own:
            raise type(batch.error)(str(batch.error)) from batch.error  # one for each thread that raises it
        return is_wake_needed

    def _lead(self, batch: _Batch) -> bool:
        batch.error = OutboxStorageError("interrupted while the event was written")  # unless it goes well
        interruption: BaseException | None = None
        is_begun = is_wake_needed = False
        while not is_begun:
            try:
                with self._own.committing:
                    is_begun = True
                    is_wake_needed = self._commit(batch, is_wanted=interruption is None)
            except BaseException as exc:  # Ctrl-C while another one commits, which takes no longer than the disk does
                if is_begun:
                    raise
                interruption = exc  # others have joined the batch and wait: its turn must come before this ends
        if interruption is not None:
            raise interruption
        return is_wake_needed

    def _commit(self, batch: _Batch, *, is_wanted: bool) -> bool:
        try:
            with self._lock:
                self._gathering = None  # who comes now is the next one's
            if batch.own and is_wanted:
                self._own.append([(entry.number, entry.message) for entry in batch.own])
                store_all([entry.receipt for entry in batch.own])
            if is_wanted or not batch.own:
                batch.error = None
        except OutboxStorageError as exc:
            batch.error = exc
        finally:
            is_wake_needed = self._hand_over(batch)
        return is_wake_needed

    def _hand_over(self, batch: _Batch) -> bool:
        is_wake_needed = False
        with self._lock:
            if batch.error is None:
                self._waiting.extend(batch.entries)
                is_wake_needed, self._taker_idle = self._taker_idle, False
                if batch.own:
                    self._note_stored(batch.own[-1].number)
            else:
                own = {id(entry) for entry in batch.own}
                self._waiting.extend(entry for entry in batch.entries if id(entry) not in own)
                self._events -= len(batch.own)
                self._bytes -= sum(entry.size_bytes for entry in batch.own)
                self._room.notify_all()
                self._settled.notify_all()
        if batch.stored is not None:
            batch.stored.set()
        return is_wake_needed

    def _note_stored(self, number: int) -> None:
        """Entries up to this number are on disk since now.  Under the lock."""
