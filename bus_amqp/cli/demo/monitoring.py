"""Monitoring: watch everything, keep nothing.  An ordinary subscriber: copy it.

    bus-amqp run bus_amqp.cli.demo.monitoring:subscribers

A subscription without a group gets its own copy of every event while it lives.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from bus_amqp import Event, EventTopic, Subscribers

logger = logging.getLogger("monitoring")
EVERY_SECONDS = 5.0


class Rates:
    """Count events by category and log their rates now and then.  One worker calls it, so there is no lock."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._since = time.monotonic()

    def on_event(self, event: Event) -> None:
        """Count one event."""
        self._counts[event.event_category] += 1
        seconds = time.monotonic() - self._since
        if seconds >= EVERY_SECONDS:
            rates = "  ".join(f"{name} {count / seconds:.0f}/s" for name, count in self._counts.most_common())
            logger.info("%s", rates)
            self._counts.clear()
            self._since += seconds


subscribers = Subscribers()
subscribers.on(EventTopic())(Rates())
