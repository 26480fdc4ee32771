"""The two kinds of channel that a connection opens.  Used by the connection's own thread only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bus_amqp.wire.message import Message


class PublishChannel(Protocol):
    """A channel in confirm mode.  Sequences start at 1 with every channel."""

    def send(self, messages: Sequence[Message]) -> None:
        """Queue the batch for sending, in order; the n-th message ever sent on this channel has sequence n.

        Never blocks: what the socket does not take is kept and sent by ``turn``.  Raises
        ``InvalidArgumentError`` for a message that the protocol cannot carry; then none of the batch is sent.
        """

    @property
    def unsent_bytes(self) -> int:
        """Bytes kept because the socket would not take them: stop sending above a bound."""

    def close(self) -> None:
        """Close the channel (deadline: the connection's)."""


class ConsumeChannel(Protocol):
    """A channel with one consumer on one queue."""

    def accept(self, tags: Sequence[int]) -> None:
        """Acknowledge these deliveries, in any order, in as few frames as possible.  Never blocks."""

    def discard(self, tags: Sequence[int]) -> None:
        """Reject these deliveries without requeue: the queue's own dead-lettering takes them.  Never blocks."""

    def stop(self) -> None:
        """End the consumer: nothing more comes, and what is unsettled stays in the hand until ``close``.

        For who holds a queue through several channels, and wants to give back in order: what one channel gives
        back must not be delivered to another.  Never before giving back to other consumers (see ``close``).
        """

    @property
    def settled_at(self) -> float:
        """When the broker has surely taken what was settled (monotonic seconds): a quorum queue may lose it before."""

    def close(self) -> None:
        """Close the channel without cancelling first: the broker requeues what is unsettled, in order."""
