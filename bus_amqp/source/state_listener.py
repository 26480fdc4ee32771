"""``StateListener``: who is told before and after a resource changes its state, and ``StateChange``: what is told.

Needs no bus: a listener may just as well write a log line or free an address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from bus_amqp.event import new_event_id


@dataclass(frozen=True, slots=True)
class StateChange:
    """One transition of one resource, the same object before and after it.

    ``old_state`` is None for a resource that begins with this event.  ``resource`` is what the caller gave.
    ``notes`` is for listeners, to carry something from pre to post; each uses itself as the key.
    """

    machine: str
    event: str
    old_state: str | None
    new_state: str
    resource: object = field(repr=False)  # a log must not show what a row holds
    correlation_id: str | None = None
    transition_id: UUID = field(default_factory=new_event_id)
    notes: dict[object, object] = field(default_factory=dict, repr=False, compare=False)


class StateListener(Protocol):
    """Derive from it and write the methods that you need; the others do nothing.

    Called on the thread that makes the transition, which waits for it.  What it raises is logged and counted, and
    harms neither the transition nor the other listeners.
    """

    def pre_state_transition(self, change: StateChange, /) -> None:
        """Hear that the change is about to be stored.  ``post`` or ``failed`` follows, always."""
        return  # mypy takes an empty method of a protocol for one that must be written

    def post_state_transition(self, change: StateChange, /) -> None:
        """Hear that the change is stored."""
        return

    def failed_state_transition(self, change: StateChange, error: BaseException, /) -> None:
        """Hear that the change that ``pre`` told of was not stored, and why."""
        return
