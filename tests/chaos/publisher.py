"""A publishing process of the chaos suite: a steady rate of numbered events until SIGTERM, then flush and end.

``python -m tests.chaos.publisher PART.json``.  It stands for a cloud component: it never waits for the broker, and an
event that ``publish`` refuses is written down as refused and not tried again.
"""

from __future__ import annotations

import resource
import time
from collections import deque

from bus_amqp import Event, EventBus, EventBusException, Receipt
from tests.chaos.ledger import Ledger
from tests.chaos.part import NARROW, RESOURCES, WIDE, Ending, Part, read_part

TICK_SECONDS = 0.01
SAMPLE_SECONDS = 0.25
FLUSH_SECONDS = 90.0


class Publisher:
    """One thread, which offers events and reads receipts."""

    def __init__(self, part: Part, ledger: Ledger, bus: EventBus) -> None:
        self._part, self._ledger, self._bus = part, ledger, bus
        self._number = 0
        self._open: deque[tuple[int, Receipt]] = deque()  # not settled when last seen, oldest first
        self._padding = {"padding": "x" * part.padding_bytes} if part.padding_bytes else {}

    def run(self, ending: Ending) -> None:
        """Publish until told to end."""
        began = sampled = time.monotonic()
        while not ending.wait(TICK_SECONDS):
            now = time.monotonic()
            due = int((now - began) * self._part.rate) - self._number
            # What a stopped machine has missed is not made up for at once: that would be another load, not this one.
            for _ in range(min(due, int(self._part.rate * TICK_SECONDS * 10) + 1)):
                self._offer()
            self._note_receipts()
            if now - sampled >= SAMPLE_SECONDS:
                sampled = now
                self._ledger.write_sample()

    def finish(self) -> None:
        """Flush.  Raises ``UndeliveredError`` if the broker does not confirm everything."""
        self._bus.flush(FLUSH_SECONDS)
        self._note_receipts()

    def _offer(self) -> None:
        number = self._number
        self._number = number + 1
        event = Event(
            event_category="UsageEvent",
            event_type=WIDE if number % 2 else NARROW,
            event_source=self._part.name,
            resource_type="VirtualMachine",
            # Not number % 2: each resource has events of both types.
            resource_uuid=f"{self._part.name}-{number // 2 % RESOURCES}",
            description=f"{self._part.name} {number}",
            details=self._padding,
        )
        self._ledger.write_event("o", number)
        try:
            receipt = self._bus.publish(event)
        except EventBusException as exc:
            self._ledger.write("x", number, type(exc).__name__)
            return
        self._ledger.write_event("a", number)
        self._open.append((number, receipt))

    def _note_receipts(self) -> None:
        # In order, so one slow event hides those behind it for a while: late, never wrong.
        while self._open and self._open[0][1].done():
            number, receipt = self._open.popleft()
            error = receipt.exception(0)
            if error is None:
                self._ledger.write_event("c", number)
            else:
                self._ledger.write("f", number, type(error).__name__)


def main() -> None:
    """Play the part of the command line."""
    ending = Ending()
    part = read_part()
    ledger = Ledger(part.ledger)
    with part.connect() as bus:
        if part.file_limit_bytes:  # a full disk, for this process alone
            resource.setrlimit(resource.RLIMIT_FSIZE, (part.file_limit_bytes, resource.RLIM_INFINITY))
        ledger.write("z", "ready")
        publisher = Publisher(part, ledger, bus)
        publisher.run(ending)
        publisher.finish()
    ledger.write("z", "ended")


if __name__ == "__main__":
    main()
