"""One connection through the proxy: two sockets and the bytes on their way between them.

Used by the proxy's thread and no other.
"""

import contextlib
import selectors
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass, field

_CHUNK_BYTES = 64 * 1024
# What may be on its way in one direction; more is left in the sender's kernel, as a slow path would leave it.
_HELD_BYTES = 1024 * 1024
# "Linger for zero seconds": close sends a reset, not an orderly end.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LONG_SECONDS = 3600.0
# In one turn, each way: the others' heartbeats must not wait until a large piece has gone out byte by byte.
_PIECES_AT_ONCE = 256
# A narrow path hands its bytes on in pieces of a hundredth of a second.
_PIECES_PER_SECOND = 100


@dataclass(slots=True)
class Conditions:
    """How badly the proxy works at the moment; shared by its connections."""

    hold_up: bool = False
    hold_down: bool = False
    delay_seconds: float = 0.0
    piece_bytes: int = 0
    bytes_per_second: int = 0  # of each connection, each way; 0: no limit
    pieces: int = 0  # forwarded so far, counted by the proxy's thread

    def set(self, **changes: bool | float | int) -> None:
        """Change some of them."""
        for name, value in changes.items():
            setattr(self, name, value)


@dataclass(slots=True)
class _Direction:
    """Bytes on their way from one socket to the other, with the time at which each piece was read."""

    source: socket.socket
    sink: socket.socket
    is_up: bool
    pieces: deque[tuple[float, memoryview]] = field(default_factory=deque)  # views: what is left of one is no copy
    size_bytes: int = 0
    has_ended: bool = False  # the source will send no more
    is_stuck: bool = False  # the sink takes no more for now
    free_at: float = 0.0  # a narrow path is busy with the last piece until then


class ProxiedConnection:
    """Forward between a client and the target under the proxy's conditions."""

    def __init__(
        self,
        client: socket.socket,
        target: socket.socket,
        selector: selectors.BaseSelector,
        conditions: Conditions,
    ) -> None:
        self._client, self._target = client, target
        self._selector = selector
        self._conditions = conditions
        self._up = _Direction(client, target, is_up=True)
        self._down = _Direction(target, client, is_up=False)
        self._has_target = True
        self.is_over = False
        for end in (client, target):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(end, selectors.EVENT_READ, self)

    def due_in(self, now: float) -> float:
        """Return after how many seconds there is something to do without either socket being ready."""
        delay = self._conditions.delay_seconds
        waits = [
            max(direction.pieces[0][0] + delay, direction.free_at) - now
            for direction in (self._up, self._down)
            if direction.pieces and not direction.is_stuck and not self._is_held(direction)
        ]
        return max(0.0, min(waits, default=_LONG_SECONDS))

    def on_ready(self, end: object, events: int) -> None:
        """Take what a socket has to read; remember that it takes bytes again."""
        if self.is_over:
            return
        reading, writing = (self._up, self._down) if end is self._client else (self._down, self._up)
        if events & selectors.EVENT_WRITE:
            writing.is_stuck = False
        if events & selectors.EVENT_READ:
            self._read(reading)

    def forward(self, now: float) -> None:
        """Send what is due, and watch the sockets for what can happen next."""
        for direction in (self._up, self._down):
            self._send(direction, now)
        if not self.is_over:
            self._watch()

    def lose_target(self) -> None:
        """Reset the broker's side and keep the client's side, silent."""
        if self._has_target and not self.is_over:
            self._has_target = False
            self._close(self._target, with_reset=True)
            for direction in (self._up, self._down):
                direction.pieces.clear()
                direction.size_bytes = 0

    @property
    def held_bytes(self) -> int:
        """How many bytes are on their way."""
        return self._up.size_bytes + self._down.size_bytes

    def reset(self) -> None:
        """Reset both sides."""
        self._end(with_reset=True)

    def _is_held(self, direction: _Direction) -> bool:
        return self._conditions.hold_up if direction.is_up else self._conditions.hold_down

    def _read(self, direction: _Direction) -> None:
        try:
            received = direction.source.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # one side was reset: so is the other
            self.reset()
            return
        if not received:
            direction.has_ended = True
        elif self._has_target:  # else it goes nowhere, as on a path whose far end is gone
            direction.pieces.append((time.monotonic(), memoryview(received)))
            direction.size_bytes += len(received)

    def _send(self, direction: _Direction, now: float) -> None:
        if self._is_held(direction):
            return
        for _ in range(_PIECES_AT_ONCE):
            if not direction.pieces or direction.is_stuck or self.is_over:
                break
            since, piece = direction.pieces[0]
            if max(since + self._conditions.delay_seconds, direction.free_at) > now:
                return
            self._send_piece(direction, piece, now)
        if direction.has_ended and not direction.pieces:
            self._end(with_reset=False)

    def _send_piece(self, direction: _Direction, piece: memoryview, now: float) -> None:
        rate = self._conditions.bytes_per_second
        size = self._conditions.piece_bytes or len(piece)
        if rate:
            size = min(size, max(1, rate // _PIECES_PER_SECOND))
        try:
            sent = direction.sink.send(piece[:size])
        except BlockingIOError:
            direction.is_stuck = True
            return
        except OSError:
            self.reset()
            return
        since, _ = direction.pieces.popleft()
        direction.size_bytes -= sent
        direction.free_at = now + sent / rate if rate else 0.0
        self._conditions.pieces += 1
        if sent < len(piece):
            direction.pieces.appendleft((since, piece[sent:]))

    def _watch(self) -> None:
        for end, reading, writing in ((self._client, self._up, self._down), (self._target, self._down, self._up)):
            if end is self._target and not self._has_target:
                continue
            events = 0
            if not reading.has_ended and reading.size_bytes < _HELD_BYTES:
                events |= selectors.EVENT_READ
            if writing.is_stuck:
                events |= selectors.EVENT_WRITE
            self._watch_for(end, events)

    def _watch_for(self, end: socket.socket, events: int) -> None:
        watched = self._selector.get_map().get(end)
        if watched is None:
            if events:
                self._selector.register(end, events, self)
        elif not events:
            self._selector.unregister(end)
        elif watched.events != events:
            self._selector.modify(end, events, self)

    def _end(self, *, with_reset: bool) -> None:
        if self.is_over:
            return
        self.is_over = True
        self._close(self._client, with_reset=with_reset)
        if self._has_target:
            self._close(self._target, with_reset=with_reset)

    def _close(self, end: socket.socket, *, with_reset: bool) -> None:
        if self._selector.get_map().get(end) is not None:
            self._selector.unregister(end)
        if with_reset:
            with contextlib.suppress(OSError):  # the peer was faster
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.close()
