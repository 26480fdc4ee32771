"""``MemoryBroker``: a broker with RabbitMQ's rules in this process, and methods that break it for tests.

It is no server: it has no thread, and everything happens on the thread of the caller, be it a connection's owner
or a test that makes a fault.  It keeps nothing when the process ends.

One lock for the whole broker, because a publish touches the exchange, every queue it leads to and the consumers
of all of them: finer locks would have to be taken in an order that is known only after routing, and in one process
the interpreter's own lock leaves nothing to win.  It is reentrant, because ``wake`` may come from a signal handler.
The conditions of the connections share it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from bus_amqp.errors import ConnectionLostError
from bus_amqp.transport.memory.objects import Objects
from bus_amqp.transport.memory.queue import Arguments
from bus_amqp.transport.signals import Signal


class Client(Protocol):
    """A connection, as the broker sees it.  All methods are called with the broker's lock held."""

    @property
    def role(self) -> str:
        """What it was opened for: publisher, consumer, control."""

    def signal(self, signal: Signal) -> None:
        """Hear this at the next turn."""

    def lose(self, reason: str) -> None:
        """Be cut off, and give back what is unsettled."""

    def block(self, reason: str) -> None:
        """Publish no more until ``unblock``."""

    def unblock(self) -> None:
        """Publish what was held."""


class MemoryBroker:
    """Connections, faults, and a look inside.  Thread-safe; ``lock`` is held by who uses ``objects``."""

    def __init__(self, name: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.lock = threading.RLock()
        # Everything below is guarded by the lock.
        self.objects = Objects(self.address, clock)
        self.blocked_reason: str | None = None  # written by block() and unblock(), read by connections
        self._clients: list[Client] = []
        self._is_running = True
        self._held_answers: list[tuple[Client, Signal]] | None = None  # None: confirms are not held
        self._rejections = 0

    def __repr__(self) -> str:
        return f"<MemoryBroker {self.address} {self.objects!r}, {len(self._clients)} connections>"

    @property
    def address(self) -> str:
        """The url of this broker."""
        return f"memory://{self.name}"

    # --- for connections ----------------------------------------------------------------------------------

    def enter(self, client: Client) -> None:
        """Add a connection.  Raises ``ConnectionLostError`` while the broker is stopped."""
        with self.lock:
            if not self._is_running:
                raise ConnectionLostError(f"{self.address} is stopped: nothing answers there")
            self._clients.append(client)

    def leave(self, client: Client) -> None:
        """Forget a connection."""
        with self.lock:
            if client in self._clients:
                self._clients.remove(client)

    def answer(self, client: Client, signal: Signal) -> None:
        """Tell a connection what became of its publishes, unless answers are held.  Lock held."""
        if self._held_answers is None:
            client.signal(signal)
        else:
            self._held_answers.append((client, signal))

    def takes_next(self) -> bool:
        """Return whether the next message is stored, or rejected because a test wants it so.  Lock held."""
        if not self._rejections:
            return True
        self._rejections -= 1
        return False

    # --- faults, for tests --------------------------------------------------------------------------------

    def cut_connections(self, role: str | None = None, *, reason: str = "connection was cut") -> int:
        """Cut all connections (or those of one role): unsettled messages go back.  Return how many."""
        with self.lock:
            lost = [client for client in self._clients if role in (None, client.role)]
            for client in lost:
                client.lose(reason)
                self.leave(client)
            self.objects.dispatch()  # not before: what one gives back must not be handed to another that goes too
            return len(lost)

    def stop(self) -> None:
        """Cut all connections and refuse new ones.  Queues, bindings and messages stay, as on a disk."""
        with self.lock:
            self._is_running = False
            self.blocked_reason = None  # an alarm does not survive a restart
            self.cut_connections(reason="broker was stopped")

    def start(self) -> None:
        """Take connections again."""
        with self.lock:
            self._is_running = True

    def block(self, reason: str) -> None:
        """Raise a resource alarm: connections that have published are told at once, others when they publish."""
        with self.lock:
            self.blocked_reason = reason
            for client in self._clients:
                client.block(reason)

    def unblock(self) -> None:
        """End the alarm: what was held is published now."""
        with self.lock:
            self.blocked_reason = None
            for client in self._clients:
                client.unblock()

    def hold_confirms(self) -> None:
        """Store messages as before but do not answer, until ``release_confirms``."""
        with self.lock:
            if self._held_answers is None:
                self._held_answers = []

    def release_confirms(self) -> None:
        """Give all held answers, in order; those of connections that are gone are lost with them."""
        with self.lock:
            answers, self._held_answers = self._held_answers or [], None
            for client, signal in answers:
                client.signal(signal)

    def reject_next(self, count: int = 1) -> None:
        """Answer the next ``count`` messages with a basic.nack and store them nowhere."""
        with self.lock:
            self._rejections += count

    def delete_queue(self, queue: str) -> None:
        """Delete a queue behind the back of its users, as an operator does."""
        with self.lock:
            self.objects.delete_queue(queue)

    def unbind(self, exchange: str, queue: str) -> None:
        """Remove all bindings of a queue to an exchange behind the back of its users."""
        with self.lock:
            self.objects.exchanges[exchange].unbind_all(self.objects.existing_queue(queue))

    # --- a look inside, for assertions; every method that names a queue raises NotFoundOnBrokerError --------

    def exchange_names(self) -> list[str]:
        """Return the names of all exchanges, sorted."""
        with self.lock:
            return sorted(self.objects.exchanges)

    def queue_names(self) -> list[str]:
        """Return the names of all queues that have not expired, sorted."""
        with self.lock:
            self.objects.drop_expired()
            return sorted(self.objects.queues)

    def arguments(self, queue: str) -> Arguments:
        """Return what a queue was declared with."""
        with self.lock:
            return self.objects.existing_queue(queue).arguments

    def bindings(self, exchange: str) -> list[tuple[str, str]]:
        """Return the bindings of an exchange as pairs of key and queue name."""
        with self.lock:
            found = self.objects.exchanges.get(exchange)
            return found.bindings() if found is not None else []

    def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue; those in consumers' hands are ``unacked``."""
        with self.lock:
            return self.objects.existing_queue(queue).ready

    def unacked(self, queue: str) -> int:
        """Return how many messages of a queue are in consumers' hands."""
        with self.lock:
            return self.objects.existing_queue(queue).unacked

    def consumers(self, queue: str) -> int:
        """Return how many consumers a queue has."""
        with self.lock:
            return self.objects.existing_queue(queue).consumers

    def bodies(self, queue: str) -> list[bytes]:
        """Return the bodies of the messages that wait in a queue, in order."""
        with self.lock:
            return self.objects.existing_queue(queue).bodies()

    def roles(self) -> list[str]:
        """Return the roles of the open connections, in the order of their coming."""
        with self.lock:
            return [client.role for client in self._clients]
