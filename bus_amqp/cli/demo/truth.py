"""What billing must come to, counted the plain way from the stream itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bus_amqp.event import Event, EventCategory
from bus_amqp.source.usage_details import UsageDetails

# Not billing's own table: a meter that it forgets must show.
METERED = {"VM.START": "VM.STOP", "VOLUME.CREATE": "VOLUME.DELETE", "SNAPSHOT.CREATE": "SNAPSHOT.DELETE"}


def hours_used(events: Iterable[Event], until: datetime) -> float:
    """Return the hours of usage up to a moment of the cloud's own clock, in a stream that is in order."""
    began: dict[tuple[str, str], datetime] = {}
    used = timedelta()
    for event in events:
        if event.event_category != EventCategory.USAGE:
            continue
        if event.event_type in METERED:
            began[event.resource_uuid, METERED[event.event_type]] = used_at(event)
        elif (begun := began.pop((event.resource_uuid, event.event_type), None)) is not None:
            used += used_at(event) - begun
    return (used + sum((until - begun for begun in began.values()), timedelta())) / timedelta(hours=1)


def used_at(event: Event) -> datetime:
    """Return when that was on the cloud's own clock."""
    more = UsageDetails.from_wire(event.details).more or {}
    return datetime.fromisoformat(str(more["usedAt"]))
