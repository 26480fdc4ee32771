"""``Link``: waits for the socket or for a wake, moves bytes, keeps the heartbeats.

Knows frames but no py-amqp.  The heartbeat clock is our own because py-amqp's counts only the frames that it
parsed or wrote itself.  Used by the connection's thread only, except ``wake``.
"""

from __future__ import annotations

import math
import select
import socket
import time
from collections import deque

from bus_amqp.errors import ConnectionLostError
from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME
from bus_amqp.transport.amqp.frames import FrameParser, Item
from bus_amqp.transport.amqp.waker import Waker
from bus_amqp.transport.amqp.writing import SocketStream


class Link:
    """Owns the stream and the waker.  What was received and parsed waits in ``items``, oldest first."""

    def __init__(self, parser: FrameParser) -> None:
        self.parser = parser
        self.items: deque[Item] = deque()
        self.deadline = 0.0  # of the request that is going on, for everything that waits for an answer
        self.heartbeat_seconds = 0.0  # 0 until it is negotiated
        self._waker = Waker()
        self._is_woken = False
        self._is_aborted = False  # written by any thread, once
        self.error: ConnectionLostError | None = None  # why the connection is lost
        self._stream: SocketStream | None = None
        self._poll = select.poll()
        self._poll.register(self._waker, select.POLLIN)
        self._polled_events = 0

    def __repr__(self) -> str:
        return f"<Link {len(self.items)} items, {self._stream!r}>"

    def attach(self, stream: SocketStream) -> None:
        """Take over a connected stream."""
        self._stream = stream
        self._poll.register(stream, select.POLLIN)
        self._polled_events = select.POLLIN

    @property
    def stream(self) -> SocketStream:
        """The open stream.  Raises ``ConnectionLostError`` if there is none (any more)."""
        if self.error is not None:
            # A fresh one each time: an exception that is raised again and again collects tracebacks without end.
            raise ConnectionLostError(str(self.error)) from self.error.__cause__
        if self._stream is None:
            raise ConnectionLostError("the connection is closed")
        return self._stream

    @property
    def unsent_bytes(self) -> int:
        """Bytes kept because the socket would not take them."""
        return 0 if self._stream is None else self._stream.unsent_bytes

    def wake(self) -> None:
        """End the exchange that waits, or the next one.  From any thread."""
        self._waker.wake()

    def abort(self) -> None:
        """End the connect or the request that goes on, and all that follow.  From any thread."""
        self._is_aborted = True
        self._waker.wake()

    def remaining_seconds(self) -> float:
        """Return the time that the request has left.  Raises ``TimeoutError``, ``ConnectionLostError`` if aborted."""
        if self._is_aborted:
            raise ConnectionLostError("given up, because the bus is closing")
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("no answer in time")
        return remaining

    def wait(self, sock: socket.socket | None, events: int, most_seconds: float = math.inf) -> None:
        """Wait until a socket that is not attached yet is ready, or for a wake.

        Without a socket: only for a wake.  With one: not less than until it is ready.  Raises what
        ``remaining_seconds`` raises, and ``TimeoutError`` after ``most_seconds``.
        """
        gives_up_at = time.monotonic() + most_seconds
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        if sock is not None:
            poll.register(sock, events)
        while True:
            remaining = min(self.remaining_seconds(), gives_up_at - time.monotonic())
            if remaining <= 0:
                raise TimeoutError("no answer in time")
            found = [descriptor for descriptor, _ in poll.poll(math.ceil(remaining * 1000))]
            if self._waker.fileno() in found:
                self._waker.clear()
                self._is_woken = True
                self.remaining_seconds()  # raises if it was an abort
            if found and (sock is None or sock.fileno() in found):
                return

    def take_woken(self) -> bool:
        """Return whether somebody called ``wake`` since the last time."""
        is_woken, self._is_woken = self._is_woken, False
        return is_woken

    def exchange(self, wait_seconds: float) -> None:
        """Send what is kept; wait for bytes, room or a wake; receive and parse; see to the heartbeats.

        Waits no longer than ``wait_seconds`` nor than the heartbeat allows; 0: does not wait.  Raises ``OSError``
        or ``ConnectionLostError`` when the connection has ended, after everything that came before its end.
        """
        stream = self.stream
        if stream.unsent_bytes and not stream.is_full:
            stream.flush()
        is_readable = stream.has_more or stream.has_failed
        if self.items or is_readable:
            wait_seconds = 0.0
        elif wait_seconds > 0:
            wait_seconds = max(0.0, min(wait_seconds, self._heartbeat_due_at(stream) - time.monotonic()))
        events = select.POLLIN | select.POLLOUT if stream.is_full else select.POLLIN
        if events != self._polled_events:
            self._poll.modify(stream, events)
            self._polled_events = events
        # Rounded up: a rest of half a millisecond must not become a busy loop.
        for descriptor, event in self._poll.poll(math.ceil(wait_seconds * 1000)):
            if descriptor == self._waker.fileno():
                self._waker.clear()
                self._is_woken = True
            else:
                is_readable = True  # also when it is writable: TLS may have waited for that to go on reading
                if event & select.POLLOUT:
                    stream.is_full = False
                    stream.flush()
        if is_readable:
            for piece in stream.receive():
                self.items.extend(self.parser.feed(piece))
        if self.heartbeat_seconds:
            self._beat(stream)

    def _heartbeat_due_at(self, stream: SocketStream) -> float:
        if not self.heartbeat_seconds:
            return math.inf
        dead_at = stream.received_at + 2 * self.heartbeat_seconds
        # With bytes kept, nothing can be sent until the socket is writable, and that ends the poll.
        return dead_at if stream.unsent_bytes else min(dead_at, stream.sent_at + self.heartbeat_seconds / 2)

    def _beat(self, stream: SocketStream) -> None:
        now = time.monotonic()
        if now - stream.sent_at >= self.heartbeat_seconds / 2 and not stream.unsent_bytes:
            stream.write(HEARTBEAT_FRAME)
        # Only after receiving, and after a last look: a process that slept finds the broker's heartbeats in the socket.
        if now - stream.received_at >= 2 * self.heartbeat_seconds and not self._has_come(stream):
            raise ConnectionLostError(
                f"the broker was silent for {now - stream.received_at:.1f} s (heartbeat {self.heartbeat_seconds:g} s)"
            )

    def _has_come(self, stream: SocketStream) -> bool:
        """Return whether bytes came while this thread did not run: between two lines, on a full machine."""
        ready = dict(self._poll.poll(0)).get(stream.fileno(), 0)
        return bool(ready & ~select.POLLOUT)

    def close(self) -> None:
        """Free the socket and the waker, at once; does no harm the second time."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._poll.unregister(stream)
            stream.close()
        self._waker.close()
