"""``BulkPublishChannel``: many messages, one write.  Behind ``transport.channel.PublishChannel``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bus_amqp.errors import ChannelLostError
from bus_amqp.transport.amqp.encoding import PublishEncoder
from bus_amqp.transport.amqp.link import Link
from bus_amqp.wire.message import Message


class BulkPublishChannel:
    """A channel in confirm mode; encodes by itself and hands the bytes to the link's stream."""

    def __init__(self, number: int, link: Link, encoder: PublishEncoder, close: Callable[[], None]) -> None:
        self._number = number
        self._link = link
        self._encoder = encoder
        self._close = close
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<BulkPublishChannel {self._number}{' closed' if self._is_closed else ''}>"

    def send(self, messages: Sequence[Message]) -> None:
        """Send the batch, or keep what the socket does not take.  Raises ``ChannelLostError`` once it is closed.

        Raises ``InvalidArgumentError`` for a message that AMQP cannot carry; then none of the batch is sent.
        """
        if self._is_closed:
            raise ChannelLostError(f"publish channel {self._number} is closed")
        self._link.stream.write(self._encoder.encode(messages))

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the socket has not taken."""
        return self._link.unsent_bytes

    def lost(self) -> None:
        """Note that the broker has closed the channel: one more frame on it would cost the connection."""
        self._is_closed = True

    def close(self) -> None:
        """Close the channel."""
        if not self._is_closed:
            self._is_closed = True
            self._close()
