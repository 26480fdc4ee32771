"""What a connection tells the thread that owns it: values, returned by ``Connection.turn``.

``channel`` is the object that ``publish_channel()`` or ``consume_channel()`` returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bus_amqp.errors import EventBusException
from bus_amqp.transport.channel import ConsumeChannel, PublishChannel
from bus_amqp.wire.message import Delivery


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The broker has taken responsibility for message ``sequence`` (``multiple``: and all before it)."""

    channel: PublishChannel
    sequence: int
    multiple: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """The broker could not store message ``sequence`` (``multiple``: nor all open ones before it)."""

    channel: PublishChannel
    sequence: int
    multiple: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """A mandatory message matched no queue.  Its ``Confirmed`` follows; it means *not stored*."""

    channel: PublishChannel
    exchange: str
    routing_key: str
    message_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Messages of one channel, in queue order."""

    channel: ConsumeChannel
    deliveries: Sequence[Delivery]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The broker ended the consumer of this channel (queue deleted, node lost).  Nothing more comes."""

    channel: ConsumeChannel


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The broker closed one channel with an error; the connection goes on.  The channel must be rebuilt."""

    channel: ConsumeChannel | PublishChannel
    error: EventBusException


@dataclass(frozen=True, slots=True)
class Blocked:
    """The broker takes no more publishes on this connection until it says ``Unblocked``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unblocked:
    """The broker takes publishes again."""


Signal = Confirmed | Rejected | Returned | Deliveries | Cancelled | ChannelClosed | Blocked | Unblocked
