"""``TcpProxy``: a way to the broker that fails on request.

It forwards bytes between loopback clients and one target, and can cut, hold back, delay, throttle or chop them.  One
thread, which owns every socket; the methods hand it a request and return when it is done, so that a test may rely on
the fault from the next line on.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from bus_amqp.errors import TransportError
from bus_amqp.ioloop.service import start_thread
from bus_amqp.testing.proxied_connection import Conditions, ProxiedConnection

_REQUEST_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 0.5
_Answer = TypeVar("_Answer")


class TcpProxy:
    """Forward ``127.0.0.1:port`` to a target, well or badly."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._conditions = Conditions()  # its own thread only
        self._connections: set[ProxiedConnection] = set()  # its own thread only
        self._accepted = 0  # written by its own thread
        self._requests: deque[Callable[[], None]] = deque()  # appended by any thread, taken by its own
        self._closing = False  # its own thread only
        self._selector = selectors.DefaultSelector()
        self._bell, self._bell_end = socket.socketpair()
        self._bell_end.setblocking(False)
        self._selector.register(self._bell_end, selectors.EVENT_READ)
        self._listener: socket.socket | None = None  # its own thread only, once that runs
        self.port = self._listen(0)
        self._thread = start_thread(f"tcp-proxy-{self.port}", self._run)

    def __repr__(self) -> str:
        return f"<TcpProxy {self.port} to {self._target[0]}:{self._target[1]}, {len(self._connections)} connections>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def to(cls, url: str) -> Self:
        """Return a proxy to the broker of that url."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 5672)

    def url_through(self, url: str) -> str:
        """Return the same url with the proxy in the broker's place."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}"))

    @property
    def accepted(self) -> int:
        """How many connections were made through it so far."""
        return self._accepted

    @property
    def connections(self) -> int:
        """How many connections it holds now."""
        return len(self._connections)

    @property
    def pieces(self) -> int:
        """How many pieces it has forwarded so far."""
        return self._conditions.pieces

    @property
    def held_bytes(self) -> int:
        """How many bytes are on their way through it, in both directions."""
        return self._do(lambda: sum(connection.held_bytes for connection in self._connections))

    def cut(self) -> None:
        """Reset every connection, on both sides; new ones are taken."""
        self._do(self._cut)

    def refuse(self) -> None:
        """Reset every connection and listen no more: to clients the broker is gone."""
        self._do(self._refuse)

    def half_open(self) -> None:
        """Reset the broker's side of every connection; the clients hear nothing, now or ever."""
        self._do(self._lose_targets)

    def blackhole(self, *, up: bool = True, down: bool = True) -> None:
        """Hold back what is sent to the broker (``up``) and what it sends (``down``), also on new connections.

        Nothing is closed and nothing is lost: it flows again after ``restore``, as TCP retransmits after an outage.
        """
        self._do(lambda: self._conditions.set(hold_up=up, hold_down=down))

    def delay(self, seconds: float) -> None:
        """Forward every byte that much later, in both directions."""
        self._do(lambda: self._conditions.set(delay_seconds=seconds))

    def chop(self, size_bytes: int) -> None:
        """Forward pieces of at most this size, as a path with odd packets does; 0: as they come."""
        self._do(lambda: self._conditions.set(piece_bytes=size_bytes))

    def throttle(self, bytes_per_second: int) -> None:
        """Forward at most so many bytes a second, on each connection and each way; 0: as fast as they come."""
        self._do(lambda: self._conditions.set(bytes_per_second=bytes_per_second))

    def restore(self) -> None:
        """Forward well again, and listen again.  What was cut stays cut."""
        self._do(self._restore)

    def close(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            self._do(self._stop)
            self._thread.join(_REQUEST_SECONDS)
        self._bell.close()

    def _do(self, request: Callable[[], _Answer]) -> _Answer:
        """Have the thread do it (called by any other), wait until it has, and return what it said."""
        done = threading.Event()
        answers: list[_Answer] = []

        def act() -> None:
            try:
                answers.append(request())
            finally:
                done.set()

        if not self._thread.is_alive():
            raise TransportError(f"{self!r} is closed")
        self._requests.append(act)
        with contextlib.suppress(OSError):  # the bell is full or closed: the thread is awake, or gone
            self._bell.send(b"!")
        if not done.wait(_REQUEST_SECONDS):
            raise TransportError(f"{self!r} did not react within {_REQUEST_SECONDS:g} s")
        return answers[0]

    # What follows runs on the proxy's own thread.

    def _run(self) -> None:
        try:
            while not self._closing:
                self._turn()
        finally:
            self._refuse()
            self._selector.close()
            self._bell_end.close()

    def _turn(self) -> None:
        now = time.monotonic()
        timeout = min((connection.due_in(now) for connection in self._connections), default=_IDLE_SECONDS)
        for key, events in self._selector.select(min(timeout, _IDLE_SECONDS)):
            match key.data:
                case ProxiedConnection() as connection:
                    connection.on_ready(key.fileobj, events)
                case "listener":
                    self._accept()
                case _:
                    self._bell_end.recv(4096)
        while self._requests:
            self._requests.popleft()()
        for connection in list(self._connections):
            connection.forward(time.monotonic())
            if connection.is_over:
                self._connections.discard(connection)

    def _listen(self, port: int) -> int:
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, "listener")
        return int(listener.getsockname()[1])

    def _accept(self) -> None:
        if self._listener is None:
            return  # refused a moment ago, in the same turn
        try:
            client, _ = self._listener.accept()
        except OSError:  # the client has given up already
            return
        try:
            target = socket.create_connection(self._target, timeout=_CONNECT_SECONDS)
        except OSError:  # the broker is down: so are we
            client.close()
            return
        self._accepted += 1
        self._connections.add(ProxiedConnection(client, target, self._selector, self._conditions))

    def _cut(self) -> None:
        for connection in self._connections:
            connection.reset()
        self._connections.clear()

    def _lose_targets(self) -> None:
        for connection in self._connections:
            connection.lose_target()

    def _refuse(self) -> None:
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._cut()

    def _restore(self) -> None:
        self._conditions.set(hold_up=False, hold_down=False, delay_seconds=0.0, piece_bytes=0, bytes_per_second=0)
        if self._listener is None:
            self._listen(self.port)

    def _stop(self) -> None:
        self._closing = True
