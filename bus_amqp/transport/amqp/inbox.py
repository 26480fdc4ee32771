"""``Inbox``: collects the signals for the next ``turn``.

Pure.  What was met while a request waited for its answer waits here too.  Knows which channel object stands
behind a channel number; what comes for a number that nobody has is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

from bus_amqp.errors import EventBusException
from bus_amqp.transport.amqp.frames import Bounced, Delivered, Settled
from bus_amqp.transport.channel import ConsumeChannel, PublishChannel
from bus_amqp.transport.signals import (
    Cancelled,
    ChannelClosed,
    Confirmed,
    Deliveries,
    Rejected,
    Returned,
    Signal,
)
from bus_amqp.wire.message import Delivery


class Inbox:
    """Signals in order of arrival; the deliveries of one channel are merged into one signal."""

    def __init__(self) -> None:
        self._publishers: dict[int, PublishChannel] = {}
        self._consumers: dict[int, ConsumeChannel] = {}
        self._signals: list[Signal] = []
        self._batches: dict[int, list[Delivery]] = {}  # by channel: the list of a signal that can still grow

    def __bool__(self) -> bool:
        return bool(self._signals)

    def __repr__(self) -> str:
        return f"<Inbox {len(self._signals)} signals, {len(self._publishers) + len(self._consumers)} channels>"

    def add_publisher(self, number: int, channel: PublishChannel) -> None:
        """Know the channel behind a number."""
        self._publishers[number] = channel

    def add_consumer(self, number: int, channel: ConsumeChannel) -> None:
        """Know the channel behind a number."""
        self._consumers[number] = channel

    def add(self, item: Delivered | Settled | Bounced) -> None:
        """Take what the parser found."""
        if type(item) is Delivered:
            self.deliver(item.channel, item.deliveries)
        elif type(item) is Settled:
            self.settle(item.channel, item.sequence, is_multiple=item.is_multiple, is_stored=item.is_stored)
        elif type(item) is Bounced:
            self.bounce(item)

    def add_signal(self, signal: Signal) -> None:
        """Take a signal that concerns the whole connection."""
        self._signals.append(signal)

    def deliver(self, number: int, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries of one channel."""
        batch = self._batches.get(number)
        if batch is not None:
            batch.extend(deliveries)
        elif (channel := self._consumers.get(number)) is not None:
            self._batches[number] = batch = list(deliveries)
            self._signals.append(Deliveries(channel, batch))

    def settle(self, number: int, sequence: int, *, is_multiple: bool, is_stored: bool) -> None:
        """Take a publisher confirm or its refusal."""
        channel = self._publishers.get(number)
        if channel is not None:
            self._signals.append((Confirmed if is_stored else Rejected)(channel, sequence, is_multiple))

    def bounce(self, item: Bounced) -> None:
        """Take a message that no queue wanted."""
        channel = self._publishers.get(item.channel)
        if channel is not None:
            self._signals.append(Returned(channel, item.exchange, item.routing_key, item.message_id, item.reason))

    def cancel(self, number: int) -> None:
        """Note that the broker ended the consumer of a channel."""
        self._batches.pop(number, None)
        channel = self._consumers.get(number)
        if channel is not None:
            self._signals.append(Cancelled(channel))

    def lose(self, number: int, error: EventBusException) -> None:
        """Note that the broker closed a channel."""
        self._batches.pop(number, None)
        channel = self._publishers.pop(number, None) or self._consumers.pop(number, None)
        if channel is not None:
            self._signals.append(ChannelClosed(channel, error))

    def forget(self, number: int) -> None:
        """Drop a channel that we closed, with its signals: the broker has taken back what they speak of."""
        self._batches.pop(number, None)
        channel = self._publishers.pop(number, None) or self._consumers.pop(number, None)
        if channel is not None:
            self._signals = [one for one in self._signals if getattr(one, "channel", None) is not channel]

    def take(self) -> Sequence[Signal]:
        """Return all signals, oldest first, and begin anew."""
        signals, self._signals = self._signals, []
        self._batches.clear()
        return signals
