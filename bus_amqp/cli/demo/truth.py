"""What billing must come to, counted the plain way from the stream itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bus_amqp.cli.demo.billing import METERS
from bus_amqp.event import Event


def hours_used(events: Iterable[Event]) -> float:
    """Return the hours of usage in a stream that is in order and has no event twice: the plain way to count."""
    starts: dict[tuple[str, str], Event] = {}
    seconds = 0.0
    for event in events:
        for meter, (start, stop) in METERS.items():
            if event.event_type == start and event.event_category == "UsageEvent":
                starts[event.resource_uuid, meter] = event
            elif event.event_type == stop and event.event_category == "UsageEvent":
                began = starts.pop((event.resource_uuid, meter), None)
                seconds += _used_at(event) - _used_at(began) if began is not None else 0.0
    return seconds / 3600


def _used_at(event: Event) -> float:
    return datetime.fromisoformat(str(event.details["eventDateTime"])).timestamp()
