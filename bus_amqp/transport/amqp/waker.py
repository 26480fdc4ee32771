"""``Waker``: how another thread ends the poll of the thread that owns a connection."""

from __future__ import annotations

import contextlib
import socket
import threading

from bus_amqp.transport.amqp import inherited_sockets


class Waker:
    """A pair of sockets: ``wake`` writes a byte to one, the owner polls the other.

    The lock makes "is it closed" and "write" one step.  Without it a thread could find the waker open, lose the
    processor, and write its byte after ``close``, when the descriptor may already belong to somebody's file.
    Re-entrant, because a signal handler may wake while its own thread is waking.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # guards what follows; nothing under it blocks
        self._reader, self._writer = socket.socketpair()
        inherited_sockets.note(self._reader)
        inherited_sockets.note(self._writer)
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._is_set = False  # written under the lock, read by anybody
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Waker{' set' if self._is_set else ''}{' closed' if self._is_closed else ''}>"

    def fileno(self) -> int:
        """Return the file descriptor to poll for reading."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Make the descriptor readable.  From any thread; cheap when it is already; does nothing after ``close``."""
        # Without the lock: the owner clears first and looks for work afterwards, so whoever finds the flag
        # set has left its work in time.
        if self._is_set:
            return
        with self._lock:
            if not self._is_set and not self._is_closed:
                self._is_set = True
                self._writer.send(b"\0")

    def clear(self) -> None:
        """Take the wake.  Owner only; look for work after it, not before."""
        with self._lock:
            self._is_set = False
            with contextlib.suppress(BlockingIOError):
                self._reader.recv(16)

    def close(self) -> None:
        """Free the descriptors."""
        with self._lock:
            self._is_closed = True
            self._reader.close()
            self._writer.close()
