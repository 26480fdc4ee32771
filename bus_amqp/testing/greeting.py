"""Ask a port whether an AMQP broker answers there, and which.

A broker greets before anybody logs in: after the protocol header it sends connection.start, whose server properties
name product and version (AMQP 0-9-1, section 1.4.2.1).  An open port alone proves nothing: Docker's own proxy accepts
connections long before the broker inside listens.
"""

import socket
import time
from collections.abc import Callable

from bus_amqp.errors import ConnectionLostError

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_START = b"\x01\x00\x00"  # a method frame on channel 0
_VERSION_FIELD = b"\x07versionS"  # a key of seven bytes, its value a long string
_GREETING_BYTES = 8192
_POLL_SECONDS = 0.2


def read_version(host: str, port: int, *, timeout_seconds: float = 2.0) -> str:
    """Return the broker's version ("" if it does not tell); raise ``ConnectionLostError`` if none greets."""
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds) as connection:
            connection.sendall(_PROTOCOL_HEADER)
            greeting = _read_frame(connection)
    except OSError as exc:
        raise ConnectionLostError(f"no broker answers at {host}:{port}: {exc.strerror or exc}") from exc
    if not greeting.startswith(_START):
        raise ConnectionLostError(f"what answers at {host}:{port} does not speak AMQP 0-9-1")
    return _version_in(greeting)


def wait_for_version(
    host: str, port: int, *, timeout_seconds: float, must_go_on: Callable[[], None] = lambda: None
) -> str:
    """Wait until a broker greets there and return its version; ``must_go_on`` raises when waiting is in vain."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        must_go_on()
        try:
            return read_version(host, port)
        except ConnectionLostError as exc:
            if time.monotonic() >= deadline:
                raise ConnectionLostError(f"no broker at {host}:{port} within {timeout_seconds:g} s") from exc
        time.sleep(_POLL_SECONDS)


def _read_frame(connection: socket.socket) -> bytes:
    """Read one whole frame, or what there is of it when the peer ends."""
    received = bytearray()
    while len(received) < _GREETING_BYTES:
        chunk = connection.recv(_GREETING_BYTES)
        if not chunk:
            break
        received += chunk
        if len(received) >= 7 and len(received) >= 8 + int.from_bytes(received[3:7], "big"):
            break
    return bytes(received)


def _version_in(greeting: bytes) -> str:
    found = greeting.find(_VERSION_FIELD)
    if found < 0:
        return ""
    start = found + len(_VERSION_FIELD) + 4
    size = int.from_bytes(greeting[start - 4 : start], "big")
    return greeting[start : start + size].decode("utf-8", "replace")
