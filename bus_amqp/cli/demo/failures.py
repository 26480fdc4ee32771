"""``Failures``: which follow-ups the workflow must open and close, told from the events of the actions.  Pure."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID, uuid5

from bus_amqp.event import Event, EventCategory

# As the workflow names them: an id made from the failure's and one of these.
OPENED, CLOSED = "FOLLOWUP.OPEN", "FOLLOWUP.CLOSE"


def follow_up_id(failure_id: UUID, event_type: str) -> UUID:
    """Return the id of what the workflow tells of a failed action."""
    return uuid5(failure_id, event_type)


class Failures:
    """Failed actions that the same action on the same resource has not mended yet.  Takes the events in order."""

    def __init__(self) -> None:
        self._open: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)

    def note(self, event: Event) -> list[tuple[str, Event]]:
        """Return what the workflow must tell once it has this event: (``OPENED`` or ``CLOSED``, of which failure)."""
        if event.event_category != EventCategory.ACTION:
            return []
        match event.details.get("status"):
            case "Failed":
                self._open[event.event_type, event.resource_uuid].append(event)
                return [(OPENED, event)]
            case "Completed":
                return [(CLOSED, failure) for failure in self._open.pop((event.event_type, event.resource_uuid), [])]
        return []
