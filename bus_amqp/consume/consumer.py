"""``Consumer``: keeps every subscription consuming, and carries deliveries in and settlements out.

The client of the ``bus-consumer`` loop; every method but ``post`` runs on that thread.  A fault of one
subscription (queue deleted, channel closed by the broker) is repaired without touching the others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from bus_amqp.consume.audit import SECOND_LOOK_SECONDS, Finding
from bus_amqp.consume.consumption import Attach, Audited, Consumption, Detach, Letter, RestoreFailed
from bus_amqp.consume.exclusive import declare_exclusive
from bus_amqp.consume.outage import earliest
from bus_amqp.errors import (
    BusClosedError,
    ChannelLostError,
    ConnectionLostError,
    EventBusException,
)
from bus_amqp.ioloop.mailbox import Mailbox
from bus_amqp.transport.base import Connection
from bus_amqp.transport.signals import Cancelled, ChannelClosed, Deliveries, Signal

logger = logging.getLogger("bus_amqp.consume")

# What workers have finished is collected at least so often, even while one hangs before it has said "settle soon".
IDLE_SECONDS = 1.0


class Consumer:
    """Owns the consumptions and their channels on the connection that is open."""

    def __init__(
        self,
        wake: Callable[[], None],
        restore: Callable[[Consumption], None],
        inspect: Callable[[Consumption, int], bool],
        *,
        audit_seconds: float = 30.0,
        look_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._mailbox: Mailbox[Letter] = Mailbox(wake)
        self._restore = restore  # has the queue made again; answers with Attach or RestoreFailed
        self._inspect = inspect  # has the queue looked at; True: answers with Audited
        self._audit_seconds = audit_seconds
        self._look_seconds = look_seconds  # how often audits and slow handlers are thought of
        self._look_at = 0.0  # monotonic
        # One at a time: a queue that does not answer must not hold up what other subscriptions ask for.
        self._is_inspecting = False
        self._connection: Connection | None = None
        self._consumptions: dict[UUID, Consumption] = {}
        self._by_channel: dict[int, Consumption] = {}  # id() of the channel object
        self._leaving: list[Detach] = []

    def __repr__(self) -> str:
        return f"<Consumer {len(self._by_channel)} of {len(self._consumptions)} consuming>"

    def post(self, letter: Letter) -> None:
        """Leave a letter.  Any thread."""
        self._mailbox.put(letter)

    def opened(self, connection: Connection) -> None:
        """Have the queues of all subscriptions looked after; each consumes as soon as its own is there."""
        self._connection = connection
        for consumption in self._consumptions.values():
            consumption.outage.retry_at = None
            self._restore(consumption)

    def prepare(self) -> float:
        """Work through the mailbox, then send settlements, one write for each subscription that has some."""
        for letter in self._mailbox.drain():
            match letter:
                case Attach():
                    self._attach(letter)
                case RestoreFailed():
                    if _still_holds(letter):
                        self._failed(letter.consumption, letter.error)
                case Detach():
                    self._leaving.append(letter)
                case Audited():
                    self._audited(letter)
        for consumption in self._consumptions.values():
            consumption.settle()
            if consumption.caution.is_careful:
                self._end_caution(consumption)
        self._let_go()
        return self._seconds_until_retry()

    def _attach(self, letter: Attach) -> None:
        consumption = letter.consumption
        if consumption.dispatcher.is_closed:
            return  # unsubscribed meanwhile: its Detach has come, or will, and nobody would end it again
        self._consumptions[consumption.subscription_id] = consumption
        if consumption.channel is not None:
            if letter.gap is not None:  # its bindings were gone, its queue and channel were not
                consumption.report_gap(letter.gap)
            return
        gap = consumption.unreported_gap = letter.gap or consumption.unreported_gap
        if self._connection is None:
            return
        try:
            if consumption.plan.is_exclusive:
                gap = declare_exclusive(consumption, self._connection)
            channel = self._connection.consume_channel(
                consumption.queue, consumption.prefetch_now, consumer_tag=str(consumption.subscription_id)
            )
        except ConnectionLostError:
            raise  # everybody's trouble: the loop connects again
        except EventBusException as exc:  # this subscription's own, also an argument that AMQP cannot carry
            self._failed(consumption, exc)
            return
        self._by_channel[id(channel)] = consumption
        consumption.began(channel)
        consumption.audit_at = time.monotonic() + self._audit_seconds
        if gap is not None:
            consumption.report_gap(gap)
        if not consumption.attached.done():
            consumption.attached.set_result(None)

    def _failed(self, consumption: Consumption, error: Exception) -> None:
        is_news = consumption.channel is not None or consumption.reason != str(error)
        if consumption.channel is not None:
            # Also when only a copy failed: a new session has the broker deliver the original again.
            self._close_channel(consumption, str(error))
        if not consumption.attached.done():
            self._consumptions.pop(consumption.subscription_id, None)
            consumption.attached.set_exception(error)
            return
        consumption.reason = str(error)
        consumption.outage.plan_retry(error)
        if is_news:
            logger.warning("%s is not consuming: %s; trying again", consumption.queue, error)

    def _let_go(self) -> None:
        """Detach those whose last acknowledgements the broker has taken."""
        now = time.monotonic()
        for letter in [one for one in self._leaving if one.due_at <= now]:
            self._leaving.remove(letter)
            self._detach(letter.consumption)

    def _detach(self, consumption: Consumption) -> None:
        self._consumptions.pop(consumption.subscription_id, None)
        try:
            consumption.settle()
            self._close_channel(consumption, "unsubscribed")
        finally:  # a connection that is lost here has ended the channel too
            if not consumption.attached.done():  # somebody waits in ``subscribe`` while another closes the bus
                consumption.attached.set_exception(
                    BusClosedError("the bus was closed, or the subscription ended, before it was consuming")
                )
            if not consumption.detached.done():
                consumption.detached.set_result(None)

    def _close_channel(self, consumption: Consumption, reason: str) -> None:
        channel = consumption.channel
        consumption.ended(reason)
        if channel is not None:
            self._by_channel.pop(id(channel), None)
            channel.close()

    def _begin_anew(self, consumption: Consumption, why: str) -> None:
        """Close the channel and consume on a fresh one: the queue is there, so nothing has to be restored."""
        logger.warning("%s: %s", consumption.queue, why)
        self._close_channel(consumption, why)
        self._attach(Attach(consumption))

    def _end_caution(self, consumption: Consumption) -> None:
        if consumption.channel is not None and consumption.caution.may_end(consumption.unsettled):
            consumption.caution.end()
            self._begin_anew(consumption, "its first events have been handled; taking many at a time again")

    def _audited(self, letter: Audited) -> None:
        self._is_inspecting = False
        consumption = letter.consumption
        now = time.monotonic()
        consumption.audit_at = now + self._audit_seconds
        if letter.error is not None:
            consumption.audit.failed(letter.error)
            return
        if consumption.channel is None or letter.session != consumption.dispatcher.session:
            return  # repaired, or ended, since somebody was sent to look
        if consumption.dispatcher.is_closed:
            return
        had_backlog, seen_well_at = consumption.audit.has_backlog, consumption.audit.looked_at
        finding = consumption.audit.judge(letter.state, consumption.situation())
        if (gap := consumption.audit.bound_again()) is not None:
            consumption.report_gap(gap)
        if consumption.audit.has_backlog and not had_backlog:
            logger.warning("%s: %s events wait in the queue", consumption.queue, consumption.audit.backlog)
        match finding:
            case Finding.SUSPICIOUS:
                consumption.audit_at = now + min(self._audit_seconds, SECOND_LOOK_SECONDS)
            case Finding.GONE:
                if seen_well_at is not None:  # the gap began after that, and nobody has told us when
                    consumption.outage.lost_at = seen_well_at.timestamp()
                self._failed(consumption, ChannelLostError("its queue is gone, and nobody has said so"))
            case Finding.UNKNOWN:
                self._failed(consumption, ChannelLostError("the broker knows of no consumer on its queue"))
            case Finding.SILENT:
                self._failed(consumption, ChannelLostError("messages wait, and the broker delivers none of them"))
            case Finding.WELL:
                pass

    def _look_around(self, now: float) -> None:
        """Report slow handlers, and send somebody to look at the queue whose turn it is."""
        self._look_at = now + self._look_seconds
        for consumption in self._consumptions.values():
            for event in consumption.watch.look(now):
                logger.warning(
                    "%s: the handler of event %s (%s of %s) has been running for %g s or more; it is not interrupted",
                    consumption.queue, event.event_id, event.event_type, event.resource_uuid or "no resource",
                    consumption.watch.timeout_seconds,
                )  # fmt: skip
        due = [
            one
            for one in self._consumptions.values()
            if one.channel is not None and (one.audit_at or 0.0) <= now and not one.plan.is_exclusive
        ]
        if due and not self._is_inspecting:
            consumption = min(due, key=lambda one: one.audit_at or 0.0)  # the one that has waited longest
            self._is_inspecting = self._inspect(consumption, consumption.dispatcher.session)

    def _seconds_until_retry(self) -> float:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_around(now)
        for consumption in self._consumptions.values():
            if (consumption.outage.retry_at or math.inf) <= now:
                consumption.outage.retry_at = None
                self._restore(consumption)
        following = earliest(
            [one.outage.retry_at for one in self._consumptions.values()] + [one.due_at for one in self._leaving]
        )
        return self._look_seconds if following is None else min(self._look_seconds, max(0.0, following - now))

    def handle(self, signals: Sequence[Signal]) -> None:
        """Hand deliveries to the dispatchers; look after channels that ended."""
        for signal in signals:
            match signal:
                case Deliveries():
                    consumption = self._by_channel.get(id(signal.channel))
                    if consumption is not None and not consumption.received(signal.deliveries):
                        self._begin_anew(consumption, "its first event has been delivered often; taking one at a time")
                case Cancelled():
                    if (consumption := self._by_channel.get(id(signal.channel))) is not None:
                        consumption.outage.cancelled()
                    self._interrupted(signal.channel, ChannelLostError("the broker cancelled the consumer"))
                case ChannelClosed():
                    self._interrupted(signal.channel, signal.error)
                case _:
                    pass  # a consume connection publishes nothing

    def _interrupted(self, channel: object, error: EventBusException) -> None:
        consumption = self._by_channel.get(id(channel))
        if consumption is None:
            return
        self._failed(consumption, error)

    def leaving(self) -> None:
        """Acknowledge what has been handled since the last turn: a handler that hangs must not have it done again."""
        for consumption in self._consumptions.values():
            consumption.settle()

    def offline(self) -> None:
        """End what is to be ended; a subscription needs no broker for that."""
        for letter in self._mailbox.drain():
            if isinstance(letter, Detach):
                self._leaving.append(letter)
            elif isinstance(letter, Attach) and not letter.consumption.dispatcher.is_closed:
                self._attach(letter)  # notes it: it is consuming once there is a connection
            elif isinstance(letter, Audited):
                self._audited(letter)
        self._let_go()

    def lost(self) -> None:
        """Note that nothing consumes any more; every session ends."""
        self._connection = None
        self._by_channel.clear()
        for consumption in self._consumptions.values():
            consumption.ended("connection lost")

    def is_finished(self) -> bool:
        """Return whether every subscription has been detached."""
        return not self._consumptions


def _still_holds(letter: RestoreFailed) -> bool:
    consumption = letter.consumption
    if consumption.dispatcher.is_closed:
        return False  # its Detach has come, or will
    if letter.session is None:
        return consumption.channel is None  # a later restore may have worked: its channel is not to be closed
    return letter.session == consumption.dispatcher.session
