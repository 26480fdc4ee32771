"""``MemoryConnection``: the seam of ``bus_amqp.transport.base`` over a ``MemoryBroker``, and its connector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from bus_amqp.errors import BusClosedError, ConnectionLostError
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.memory.broker import MemoryBroker
from bus_amqp.transport.memory.channel import MemoryConsumeChannel, MemoryPublishChannel
from bus_amqp.transport.memory.registry import acquire_broker, release_broker
from bus_amqp.transport.signals import Blocked, Signal, Unblocked

DEFAULT_MAX_BODY_BYTES = 1024 * 1024


class MemoryConnection:
    """One connection.  Its own thread calls the seam's methods; the broker calls the last ones from any thread."""

    def __init__(self, broker: MemoryBroker, role: str, *, exchange: str, max_body_bytes: int) -> None:
        self.role = role
        self._memory_broker = broker
        self._exchange = exchange
        self._max_body_bytes = max_body_bytes
        self._changed = threading.Condition(broker.lock)  # its lock guards everything below
        self._signals: list[Signal] = []  # written under the lock from any thread, taken by turn()
        self._channels: list[MemoryPublishChannel | MemoryConsumeChannel] = []
        self._lost_reason: str | None = None
        self._is_woken = False
        self._is_publishing = False  # RabbitMQ blocks only connections that publish
        self._is_blocked = False
        broker.enter(self)

    def __repr__(self) -> str:
        state = self._lost_reason or ("blocked" if self._is_blocked else "open")
        return f"<MemoryConnection {self.role} {self._memory_broker.address} {state}, {len(self._channels)} channels>"

    @property
    def broker(self) -> str:
        """What answered, for people."""
        return f"in-process broker at {self._memory_broker.address}"

    def declare(self, plan: Plan) -> None:
        """Make sure that the plan's objects and bindings exist."""
        with self._changed:
            self.check()
            self._memory_broker.objects.declare(plan)

    def delete_queue(self, queue: str) -> None:
        """Delete a queue with what is in it."""
        with self._changed:
            self.check()
            self._memory_broker.objects.delete_queue(queue)

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange with its bindings."""
        with self._changed:
            self.check()
            self._memory_broker.objects.exchanges.pop(exchange, None)

    def queue_state(self, queue: str) -> QueueState | None:
        """Look at a queue.  None: it is not there."""
        with self._changed:
            self.check()
            found = self._memory_broker.objects.find_queue(queue)
            return None if found is None else QueueState(found.ready, found.consumers)

    def publish_channel(self) -> MemoryPublishChannel:
        """Open a channel in confirm mode."""
        with self._changed:
            self.check()
            channel = MemoryPublishChannel(self, self._memory_broker, self._exchange)
            self._channels.append(channel)
            return channel

    def consume_channel(self, queue: str, prefetch: int, *, consumer_tag: str = "") -> MemoryConsumeChannel:
        """Open a channel and consume.  The tag is for people who look at a real broker."""
        with self._changed:
            self.check()
            channel = MemoryConsumeChannel(self, self._memory_broker, queue, prefetch, self._max_body_bytes)
            self._channels.append(channel)
            self._memory_broker.objects.dispatch()
            return channel

    def turn(self, timeout_seconds: float) -> Sequence[Signal]:
        """Wait until something arrived, ``wake`` was called or the time is over."""
        with self._changed:
            self._wait_for_news(timeout_seconds)
            self._is_woken = False
            self.check()
            signals, self._signals = self._signals, []
            for channel in tuple(self._channels):
                channel.taken()
            return signals

    def wake(self) -> None:
        """End the current turn (or the next one) early."""
        if self._is_woken:
            return  # not yet seen by a turn, so one more would change nothing; spares publishers the lock
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Give back what is unsettled and leave the broker.  Again: nothing happens."""
        with self._changed:
            if self._lost_reason is None:
                self.lose("connection was closed")
                self._memory_broker.leave(self)
                self._memory_broker.objects.dispatch()

    # --- called by the broker and by channels, lock held ----------------------------------------------------

    def check(self) -> None:
        """Raise ``ConnectionLostError`` if the connection is of no use any more."""
        if self._lost_reason is not None:
            raise ConnectionLostError(f"{self._memory_broker.address}: {self._lost_reason}")

    def signal(self, signal: Signal) -> None:
        """Keep a signal for the next turn."""
        if self._lost_reason is None:
            self._signals.append(signal)
            self._changed.notify_all()

    def drop(self, channel: MemoryPublishChannel | MemoryConsumeChannel) -> None:
        """Forget a channel that is closed."""
        if channel in self._channels:
            self._channels.remove(channel)

    def lose(self, reason: str) -> None:
        """Be cut off: what was not taken by a turn is lost, as what sat in a socket is."""
        self._lost_reason = reason
        self._signals = []
        channels, self._channels = self._channels, []
        for channel in channels:
            channel.lose()
        self._changed.notify_all()

    def may_publish(self) -> bool:
        """Return whether the broker takes publishes of this connection now; from now on it is a publishing one."""
        self._is_publishing = True
        reason = self._memory_broker.blocked_reason
        if reason is not None:
            self.block(reason)
        return not self._is_blocked

    def block(self, reason: str) -> None:
        """Tell the thread that publishes are held."""
        if self._is_publishing and not self._is_blocked:
            self._is_blocked = True
            self.signal(Blocked(reason))

    def unblock(self) -> None:
        """Publish what was held, and tell the thread."""
        if self._is_blocked:
            self._is_blocked = False
            self.signal(Unblocked())
            for channel in tuple(self._channels):
                if isinstance(channel, MemoryPublishChannel):
                    channel.send_held()

    def _wait_for_news(self, timeout_seconds: float) -> None:
        """Wait, and do for the broker what falls due meanwhile: it has no thread of its own.  Lock held."""
        objects = self._memory_broker.objects
        objects.drop_expired()
        deadline = time.monotonic() + timeout_seconds
        while not self._has_news() and (remaining := deadline - time.monotonic()) > 0:
            self._changed.wait(max(0.0, min(remaining, objects.seconds_until_due())))
            objects.drop_expired()

    def _has_news(self) -> bool:
        return bool(self._signals) or self._is_woken or self._lost_reason is not None


