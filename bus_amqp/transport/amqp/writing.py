"""``SocketStream``: the bytes of one connection, both ways, without ever blocking.

What the socket does not take is kept and continued later, never begun anew: half a frame on the wire can only be
followed by its other half.  Used by the connection's thread only; who polls is ``link``.
"""

from __future__ import annotations

import socket
import ssl
import time

PIECE_BYTES = 256 * 1024
TLS_PIECE_BYTES = 16 * 1024  # a TLS record, the most that one read returns
TURN_BYTES = 1024 * 1024  # read in one go; then writes and heartbeats have their turn


class SocketStream:
    """Owns a connected, non-blocking socket (plain or TLS) and the bytes that it has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._unsent = bytearray()
        self._failure: OSError | None = None  # of a send; told by receive, after what the broker said last
        self.is_full = False  # the socket takes nothing more until it is writable
        self.has_more = False  # receive stopped at its bound: there may be bytes that poll does not see
        self.sent_at = self.received_at = time.monotonic()

    def __repr__(self) -> str:
        return f"<SocketStream {len(self._unsent)} bytes unsent{' (socket is full)' if self.is_full else ''}>"

    @property
    def unsent_bytes(self) -> int:
        """Bytes kept."""
        return len(self._unsent)

    @property
    def has_failed(self) -> bool:
        """Whether sending failed: the socket is dead, but may hold the broker's last words."""
        return self._failure is not None

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._socket.fileno()

    def append(self, data: bytes | memoryview) -> None:
        """Keep a copy of the bytes; they go with the next ``flush``."""
        self._unsent += data

    def take_back(self, kept_bytes: int) -> None:
        """Drop what was appended since ``unsent_bytes`` was ``kept_bytes``; nothing may have been flushed since."""
        del self._unsent[kept_bytes:]

    def write(self, data: bytes) -> None:
        """Send what the socket takes and keep the rest."""
        if self._unsent:
            self._unsent += data
            if not self.is_full:
                self.flush()
            return
        sent = self._send(data)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]

    def flush(self) -> None:
        """Send of what is kept as much as the socket takes."""
        unsent = self._unsent
        while unsent and (sent := self._send(unsent)):
            del unsent[:sent]

    def _send(self, data: bytes | bytearray) -> int:
        if self._failure is not None:
            return 0
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError) as exc:
            # SSLWantRead (a key update is due): readable wakes the poll anyway.
            self.is_full = not isinstance(exc, ssl.SSLWantReadError)
            return 0
        except OSError as exc:
            # Not raised here: the broker may have said why (connection.close), and that waits to be read.
            self._failure = exc
            return 0
        self.is_full = False
        self.sent_at = time.monotonic()
        return sent

    def receive(self) -> list[bytes]:
        """Return what has arrived, in pieces, up to a bound.  Raises ``OSError`` once the connection has ended."""
        pieces: list[bytes] = []
        wanted = TLS_PIECE_BYTES if self._is_tls else PIECE_BYTES
        received = 0
        self.has_more = True
        while received < TURN_BYTES:
            try:
                piece = self._socket.recv(wanted)
            except (BlockingIOError, ssl.SSLWantReadError):
                self.has_more = False
                break
            except ssl.SSLWantWriteError:  # a TLS handshake message does not fit the socket
                self.is_full = True
                self.has_more = False
                break
            except OSError:
                if not pieces:
                    raise
                break  # the next call meets it again
            if not piece:
                if not pieces:
                    raise ConnectionResetError("the broker closed the connection")
                break
            pieces.append(piece)
            received += len(piece)
            if len(piece) < wanted and not self._is_tls:
                self.has_more = False  # saves a system call that would only say "no more"
                break
        if pieces:
            self.received_at = time.monotonic()
        elif self._failure is not None:
            raise self._failure
        return pieces

    def close(self) -> None:
        """Free the socket.  No TLS goodbye: ``unwrap`` waits for an answer that a dead peer never gives."""
        self._unsent.clear()
        self._socket.close()
