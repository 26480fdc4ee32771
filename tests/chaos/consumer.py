"""A consuming process of the chaos suite: subscribes, writes down what it handles, ends on SIGTERM.

``python -m tests.chaos.consumer PART.json``.  A handler with moods looks for a file before each event: ``raise`` (every
twentieth event fails while it is there), ``hang`` and ``exit`` (who takes the file away does it, once).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from bus_amqp import Event, EventBus
from bus_amqp.health import Gap
from tests.chaos.ledger import Ledger
from tests.chaos.part import Ending, Membership, Part, read_part

SAMPLE_SECONDS = 0.25
HANG_SECONDS = 4.0
EXIT_STATUS = 17
FAILING_SHARE = 20  # one event of so many fails, while handlers are to raise
CLOSE_SECONDS = 30.0


class Moods:
    """What the suite wants a handler to do now."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self._directory, self._ledger = directory, ledger
        self._has_failed: set[str] = set()  # each event fails once in a process

    def befall(self, event: str) -> None:
        """Raise, hang or exit, if that is the mood."""
        if (self._directory / "raise").exists():
            self._raise(event)
        if self._take("hang"):
            self._ledger.write("z", "hung", event)
            threading.Event().wait(HANG_SECONDS)
        if self._take("exit"):
            self._ledger.write("z", "exiting", event)
            os._exit(EXIT_STATUS)

    def _raise(self, event: str) -> None:
        number = int(event.rpartition(" ")[2])
        if number % FAILING_SHARE == 0 and event not in self._has_failed:
            self._has_failed.add(event)
            self._ledger.write("z", "raised", event)
            raise RuntimeError(f"no mood for event {event}")

    def _take(self, mood: str) -> bool:
        try:
            (self._directory / mood).unlink()
        except FileNotFoundError:
            return False
        return True


class Consumer:
    """Its handlers run on the bus's workers; everything else on the main thread."""

    def __init__(self, part: Part, ledger: Ledger, bus: EventBus) -> None:
        self._part, self._ledger, self._bus = part, ledger, bus
        self._name_of = {
            bus.subscribe(membership.topics(), self._handler(membership), **membership.options()): membership.name
            for membership in part.memberships
        }
        self._reported: set[tuple[str, Gap]] = set()

    def run(self, ending: Ending) -> None:
        """Sample until told to end."""
        while not ending.wait(SAMPLE_SECONDS):
            self._ledger.write_sample()
            self.report_gaps()

    def report_gaps(self) -> None:
        """Write down the gaps of which health tells, each once."""
        for one in self._bus.health().subscriptions:
            name = self._name_of[one.subscription_id]
            for gap in one.gaps:
                if (name, gap) not in self._reported:
                    self._reported.add((name, gap))
                    self._ledger.write("g", name, gap.since.timestamp(), gap.until.timestamp())

    def _handler(self, membership: Membership) -> Callable[[Event], None]:
        name, ledger = membership.name, self._ledger
        if not membership.has_moods:
            return lambda event: ledger.write_handled(name, event.description)
        moods = Moods(self._part.directory, ledger)

        def handle(event: Event) -> None:
            moods.befall(event.description)
            ledger.write_handled(name, event.description)

        return handle


def main() -> None:
    """Play the part of the command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    ending = Ending()
    part = read_part()
    ledger = Ledger(part.ledger)
    bus = part.connect()
    try:
        consumer = Consumer(part, ledger, bus)
        ledger.write("z", "ready")
        consumer.run(ending)
        consumer.report_gaps()
    finally:
        bus.close(CLOSE_SECONDS)
    ledger.write("z", "ended")


if __name__ == "__main__":
    main()
