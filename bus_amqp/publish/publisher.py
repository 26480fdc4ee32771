"""``Publisher``: moves entries from the outbox to the broker and settles them.

The client of the ``bus-publisher`` loop; every method but ``counts`` runs on that thread.  Sends in batches,
keeps at most ``confirm_window`` messages unconfirmed, sends again what a lost connection left open, and what the
broker left without an answer for too long.  A message that the broker refuses for good fails alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from operator import attrgetter

from bus_amqp.errors import (
    AccessRefusedError,
    BrokerRefusedError,
    ChannelLostError,
    EventBusException,
    InvalidArgumentError,
    NotFoundOnBrokerError,
    TransportError,
)
from bus_amqp.publish.confirm_deadline import ConfirmDeadline
from bus_amqp.publish.confirms import ConfirmTracker
from bus_amqp.publish.isolation import Isolation
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.publish.outcomes import Outcomes, PublisherCounts
from bus_amqp.publish.rejections import Rejections
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import Connection
from bus_amqp.transport.channel import PublishChannel
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Rejected, Returned, Signal, Unblocked

logger = logging.getLogger("bus_amqp.publish")

BATCH_EVENTS = 512  # large enough to amortise a write, small enough that confirms are read in between
UNSENT_BYTES = 1024 * 1024  # what the socket has not taken: beyond it, sending more only costs memory
IDLE_SECONDS = 3600.0  # nothing to do until woken; the connection sees to its heartbeats itself
UNSENT_LOOK_SECONDS = 1.0  # a socket that takes bytes again ends no turn, and the confirm deadline must go on
SLOW_SECONDS = 5.0  # without an answer for so long: worth telling
_number = attrgetter("number")


class Publisher:
    """Owns the confirm tracker and the publish channel of the connection that is open."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        window: int,
        confirm_timeout_seconds: float,
        plan: Plan | None,
        on_failed: Callable[[Entry], None],
        on_exchange_gone: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox = outbox
        self._window = window
        self._plan = plan  # None: the user has no right to declare, or need not
        self._on_exchange_gone = on_exchange_gone  # told its name, or nothing; bindings went with it
        self._patience_seconds = confirm_timeout_seconds
        self._clock = clock
        self._outcomes = Outcomes(outbox, on_failed=on_failed, clock=clock)
        self._confirms = ConfirmTracker()
        self._deadline = ConfirmDeadline(confirm_timeout_seconds, clock)
        self._isolation = Isolation()
        self._rejections = Rejections(clock)
        self._connection: Connection | None = None
        self._channel: PublishChannel | None = None  # None on an open connection: to be opened with the next turn
        self._was_open = False
        self._missing_since: float | None = None  # when the broker first said that there is no such exchange
        self._is_blocked = False
        self._rejected: list[Entry] = []  # to be sent again once the window is empty, so that order holds
        self._highest_taken = outbox.lowest_number

    def __repr__(self) -> str:
        return f"<Publisher {len(self._confirms)} unconfirmed of {self._outbox!r}>"

    @property
    def complaint(self) -> str:
        """What is wrong although there is a connection, for people; empty: nothing.  From any thread."""
        waited, count = self._deadline.silent_seconds, len(self._confirms)
        if count and waited >= min(SLOW_SECONDS, self._patience_seconds) and not self._is_blocked:
            return f"{count} events unconfirmed for {waited:.0f} s: is a queue without a majority?"
        return self._rejections.complaint or self._outcomes.told_refusals

    @property
    def counts(self) -> PublisherCounts:
        """Counts since the start.  From any thread."""
        return self._outcomes.counts

    def opened(self, connection: Connection) -> None:
        """Declare and open the channel; what was unconfirmed already waits in the outbox again."""
        if self._plan is not None:
            self._declare(connection, self._plan)
        self._channel = connection.publish_channel()
        self._connection = connection
        self._was_open = True

    def _declare(self, connection: Connection, plan: Plan) -> None:
        try:
            connection.declare(plan)
        except AccessRefusedError:
            if not self._was_open:
                raise  # ``connect`` tells it
            # It was there and is gone, and we may not make it: what is published now decides (``_exchange_is_gone``).

    def prepare(self) -> float:
        """Send what may be sent now."""
        return min(self._go_on(), self._tend())

    def _tend(self) -> float:
        for entry, error in self._outbox.overdue():
            self._outcomes.fail(entry, error, self._settled_through(entry))
        return self._outbox.tend()

    def _go_on(self) -> float:
        if self._connection is None or self._is_blocked:
            self._deadline.look(self._confirms.oldest_open, is_standing=True)
            return IDLE_SECONDS
        channel = self._channel
        if channel is None:
            channel = self._channel = self._connection.publish_channel()
        pause_seconds = self._send_waiting(channel)
        is_full = channel.unsent_bytes > 0  # then it is the heartbeat that tells whether the broker is alive
        left_seconds = self._deadline.look(self._confirms.oldest_open, is_standing=is_full)
        if left_seconds <= 0:
            self._discard(channel)
            return 0.0
        return min(pause_seconds, UNSENT_LOOK_SECONDS if is_full else left_seconds)

    def _send_waiting(self, channel: PublishChannel) -> float:
        if self._rejections.pause_seconds > 0:
            return self._rejections.pause_seconds  # something else has woken us
        if self._rejected:
            # The window settles first, so that order holds.
            return IDLE_SECONDS if len(self._confirms) else self._send_rejected_again(channel)
        window = self._window
        if (batch := self._isolation.batch_events) is not None:
            if len(self._confirms):
                return IDLE_SECONDS  # one batch at a time
            window = min(window, batch)
        while (room := window - len(self._confirms)) > 0 and channel.unsent_bytes < UNSENT_BYTES:
            entries = self._outbox.take(min(room, BATCH_EVENTS))
            if not entries:
                break
            self._highest_taken = entries[-1].number
            self._send(channel, entries)
            if len(entries) == BATCH_EVENTS:
                return 0.0  # read confirms before encoding more
        return IDLE_SECONDS

    def _discard(self, channel: PublishChannel) -> None:
        """Send everything unconfirmed again, on another channel: a late confirm must not be credited to a resend."""
        logger.warning(
            "%d messages are unconfirmed, the oldest for %.0f s: they are sent again; is a queue without a majority?",
            len(self._confirms), self._deadline.waited_seconds,
        )  # fmt: skip
        self._channel = None
        self._deadline.restart(is_resend=True)
        self._take_back()
        channel.close()

    def _send(self, channel: PublishChannel, entries: list[Entry]) -> None:
        self._confirms.register(entries)
        try:
            channel.send([entry.message for entry in entries])
        except InvalidArgumentError as exc:
            # One message cannot be written in AMQP (a foreign header in a copy, say): it fails, the others go.
            self._confirms.withdraw(entries)
            if len(entries) == 1:
                self._outcomes.fail(entries[0], exc, self._settled_through(entries[0]))
                return
            for position, entry in enumerate(entries):
                try:
                    self._send(channel, [entry])
                except TransportError:
                    self._outbox.restore(entries[position + 1 :])  # registered nowhere, and ``lost`` comes next
                    raise

    def _send_rejected_again(self, channel: PublishChannel) -> float:
        # On another channel: one that has met a quorum queue without a leader rejects for ever (RabbitMQ 3.10).
        self._channel = None
        self._take_back()
        self._isolation.probe()  # of many in flight the broker could take a later one first
        channel.close()
        return self._rejections.begin_pause()

    def _restore(self, entries: list[Entry]) -> None:
        if entries:
            self._outcomes.counts.resent += len(entries)
            self._highest_taken = entries[0].number - 1
            self._outbox.restore(entries)

    def handle(self, signals: Sequence[Signal]) -> None:
        """Settle what the broker answered.  Raises ``ChannelLostError``: the loop starts afresh."""
        settled: list[Entry] = []
        closed: EventBusException | None = None
        rejected_before = len(self._rejected)
        channel = self._channel
        for signal in signals:
            match signal:
                case Blocked():
                    self._is_blocked = True
                case Unblocked():
                    self._is_blocked = False
                    self._deadline.restart(is_resend=False)  # what piled up meanwhile takes its time
                case _ if signal.channel is not channel:
                    pass  # of a channel that was given up: its numbers mean other messages now
                case Confirmed():
                    settled += self._confirms.settle(signal.sequence, multiple=signal.multiple)
                case Rejected():
                    self._rejected += self._confirms.settle(signal.sequence, multiple=signal.multiple)
                case Returned():
                    entries = self._confirms.find_returned(signal.exchange, signal.routing_key, signal.message_id)
                    self._outcomes.note_returned(entries, signal)
                case ChannelClosed():
                    closed = signal.error
        self._rejections.note(self._rejected[rejected_before:], has_confirmed=bool(settled))
        if settled:
            self._outcomes.confirm(settled, self._settled_through())
            if self._missing_since is not None and not all(entry.is_copy for entry in settled):
                self._missing_since = None
        if closed is not None:
            self._channel_is_closed(closed)
        elif self._isolation.batch_events is not None and not len(self._confirms):
            self._isolation.passed()

    def _channel_is_closed(self, error: EventBusException) -> None:
        self._channel = None
        if isinstance(error, NotFoundOnBrokerError):
            self._exchange_is_gone(error)
        elif isinstance(error, BrokerRefusedError) and (count := len(self._confirms)):
            is_found = self._isolation.refused(count)
            culprits = self._confirms.reset() if is_found else []
            self._take_back()
            for culprit in culprits:
                self._outcomes.refuse(culprit, error, self._settled_through(culprit))
            return  # the connection is well: the next turn opens another channel
        raise ChannelLostError(f"the broker closed the publish channel: {error}") from error

    def _exchange_is_gone(self, error: NotFoundOnBrokerError) -> None:
        """Fail what cannot be sent any more; the rest is sent when the exchange is there again.

        Copies at once: they name an exchange that only their subscription can declare again, and sent again they
        would cost every new channel.  Events once the exchange has been missing for as long as a confirm may take: by
        then nobody has made it, and we may not.
        """
        now = self._clock()
        self._missing_since = now if self._missing_since is None else self._missing_since
        entries = [*self._confirms.reset(), *self._rejected]
        self._rejected = []
        is_over = now - self._missing_since >= self._patience_seconds and not any(entry.is_copy for entry in entries)
        failing = sorted([entry for entry in entries if entry.is_copy or is_over], key=_number)
        self._restore(sorted([entry for entry in entries if not (entry.is_copy or is_over)], key=_number))
        for entry in failing:
            self._outcomes.refuse(entry, error, self._settled_through(entry))
        self._on_exchange_gone(error.exchange)

    def _settled_through(self, failing: Entry | None = None) -> int:
        """Return up to which number all is settled, counting ``failing``, behind which there may be more in hand."""
        oldest = self._confirms.oldest_open
        bound = self._highest_taken if oldest is None else oldest.number - 1
        if failing is not None:
            bound = min(bound, failing.number)
        return min([bound, *(entry.number - 1 for entry in self._rejected)])

    def leaving(self) -> None:
        """Nothing: what is not confirmed is reported, and sending more of it now would only make that untrue."""

    def offline(self) -> None:
        """Nothing can be sent; the outbox keeps it, and has its chores."""
        self._tend()

    def lost(self) -> None:
        """Put everything unconfirmed back into the outbox, in order."""
        self._connection = self._channel = None
        self._is_blocked = False
        self._deadline.restart(is_resend=False)
        self._rejections.end()  # the next node may take them
        self._take_back()

    def _take_back(self) -> None:
        self._outcomes.forget_returned()
        self._restore(sorted([*self._confirms.reset(), *self._rejected], key=_number))
        self._rejected = []

    def is_finished(self) -> bool:
        """Return whether nothing accepted is left to send."""
        return self._outbox.open_events == 0

    def fail_all(self, error: EventBusException) -> int:
        """Fail what is left, after the loop has ended; return how many."""
        entries = self._outbox.take(self._outbox.open_events)
        for entry in entries:
            entry.receipt.settle(error)
        self._outcomes.count_failed(entries)
        return len(entries)  # their places stay taken: a flush that waits is to end with this number, not with none
