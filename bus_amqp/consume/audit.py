"""Compare what a subscription should see with what is on its queue, and decide.  Pure: no thread, no clock, no I/O.

A *ghost consumer* is one whose process believes that it consumes while the broker delivers nothing to it.  The
consumer thread asks every ``audit_seconds``; the control connection looks.  Rules: one look proves nothing (the
answer may be older than a delivery that is on its way), so a suspicion is looked at again; a healthy
subscription is never disturbed, because a new session has the broker deliver again what is in hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.health import Gap
from bus_amqp.transport.base import QueueState

SECOND_LOOK_SECONDS = (
    1.0  # after "no consumer at all": a stale answer of a broker that is changing leaders is over by then
)
LOOKS = 2  # in a row, without a delivery between them
MOST_LOOKS = 16  # a new session that changed nothing is not tried every minute for ever


class Finding(Enum):
    """What a look has shown."""

    WELL = auto()
    SUSPICIOUS = auto()  # look again soon
    GONE = auto()  # there is no such queue
    UNKNOWN = auto()  # the queue has no consumer at all, though we consume
    SILENT = auto()  # messages wait, we have room, nobody else explains it, and nothing comes


@dataclass(frozen=True, slots=True)
class Situation:
    """What the consumer thread knows of the session at the moment of judging.

    ``delivered`` counts up over all sessions; ``unsettled`` is what of this session the broker still counts as ours.
    ``is_active``: something was delivered in this session, so we are no standby.
    """

    delivered: int
    unsettled: int
    prefetch: int
    is_active: bool


class Audit:
    """The looks at one queue.  Written by the consumer thread; the health fields are read by any.

    ``has_standby``: other processes may consume, and only one of them gets anything.
    """

    def __init__(self, *, has_standby: bool = False, backlog_warning: int = 100_000) -> None:
        self._has_standby = has_standby
        self._backlog_warning = backlog_warning
        self.backlog: int | None = None  # messages ready at the last look
        self.looked_at: datetime | None = None  # when the last look succeeded
        self.error = ""  # why the last one did not
        self._unbound_since: datetime | None = (
            None  # the exchange of others is gone; when it was last known to be there
        )
        self._unknown_looks = 0
        self._silent_looks = 0
        self._delivered = -1  # at the last look
        self._patience = LOOKS

    def __repr__(self) -> str:
        return f"<Audit {self.backlog} ready, {self._silent_looks} silent and {self._unknown_looks} unknown looks>"

    @property
    def has_backlog(self) -> bool:
        """Whether more messages wait than ``backlog_warning``."""
        return self.backlog is not None and self.backlog > self._backlog_warning

    def warnings(self) -> Iterator[str]:
        """Say what the last look has found, for people."""
        if self.has_backlog:
            yield f"{self.backlog} events wait in the queue"
        if self.error:
            yield f"the queue could not be looked at: {self.error}"

    def failed(self, error: Exception) -> None:
        """Note a look that could not be had.  It says nothing about the queue.

        But where something was not there, it was not the queue: the exchange of others to which that is bound.
        """
        self.error = str(error)
        if isinstance(error, NotFoundOnBrokerError) and self._unbound_since is None:
            self._unbound_since = self.looked_at or datetime.now(UTC)

    def bound_again(self) -> Gap | None:
        """Return, once, the time without bindings that a look has just ended: it makes them before it looks."""
        since, self._unbound_since = self._unbound_since, None
        return None if since is None else Gap(since, datetime.now(UTC))

    def began(self) -> None:
        """Note a new session: what was suspected of the last one is over."""
        self._unknown_looks = self._silent_looks = 0

    def judge(self, state: QueueState | None, now: Situation) -> Finding:
        """Return what this look, after those before it, means."""
        self.error = ""
        self.looked_at = datetime.now(UTC)
        if state is None:
            self.backlog = None
            return Finding.GONE
        self.backlog = state.ready
        if now.delivered != self._delivered:  # whatever the broker says of itself: it delivers to us
            self._delivered, self._patience = now.delivered, LOOKS
            self.began()
        self._unknown_looks = 0 if state.consumers else self._unknown_looks + 1
        self._silent_looks = self._silent_looks + 1 if self._is_starving(state, now) else 0
        if max(self._unknown_looks, self._silent_looks) < self._patience:
            return Finding.SUSPICIOUS if self._unknown_looks else Finding.WELL
        finding = Finding.SILENT if state.consumers else Finding.UNKNOWN
        self._patience = min(MOST_LOOKS, 2 * self._patience)
        return finding

    def _is_starving(self, state: QueueState, now: Situation) -> bool:
        if not state.ready or 2 * now.unsettled > now.prefetch:
            return False
        # Who stands by is silent rightly.  The queue's count does not tell: a quorum queue's has only the active one.
        return not self._has_standby or now.is_active
