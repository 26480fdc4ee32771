"""What becomes of a bus when its process forks (``os.fork``, multiprocessing, a pre-forking server).

The child has the memory of the parent and none of its threads: locks may be held by threads that are not there, and
sockets are the parent's.  So nothing of the machinery is used or ended in the child; each bus gets a new one, which
connects when it is first used.  What was accepted before the fork is the parent's to send, subscriptions are the
parent's to serve.
"""

from __future__ import annotations

import logging
import os
from typing import Protocol
from weakref import WeakSet

from bus_amqp.event import Event
from bus_amqp.wire.codec import encode

logger = logging.getLogger("bus_amqp")


class Forkable(Protocol):
    """A bus that can begin anew in a forked child."""

    def begin_in_child(self) -> None:
        """Take new machinery.  Must take no lock that existed before the fork, and end nothing."""


_buses: WeakSet[Forkable] = WeakSet()  # added to by any thread; a child has one
_left_to_parent: list[object] = []  # for ever: what was collected would say goodbye on the parent's behalf


def survive_forks(bus: Forkable) -> None:
    """Have the bus begin anew in every child."""
    if not _buses:
        _write_and_read_once()
    _buses.add(bus)


def _write_and_read_once() -> None:
    """Have pydantic's compiled code make what it makes once, before another thread can be in the middle of it.

    Seen under load: a child forked while the first event was being written hung for ever in its own first one.
    """
    event = Event(event_category="_", event_type="_", event_source="_", details={"text": "", "number": 0.5})
    Event.model_validate_json(encode(event, max_event_bytes=10_000).body, by_alias=True, by_name=False)


def leave_to_parent(*machinery: object) -> None:
    """Keep these from being collected in this process."""
    _left_to_parent.extend(machinery)


def _begin_in_child() -> None:
    for bus in list(_buses):
        try:
            bus.begin_in_child()
        except Exception:  # a hook of the interpreter: what it raises is printed and lost
            logger.exception("a bus could not begin anew after a fork; this is a fault of bus_amqp")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
