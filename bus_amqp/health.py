"""What the bus tells about itself: ``Health`` (is it well?) and ``Stats`` (how much?).  Values, no logic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class BusState(StrEnum):
    """The state of the bus as a whole, the worst of its connections."""

    CONNECTING = "connecting"
    OPEN = "open"
    BLOCKED = "blocked"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    CLOSED = "closed"


_SEVERITY = (
    BusState.CLOSED,
    BusState.FAILED,
    BusState.RECONNECTING,
    BusState.CONNECTING,
    BusState.BLOCKED,
    BusState.OPEN,
)


def worst_state(states: Iterable[BusState]) -> BusState:
    """Return the state that needs the most attention."""
    return min(states, key=_SEVERITY.index)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a subscription had no queue: events published in it have not reached it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """The directory of a disk outbox.

    ``adopted_files``: left by processes that have ended, and waiting or being sent (a living process's may be among
    those that wait); an event that `publish --spool` has left in a file of its own counts as one.  ``aside_files``:
    events that were not sent, with the reason; `bus-amqp forward --again` sends them.  ``damaged_files``: could not be
    read to their end; for the operator to look at and remove.  ``moved_aside``: events, by this process.  ``fault``:
    what went wrong last with the disk, if it still does.
    """

    directory: str
    adopted_files: int = 0
    aside_files: int = 0
    damaged_files: int = 0
    moved_aside: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PublisherHealth:
    """``waiting``: accepted events without a confirm; ``reason``: why it is not open, or does not get on (or empty).

    Open and not getting on: confirms that do not come, and events that the broker refused in the last minute.

    ``outbox``: its directory, if it is on disk.
    """

    state: BusState
    waiting: int
    waiting_bytes: int
    reason: str = ""
    outbox: OutboxHealth | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionHealth:
    """``is_consuming`` means that the broker has said so on the connection that is open now.

    With ``RetryPolicy.keep_order`` also that not too much waits behind events that failed; ``reason`` says so.

    ``backlog``: messages ready in the queue when the last audit looked, at ``audited_at`` (None: none has yet).
    ``slow_handlers``: how many run for longer than ``handler_timeout_seconds`` now.  ``warnings`` need attention,
    but a restart would not help.
    """

    subscription_id: UUID
    queue: str
    is_consuming: bool
    running: int
    waiting: int
    reason: str = ""
    gaps: tuple[Gap, ...] = ()
    backlog: int | None = None
    audited_at: datetime | None = None
    slow_handlers: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """True in a condition when publishing works and every subscription is consuming."""

    state: BusState
    broker: str
    publisher: PublisherHealth
    subscriptions: tuple[SubscriptionHealth, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether publishing works and every subscription is consuming; warnings do not count."""
        return (
            self.state is BusState.OPEN
            and not self.publisher.reason
            and all(one.is_consuming for one in self.subscriptions)
        )

    def __bool__(self) -> bool:
        return self.is_healthy


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """Counts since ``subscribe``.  ``filtered``: brought by a coarse binding and acknowledged unseen.

    ``spared``: delivered again after they had been handled, and acknowledged without a second call.
    ``slow``: handlers that took longer than ``handler_timeout_seconds``.
    ``retried``: attempts that were not the last, and what ``RetryLater`` put off.
    """

    delivered: int = 0
    handled: int = 0
    filtered: int = 0
    discarded: int = 0
    dead_lettered: int = 0
    spared: int = 0
    slow: int = 0
    retried: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since ``connect``.  ``resent``: sent again after a lost connection or a rejection."""

    accepted: int = 0
    confirmed: int = 0
    failed: int = 0
    resent: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    reconnects: int = 0
    subscriptions: dict[UUID, SubscriptionStats] = field(default_factory=dict)