class MemoryConnector:
    """Holds the broker of a name from its making to ``close``, across any number of lost connections."""

    def __init__(
        self,
        name: str = "",
        *,
        exchange: str = "bus.events",
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.memory_broker = acquire_broker(name, clock=clock)
        self._exchange = exchange
        self._max_body_bytes = max_body_bytes
        self._is_closed = False
        self._aborted: set[str] = set()  # roles; added to by any thread

    def __repr__(self) -> str:
        return f"<MemoryConnector {self.address}{' closed' if self._is_closed else ''}>"

    @property
    def address(self) -> str:
        """The url of the broker."""
        return self.memory_broker.address

    def connect(self, role: str) -> MemoryConnection:
        """Open a connection.  Raises ``ConnectionLostError`` while the broker is stopped."""
        if self._is_closed:
            raise BusClosedError(f"{self.address}: this connector was closed")
        if role in self._aborted:
            raise ConnectionLostError(f"{self.address} not reached: given up, because the bus is closing")
        return MemoryConnection(self.memory_broker, role, exchange=self._exchange, max_body_bytes=self._max_body_bytes)

    def abort(self, role: str) -> None:
        """Refuse that role further connections.  Nothing waits here, so there is nothing to end."""
        self._aborted.add(role)

    def close(self) -> None:
        """Hold the broker no longer; with its last holder it is gone.  Again: nothing happens."""
        if not self._is_closed:
            self._is_closed = True
            release_broker(self.memory_broker)
