"""``Publisher``: moves entries from the outbox to the broker and settles them.

The client of the ``bus-publisher`` loop; every method but ``counts`` runs on that thread.  Sends in batches,
keeps at most ``confirm_window`` messages unconfirmed, sends again what a lost connection left open.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bus_amqp.errors import (
    ChannelLostError,
    EventBusException,
    InvalidArgumentError,
    NotFoundOnBrokerError,
    TransportError,
    UnroutableError,
)
from bus_amqp.publish.confirms import ConfirmTracker
from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.receipt import confirm_all
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import Connection
from bus_amqp.transport.channel import PublishChannel
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Rejected, Returned, Signal, Unblocked

logger = logging.getLogger("bus_amqp.publish")

BATCH_EVENTS = 512  # large enough to amortise a write, small enough that confirms are read in between
UNSENT_BYTES = 1024 * 1024  # what the socket has not taken: beyond it, sending more only costs memory
IDLE_SECONDS = 3600.0  # nothing to do until woken; the connection sees to its heartbeats itself
REJECTED_PAUSE_SECONDS = 0.2  # a broker that rejects needs a moment (a full or leaderless queue)


@dataclass(slots=True)
class PublisherCounts:
    """Counts since the start.  Written by the publisher thread, read by any."""

    confirmed: int = 0
    failed: int = 0
    resent: int = 0


class Publisher:
    """Owns the confirm tracker and the publish channel of the connection that is open."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        window: int,
        plan: Plan | None,
        on_failed: Callable[[Entry], None],
        on_exchange_gone: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._window = window
        self._plan = plan  # None: the user has no right to declare, or need not
        self._on_failed = on_failed
        self._on_exchange_gone = on_exchange_gone  # bindings went with it
        self._confirms = ConfirmTracker()
        self._channel: PublishChannel | None = None
        self._is_blocked = False
        self._rejected: list[Entry] = []  # to be sent again once the window is empty, so that order holds
        self._unroutable: dict[int, UnroutableError] = {}  # by id() of an open entry: its confirm means "not stored"
        self._highest_taken = 0
        self.counts = PublisherCounts()

    def __repr__(self) -> str:
        return f"<Publisher {len(self._confirms)} unconfirmed of {self._outbox!r}>"

    def opened(self, connection: Connection) -> None:
        """Declare and open the channel; what was unconfirmed already waits in the outbox again."""
        if self._plan is not None:
            connection.declare(self._plan)
        self._channel = connection.publish_channel()
        self._is_blocked = False

    def prepare(self) -> float:
        """Send what may be sent now."""
        channel = self._channel
        if channel is None or self._is_blocked:
            return IDLE_SECONDS
        if self._rejected:
            if len(self._confirms):
                return IDLE_SECONDS  # let the window settle first
            self._send_rejected_again()
            return REJECTED_PAUSE_SECONDS
        while (room := self._window - len(self._confirms)) > 0 and channel.unsent_bytes < UNSENT_BYTES:
            entries = self._outbox.take(min(room, BATCH_EVENTS))
            if not entries:
                break
            self._highest_taken = entries[-1].number
            self._send(channel, entries)
            if len(entries) == BATCH_EVENTS:
                return 0.0  # read confirms before encoding more
        return IDLE_SECONDS

    def _send(self, channel: PublishChannel, entries: list[Entry]) -> None:
        self._confirms.register(entries)
        try:
            channel.send([entry.message for entry in entries])
        except InvalidArgumentError as exc:
            # One message cannot be written in AMQP (a foreign header in a copy, say): it fails, the others go.
            self._confirms.withdraw(entries)
            if len(entries) == 1:
                self._fail(entries[0], exc)
                return
            for position, entry in enumerate(entries):
                try:
                    self._send(channel, [entry])
                except TransportError:
                    self._outbox.restore(entries[position + 1 :])  # registered nowhere, and ``lost`` comes next
                    raise

    def _fail(self, entry: Entry, error: EventBusException) -> None:
        entry.receipt.settle(error)
        # Those behind it in the batch are neither open nor done yet.
        self._outbox.done(1, entry.size_bytes, min(self._settled_through(), entry.number))
        self._count_failed([entry])

    def _send_rejected_again(self) -> None:
        self._unroutable.clear()  # what came back once may find a queue now
        rejected, self._rejected = sorted(self._rejected, key=lambda entry: entry.number), []
        self._restore(rejected)

    def _restore(self, entries: list[Entry]) -> None:
        if entries:
            self.counts.resent += len(entries)
            self._highest_taken = entries[0].number - 1
            self._outbox.restore(entries)

    def handle(self, signals: Sequence[Signal]) -> None:
        """Settle what the broker answered.  Raises ``ChannelLostError``: the loop starts afresh."""
        settled: list[Entry] = []
        rejected_before = len(self._rejected)
        for signal in signals:
            match signal:
                case Confirmed():
                    settled += self._confirms.settle(signal.sequence, multiple=signal.multiple)
                case Rejected():
                    self._rejected += self._confirms.settle(signal.sequence, multiple=signal.multiple)
                case Returned():
                    self._note_returned(signal)
                case Blocked():
                    self._is_blocked = True
                case Unblocked():
                    self._is_blocked = False
                case ChannelClosed():
                    self._finish(settled)
                    if isinstance(signal.error, NotFoundOnBrokerError):
                        self._exchange_is_gone(signal.error)
                    raise ChannelLostError(f"the broker closed the publish channel: {signal.error}") from signal.error
                case _:
                    pass  # a publish connection has no deliveries
        if len(self._rejected) > rejected_before:  # one line for each turn, not each message
            logger.warning("the broker rejected %d messages; they are sent again", len(self._rejected))
        self._finish(settled)

    def _exchange_is_gone(self, error: NotFoundOnBrokerError) -> None:
        """Fail the copies, which name an exchange that only their subscription can declare again.

        Sent again they would cost every new channel, and nothing of anybody would get through any more.
        """
        entries = self._confirms.reset()
        copies = [entry for entry in entries if entry.is_copy]
        self._restore([entry for entry in entries if not entry.is_copy])
        for entry in copies:
            entry.receipt.settle(error)
        if copies:
            self._outbox.done(len(copies), sum([entry.size_bytes for entry in copies]), self._settled_through())
        self._on_exchange_gone()

    def _note_returned(self, returned: Returned) -> None:
        for entry in self._confirms.find_returned(returned.exchange, returned.routing_key, returned.message_id):
            self._unroutable[id(entry)] = UnroutableError(
                f"no queue takes {returned.routing_key!r} on {returned.exchange!r} ({returned.reason}): not stored"
            )

    def _finish(self, settled: list[Entry]) -> None:
        if not settled:
            return
        failed = []
        try:
            if self._unroutable:
                failed = [entry for entry in settled if id(entry) in self._unroutable]
                for entry in failed:
                    entry.receipt.settle(self._unroutable.pop(id(entry)))
            confirm_all([entry.receipt for entry in settled])  # those that have failed stay so
        finally:  # their places are free whatever a waiter's wake does
            size_bytes = sum([entry.size_bytes for entry in settled])
            self._outbox.done(len(settled), size_bytes, self._settled_through())
        self.counts.confirmed += len(settled) - len(failed)
        self._count_failed(failed)

    def _count_failed(self, entries: Sequence[Entry]) -> None:
        """Count and tell.  Copies are the bus's own business: their subscription hears of it another way."""
        for entry in entries:
            if not entry.is_copy:
                self.counts.failed += 1
                self._on_failed(entry)

    def _settled_through(self) -> int:
        oldest = self._confirms.oldest_open
        bound = self._highest_taken if oldest is None else oldest.number - 1
        return min([bound, *(entry.number - 1 for entry in self._rejected)])

    def leaving(self) -> None:
        """Nothing: what is not confirmed is reported, and sending more of it now would only make that untrue."""

    def offline(self) -> None:
        """Nothing can be sent; the outbox keeps it."""

    def lost(self) -> None:
        """Put everything unconfirmed back into the outbox, in order."""
        self._channel = None
        self._is_blocked = False
        self._unroutable.clear()
        entries = self._confirms.reset()
        if self._rejected:
            entries = sorted([*entries, *self._rejected], key=lambda entry: entry.number)
            self._rejected = []
        self._restore(entries)

    def is_finished(self) -> bool:
        """Return whether nothing accepted is left to send."""
        return self._outbox.open_events == 0

    def fail_all(self, error: EventBusException) -> int:
        """Fail what is left, after the loop has ended; return how many."""
        entries = self._outbox.take(self._outbox.open_events)
        for entry in entries:
            entry.receipt.settle(error)
        self._count_failed(entries)
        return len(entries)  # their places stay taken: a flush that waits is to end with this number, not with none
