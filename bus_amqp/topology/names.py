"""The names of objects on the broker.  Pure.  All begin with the exchange's name."""

import re
from uuid import UUID

from bus_amqp.errors import InvalidArgumentError

_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESERVED = frozenset({"tmp", "wait", "dead", "return"})


def check_group(group: str) -> str:
    """Return the group's name.  Raises ``InvalidArgumentError`` unless it can be part of a queue name."""
    if not isinstance(group, str) or not _GROUP.fullmatch(group):
        raise InvalidArgumentError(f"group {group!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ -")
    if group in _RESERVED:
        words = ", ".join(sorted(_RESERVED))
        raise InvalidArgumentError(f"group {group!r} is a reserved word ({words}): choose another")
    return group


def group_queue(exchange: str, group: str) -> str:
    """Return the queue that a group shares."""
    return f"{exchange}.{group}"


def temporary_queue(exchange: str, subscription_id: UUID) -> str:
    """Return the queue of a subscription without a group."""
    return f"{exchange}.tmp.{subscription_id}"


def dead_exchange(exchange: str) -> str:
    """Return the exchange that dead letters go through."""
    return f"{exchange}.dead"


def dead_key(group: str | None) -> str:
    """Return the routing key on the dead exchange: the group, or ``tmp`` for temporary subscriptions."""
    return group or "tmp"


def dead_queue(exchange: str, group: str | None) -> str:
    """Return where dead letters of a group (None: of temporary subscriptions) wait."""
    return f"{exchange}.{dead_key(group)}.dead"


def return_exchange(exchange: str) -> str:
    """Return the exchange that leads events that have waited back to their queues."""
    return f"{exchange}.return"


def astray_exchange(exchange: str) -> str:
    """Return the exchange that takes what could not return, because its queue or the way to it is gone."""
    return f"{exchange}.astray"


def astray_key(exchange: str, group: str | None) -> str:
    """Return the binding key on the astray exchange: what was on its way to the group's, or any temporary, queue."""
    return f"{exchange}.tmp.*" if group is None else group_queue(exchange, group)


def wait_queue(exchange: str, rung_seconds: int) -> str:
    """Return the queue, and the exchange before it, in which events wait this long: ``bus.events.wait.30s``."""
    for unit_seconds, unit in ((3600, "h"), (60, "m")):
        if rung_seconds >= unit_seconds:
            return f"{exchange}.wait.{rung_seconds // unit_seconds}{unit}"
    return f"{exchange}.wait.{rung_seconds}s"
