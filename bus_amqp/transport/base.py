"""The seam between the pipelines and broker technology.

A ``Connection`` belongs to the thread that opened it; only ``wake`` may be called from another one.
Everything moves in batches: one ``send`` for many messages, one ``turn`` for many deliveries, one
``settle`` for many acknowledgements.  Every error that leaves a transport is one of
``bus_amqp.errors``: ``ConnectionLostError`` when the connection is of no use any more (call
``close``, open another), ``BrokerRefusedError`` and its kind for a "no" to one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bus_amqp.topology.plan import Plan
from bus_amqp.transport.channel import ConsumeChannel, PublishChannel
from bus_amqp.transport.signals import Signal


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a passive declare tells: messages ready and consumers attached."""

    ready: int
    consumers: int


class Connection(Protocol):
    """One connection to one broker node, owned by one thread."""

    def declare(self, plan: Plan) -> None:
        """Make sure that the plan's objects and bindings exist.

        Where declaring is not allowed, an object that exists is accepted as it is.  Raises
        ``TopologyMismatchError`` for an object with other arguments, ``AccessRefusedError``.
        """

    def delete_queue(self, queue: str) -> None:
        """Delete a queue with what is in it.  A queue that is not there is no error."""

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange and all bindings to it.  One that is not there is no error."""

    def queue_state(self, queue: str) -> QueueState | None:
        """Look at a queue.  None: it is not there."""

    def publish_channel(self) -> PublishChannel:
        """Open a channel in confirm mode."""

    def consume_channel(self, queue: str, prefetch: int, *, consumer_tag: str = "") -> ConsumeChannel:
        """Open a channel and consume; returns once the broker has said so.  ``NotFoundOnBrokerError``: no queue."""

    def turn(self, timeout_seconds: float) -> Sequence[Signal]:
        """Wait until something arrived, ``wake`` was called or the time is over; send and receive what is there.

        Heartbeats are sent and watched here, so call it at least twice per heartbeat.
        """

    def wake(self) -> None:
        """End the current ``turn`` (or the next one) early.  From any thread; cheap; may be called after close."""

    def close(self) -> None:
        """Send what is kept, say goodbye, free the socket; at most a few seconds, never raises."""

    @property
    def broker(self) -> str:
        """What answered, for people: ``RabbitMQ 4.0.5 at 127.0.0.1:5672``.  Never a password."""


class Connector(Protocol):
    """Knows one broker address and how to get in."""

    def connect(self, role: str) -> Connection:
        """Open a connection; ``role`` (publisher, consumer, control) ends up in its name on the broker.

        Raises ``ConnectionLostError`` (not reached within the connect timeout), ``AccessRefusedError``,
        ``BrokerRefusedError`` for a certificate that is not accepted.
        """

    def abort(self, role: str) -> None:
        """End the ``connect`` of that role, or the request on its connection, that another thread waits for.

        It raises ``ConnectionLostError`` at once, and so does every one that follows: the bus is closing.
        """

    @property
    def address(self) -> str:
        """Host and port for people.  Never a password."""
