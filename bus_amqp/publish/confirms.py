"""Track which messages the broker has confirmed.

Pure bookkeeping: no thread, no clock, no I/O.  The publisher thread registers a message before sending it
and settles it when the broker answers.  Rules: sequences start at 1 with every channel; entries come back
in the order in which they were registered.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus_amqp.publish.outbox import Entry


class ConfirmTracker:
    """The open sequences of one publish channel."""

    def __init__(self) -> None:
        self._open: dict[int, Entry] = {}  # in order of sequence, as dicts keep insertion order
        self._next = 1
        self._oldest = 1  # no open sequence is below it
        self._returned: dict[tuple[str, str, str], list[Entry]] = {}  # open mandatory ones by where, key, id

    def __len__(self) -> int:
        return len(self._open)

    def __repr__(self) -> str:
        return f"<ConfirmTracker {len(self._open)} open, next {self._next}>"

    def register(self, entries: Sequence[Entry]) -> None:
        """Give the entries the next sequences.  Before sending: the confirm may arrive while the batch is written."""
        sequence = self._next
        for entry in entries:
            self._open[sequence] = entry
            if entry.message.mandatory:
                self._returned.setdefault(_identity(entry), []).append(entry)
            sequence += 1
        self._next = sequence

    def withdraw(self, entries: Sequence[Entry]) -> None:
        """Take back the latest registration: the batch could not be encoded, and none of it was sent."""
        for entry in reversed(entries):
            self._next -= 1
            del self._open[self._next]
            self._forget_returnable(entry)

    def settle(self, sequence: int, *, multiple: bool) -> list[Entry]:
        """Remove and return the entries that a confirm or a rejection speaks of; unknown ones are ignored."""
        open_entries = self._open
        if multiple:
            settled = [
                entry
                for number in range(self._oldest, sequence + 1)
                if (entry := open_entries.pop(number, None)) is not None
            ]
            self._oldest = max(self._oldest, sequence + 1)
        else:
            entry = open_entries.pop(sequence, None)
            settled = [] if entry is None else [entry]
            if sequence == self._oldest:
                self._oldest = sequence + 1
        if self._returned:
            for entry in settled:
                self._forget_returnable(entry)
        return settled

    def _forget_returnable(self, entry: Entry) -> None:
        same = self._returned.get(_identity(entry), [])
        if entry in same:
            same.remove(entry)
            if not same:
                del self._returned[_identity(entry)]

    def find_returned(self, exchange: str, routing_key: str, message_id: str) -> list[Entry]:
        """Return the open mandatory entries that a return speaks of; their confirms follow.

        ``exchange`` is as the broker says it.  Copies without an id look alike and a return has no number: then
        all of them count as returned, because one sent twice is better than one lost.
        """
        for named in (exchange, ""):  # entries leave the bus's own exchange unnamed
            if same := self._returned.get((named, routing_key, message_id)):
                return list(same)
        return []

    @property
    def oldest_open(self) -> Entry | None:
        """The entry that has waited longest."""
        # Not the dict's first value: behind thousands of removed ones, finding it takes longer each time.
        while self._oldest < self._next:
            if (entry := self._open.get(self._oldest)) is not None:
                return entry
            self._oldest += 1
        return None

    def reset(self) -> list[Entry]:
        """Forget the channel; return what is open, in order: it must be sent again."""
        entries = list(self._open.values())
        self.__init__()  # type: ignore[misc]  # a new channel starts from nothing
        return entries


def _identity(entry: Entry) -> tuple[str, str, str]:
    message = entry.message
    return (message.exchange or "", message.routing_key, message.message_id)
