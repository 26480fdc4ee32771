"""``Consumer``: keeps every subscription consuming, and carries deliveries in and settlements out.

The client of the ``bus-consumer`` loop; every method but ``post`` runs on that thread.  A fault of one
subscription (queue deleted, channel closed by the broker) is repaired without touching the others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from bus_amqp.consume.consumption import Attach, Consumption, Detach, Letter, RestoreFailed, earliest
from bus_amqp.errors import (
    BrokerRefusedError,
    BusClosedError,
    ChannelLostError,
    ConnectionLostError,
    EventBusException,
    InvalidArgumentError,
)
from bus_amqp.health import Gap
from bus_amqp.ioloop.mailbox import Mailbox
from bus_amqp.transport.base import Connection
from bus_amqp.transport.signals import Cancelled, ChannelClosed, Deliveries, Signal

logger = logging.getLogger("bus_amqp.consume")

# What workers have finished is collected at least so often, even while one hangs before it has said "settle soon".
IDLE_SECONDS = 1.0
REFUSED_PAUSE_SECONDS = 5.0  # other arguments or missing rights do not mend themselves in 100 ms


class Consumer:
    """Owns the consumptions and their channels on the connection that is open."""

    def __init__(self, wake: Callable[[], None], restore: Callable[[Consumption], None]) -> None:
        self._mailbox: Mailbox[Letter] = Mailbox(wake)
        self._restore = restore  # has the queue made again; answers with Attach or RestoreFailed
        self._connection: Connection | None = None
        self._consumptions: dict[UUID, Consumption] = {}
        self._by_channel: dict[int, Consumption] = {}  # id() of the channel object

    def __repr__(self) -> str:
        return f"<Consumer {len(self._by_channel)} of {len(self._consumptions)} consuming>"

    def post(self, letter: Letter) -> None:
        """Leave a letter.  Any thread."""
        self._mailbox.put(letter)

    def opened(self, connection: Connection) -> None:
        """Have the queues of all subscriptions looked after; each consumes as soon as its own is there."""
        self._connection = connection
        for consumption in self._consumptions.values():
            consumption.retry_at = None
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
                    self._detach(letter.consumption)
        for consumption in self._consumptions.values():
            consumption.settle()
        return self._seconds_until_retry()

    def _attach(self, letter: Attach) -> None:
        consumption = letter.consumption
        if consumption.dispatcher.is_closed:
            return  # unsubscribed meanwhile: its Detach has come, or will, and nobody would end it again
        self._consumptions[consumption.subscription_id] = consumption
        if consumption.channel is not None:
            if letter.gap is not None:  # its bindings were gone, its queue and channel were not
                _report_gap(consumption, letter.gap)
            return
        gap = consumption.unreported_gap = letter.gap or consumption.unreported_gap
        if self._connection is None:
            return
        try:
            channel = self._connection.consume_channel(
                consumption.queue, consumption.prefetch, consumer_tag=str(consumption.subscription_id)
            )
        except ConnectionLostError:
            raise  # everybody's trouble: the loop connects again
        except EventBusException as exc:  # this subscription's own, also an argument that AMQP cannot carry
            self._failed(consumption, exc)
            return
        self._by_channel[id(channel)] = consumption
        consumption.began(channel)
        if gap is not None:
            _report_gap(consumption, gap)
        if not consumption.attached.done():
            consumption.attached.set_result(None)

    def _failed(self, consumption: Consumption, error: Exception) -> None:
        if consumption.channel is not None:
            # Also when only a copy failed: a new session has the broker deliver the original again.
            self._close_channel(consumption, str(error))
        if not consumption.attached.done():
            self._consumptions.pop(consumption.subscription_id, None)
            consumption.attached.set_exception(error)
            return
        is_refused = isinstance(error, BrokerRefusedError | InvalidArgumentError)
        consumption.reason = str(error)
        consumption.retry_at = time.monotonic() + (
            REFUSED_PAUSE_SECONDS if is_refused else consumption.backoff.next_delay()
        )
        logger.warning("%s is not consuming: %s; trying again", consumption.queue, error)

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

    def _seconds_until_retry(self) -> float:
        now = time.monotonic()
        for consumption in self._consumptions.values():
            if consumption.retry_at is not None and consumption.retry_at <= now:
                consumption.retry_at = None
                self._restore(consumption)
        following = earliest(one.retry_at for one in self._consumptions.values())
        return IDLE_SECONDS if following is None else min(IDLE_SECONDS, max(0.0, following - now))

    def handle(self, signals: Sequence[Signal]) -> None:
        """Hand deliveries to the dispatchers; look after channels that ended."""
        for signal in signals:
            match signal:
                case Deliveries():
                    if (consumption := self._by_channel.get(id(signal.channel))) is not None:
                        consumption.delivered += len(signal.deliveries)
                        consumption.dispatcher.submit(signal.deliveries)
                case Cancelled():
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
                self._detach(letter.consumption)
            elif isinstance(letter, Attach) and not letter.consumption.dispatcher.is_closed:
                self._attach(letter)  # notes it: it is consuming once there is a connection

    def lost(self) -> None:
        """Note that nothing consumes any more; every session ends."""
        self._connection = None
        self._by_channel.clear()
        for consumption in self._consumptions.values():
            consumption.ended("connection lost")

    def is_finished(self) -> bool:
        """Return whether every subscription has been detached."""
        return not self._consumptions


def _report_gap(consumption: Consumption, gap: Gap) -> None:
    consumption.note_gap(gap)
    logger.warning(
        "%s was not bound from %s to %s: events of that time have not reached it",
        consumption.queue, gap.since, gap.until,
    )  # fmt: skip


def _still_holds(letter: RestoreFailed) -> bool:
    consumption = letter.consumption
    if consumption.dispatcher.is_closed:
        return False  # its Detach has come, or will
    if letter.session is None:
        return consumption.channel is None  # a later restore may have worked: its channel is not to be closed
    return letter.session == consumption.dispatcher.session
