"""``ForeignMessage`` and ``ForeignSource``: what comes from an exchange that is not ours, and who can read it.

Pure.  A subscription to a ``ForeignSource`` is one like any other, with a queue, retries and dead letters of ours; only
its bindings are on somebody else's exchange, and its messages are read by a function that the caller brings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event

MAX_NAME_BYTES = 255  # of an exchange and of a key, AMQP's short strings


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignMessage:
    """One message in somebody else's format, as AMQP carries it.  Absent properties are empty, ``timestamp`` None.

    ``exchange`` and ``routing_key`` are those that it was published with, also when it comes back from a wait or from
    the dead letters.  ``is_repeated``: it may have been here before (redelivered, retried or put back), so whoever
    looks for duplicates must not take it for one of itself.
    """

    routing_key: str
    body: bytes
    exchange: str = ""
    content_type: str = ""
    message_id: str = ""
    timestamp: datetime | None = None
    type: str = ""
    app_id: str = ""
    headers: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    received_at: datetime = field(default_factory=_now)
    is_repeated: bool = False


Decode = Callable[[ForeignMessage], Event[object]]
"""Returns the event of a foreign message; raises ``UndecodableError`` (dead-letter it) or ``Discard`` (forget it)."""

Encode = Callable[[Event], ForeignMessage]
"""Returns an event as a message in somebody else's format; its exchange is the bus's own."""


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """Messages of an exchange that is not ours; pass it to ``subscribe`` in the place of a topic.

    ``decode`` is called on worker threads, for each message, and again for each retry.  It returns the event; raises
    ``UndecodableError`` for what has to be dead-lettered with its ``reason``, or ``Discard`` for what is not wanted.
    ``binding_keys``: what of the exchange; by default all.  The exchange must be there; the user needs the right to
    read it, and no other.

    ``lane``: of several workers, no two handle messages at once for whose routing keys this returns the same text
    (None: nothing orders the message).  Without it nothing orders any: how a foreign key names a resource we cannot
    know.

    ``exclusive`` (subscriptions without a group): only looks on.  The queue belongs to this connection, ends with it
    and is the only thing that is declared; nothing is retried or dead-lettered, and what comes while nobody is
    connected is not seen.

    Raises ``InvalidArgumentError`` naming what is wrong.
    """

    exchange: str
    decode: Decode
    binding_keys: Sequence[str] = ("#",)
    exclusive: bool = False
    lane: Callable[[str], str | None] | None = None

    def __post_init__(self) -> None:
        if not _is_name(self.exchange) or not self.exchange:
            raise InvalidArgumentError(f"exchange must be the name of an exchange, not {self.exchange!r}")
        if not callable(self.decode):
            raise InvalidArgumentError(f"decode must be a function of a ForeignMessage, not {self.decode!r}")
        keys = self.binding_keys
        if isinstance(keys, str) or not isinstance(keys, Sequence) or not keys or not all(map(_is_name, keys)):
            raise InvalidArgumentError(f"binding_keys must be a sequence of binding keys, not {keys!r}")
        if self.lane is not None and not callable(self.lane):
            raise InvalidArgumentError(f"lane must be a function of a routing key, not {self.lane!r}")
        if not isinstance(self.exclusive, bool):
            raise InvalidArgumentError(f"exclusive must be True or False, not {self.exclusive!r}")
        object.__setattr__(self, "binding_keys", tuple(dict.fromkeys(keys)))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value.encode(errors="replace")) <= MAX_NAME_BYTES
