"""Remember what was handled, and whose acknowledgement may have died with its session.

AMQP does not answer an acknowledgement, so when a session ends nobody knows which of the last ones the broker has
read.  What it has not read it delivers again; this memory spares the subscriber a second call for those.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from uuid import UUID

from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import Delivery

CAPACITY = 8192  # events; two sessions of the largest memory of acknowledgements
OWN_HEADERS = "x-bus-"


class HandledEvents:
    """Keys of successfully handled deliveries, the oldest forgotten first.

    Written when a session has ended, by the consumer thread and by workers whose handler outlived the session; the
    lock makes "is there room" and "add it" one step.  Workers read without it, and only for redelivered events.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._keys: dict[Hashable, None] = {}  # written under _lock; read without it

    def __repr__(self) -> str:
        return f"<HandledEvents {len(self._keys)}>"

    def remember(self, deliveries: Iterable[Delivery]) -> None:
        """Note that these were handled."""
        keys = [key for delivery in deliveries if (key := key_of(delivery)) is not None]
        with self._lock:
            for key in keys:
                self._keys[key] = None
            for key in list(self._keys)[: max(0, len(self._keys) - self._capacity)]:
                del self._keys[key]

    def knows(self, delivery: Delivery) -> bool:
        """Return whether this redelivered event was handled here before."""
        return bool(self._keys) and (key := key_of(delivery)) is not None and key in self._keys


def key_of(delivery: Delivery) -> Hashable | None:
    """Return what makes two deliveries the same message of the queue, None: nothing can.

    Our own headers belong to it: a copy for a later attempt has the id of the event whose first attempt was settled
    by making that copy.  An id that is no UUID may be used twice by whoever made it up, and proves nothing.
    """
    try:
        properties = delivery.properties
        UUID(properties.message_id)
    except (UndecodableError, ValueError):
        return None
    own = tuple(sorted((name, value) for name, value in properties.headers.items() if name.startswith(OWN_HEADERS)))
    return (properties.message_id, delivery.routing_key, own)
