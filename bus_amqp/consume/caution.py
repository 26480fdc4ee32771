"""Tell whether the queue's first events may be what ends its process, and when that danger is over.  Pure.

A process that crashes has all its prefetched events counted as delivered, the innocent with the guilty, and twenty
counts dead-letter an event.  So a process whose first event has come that often already takes one at a time: then a
crash is counted against the event that was in hand, and no other.

An orderly restart counts, too, and RabbitMQ puts what is given back *behind* what was given back before and not
delivered since: with one in hand that would break the order of an ordered group.  There the suspicion comes late,
when the alternative is to dead-letter everything that was prefetched, and ends with the first event that is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import Delivery

DELIVERY_COUNT = "x-delivery-count"  # how often it was given back: this one, by quorum queues from 3.8 to 4.x


@dataclass(frozen=True, slots=True)
class Suspicion:
    """From which delivery count on a first event is suspicious, up to which, and how many successes end it.

    To begin anew costs all that was prefetched a count; above ``most`` that would be what dead-letters them.
    """

    least: int
    most: int
    enough_successes: int | None  # None: only an event that was never delivered before


SHARED = Suspicion(least=2, most=1000, enough_successes=20)  # delivered for the third time
ORDERED = Suspicion(least=10, most=15, enough_successes=None)  # each member that stands by may add one


class Caution:
    """State of one subscription in this process.  Consumer thread only.

    Only the first session is suspicious: a process that lives to have a second one has not crashed.
    """

    def __init__(self, suspicion: Suspicion | None = None) -> None:
        self._suspicion = suspicion  # None: the queue counts nothing
        self.is_watching = suspicion is not None  # whether deliveries are to be shown to ``look``
        self.is_careful = False  # one event at a time
        self._looked_at = 0  # while careful: each but the last has been settled
        self._is_new = False  # the last was never delivered before

    def __repr__(self) -> str:
        return f"<Caution{' watching' if self.is_watching else ''}{' careful' if self.is_careful else ''}>"

    def look(self, deliveries: Sequence[Delivery]) -> bool:
        """Look at a batch that is not yet submitted; return whether a careful session has to begin instead."""
        suspicion, first = self._suspicion, deliveries[0]
        if suspicion is None:
            return False
        if self.is_careful:
            self._looked_at += 1
            self._is_new = not first.redelivered
            return False
        self.is_watching = self.is_careful = suspicion.least <= _count_of(first) <= suspicion.most
        return self.is_careful

    def may_end(self, unsettled: int) -> bool:
        """Return whether the suspects have been settled, or enough of them for the crash to have come."""
        if not self.is_careful or unsettled or self._suspicion is None:
            return False
        enough = self._suspicion.enough_successes
        return self._is_new or (enough is not None and self._looked_at >= enough)

    def end(self) -> None:
        """Take many at a time again, and look at no delivery any more."""
        self.is_watching = self.is_careful = False


def _count_of(delivery: Delivery) -> int:
    if not delivery.redelivered:
        return 0
    try:
        count = delivery.properties.headers.get(DELIVERY_COUNT)
    except UndecodableError:  # it will be dead-lettered, and crashes nobody
        return 0
    return count if isinstance(count, int) else 0
