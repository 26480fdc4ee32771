"""``Outcomes``: what became of entries, written into receipts, counts and the outbox.

The publisher's other half, which never touches a channel.  Called on the publisher thread, and by the closing thread
when that has ended; ``counts`` and ``told_refusals`` may be read by any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bus_amqp.errors import EventBusException, UnroutableError
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.receipt import confirm_all
from bus_amqp.transport.signals import Returned

REFUSAL_TOLD_SECONDS = 60.0  # one refused event must not make the bus unwell for ever


@dataclass(slots=True)
class PublisherCounts:
    """Counts since the start.  Written by the publisher thread, read by any."""

    confirmed: int = 0
    failed: int = 0
    resent: int = 0


class Outcomes:
    """Settles entries; ``on_failed`` hears of each event that failed."""

    def __init__(
        self, outbox: Outbox, *, on_failed: Callable[[Entry], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbox = outbox
        self._on_failed = on_failed
        self._clock = clock
        self._unroutable: dict[int, UnroutableError] = {}  # by id() of an open entry: its confirm means "not stored"
        self._refusals: tuple[int, float, str] = (0, 0.0, "")  # how many, when and why the last
        self.counts = PublisherCounts()

    def __repr__(self) -> str:
        return f"<Outcomes {self.counts!r}>"

    @property
    def told_refusals(self) -> str:
        """Say how many messages the broker has refused for good, if that was lately.  From any thread."""
        number, at, text = self._refusals
        if not number or self._clock() - at >= REFUSAL_TOLD_SECONDS:
            return ""
        return f"{number} events refused by the broker, the last: {text}"

    def note_returned(self, entries: Sequence[Entry], returned: Returned) -> None:
        """Remember that no queue took these: the confirm that follows means "not stored"."""
        for entry in entries:
            self._unroutable[id(entry)] = UnroutableError(
                f"no queue takes {returned.routing_key!r} on {returned.exchange!r} ({returned.reason}): not stored"
            )

    def forget_returned(self) -> None:
        """Forget it: what came back once may find a queue when it is sent again."""
        self._unroutable.clear()

    def confirm(self, settled: Sequence[Entry], settled_through: int) -> None:
        """Settle what the broker has confirmed."""
        failed = []
        try:
            if self._unroutable:
                failed = [entry for entry in settled if id(entry) in self._unroutable]
                for entry in failed:
                    entry.receipt.settle(self._unroutable.pop(id(entry)))
            confirm_all([entry.receipt for entry in settled])  # those that have failed stay so
        finally:  # their places are free whatever a waiter's wake does
            self._outbox.done(len(settled), sum([entry.size_bytes for entry in settled]), settled_through)
        self.counts.confirmed += len(settled) - len(failed)
        self.count_failed(failed)

    def fail(self, entry: Entry, error: EventBusException, settled_through: int) -> None:
        """Settle one that cannot be sent."""
        entry.receipt.settle(error)
        self._outbox.done(1, entry.size_bytes, settled_through)
        self.count_failed([entry])

    def refuse(self, entry: Entry, error: EventBusException, settled_through: int) -> None:
        """Settle one to which the broker said no, and would again."""
        if not entry.is_copy:  # a copy is made again by its subscription, which says in its own health what is wrong
            self._refusals = (self._refusals[0] + 1, self._clock(), str(error))
        self.fail(entry, error, settled_through)

    def count_failed(self, entries: Sequence[Entry]) -> None:
        """Count and tell.  Copies are the bus's own business: their subscription hears of it another way."""
        for entry in entries:
            if not entry.is_copy:
                self.counts.failed += 1
                self._on_failed(entry)
