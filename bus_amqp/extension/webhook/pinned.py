"""``PinnedBackend``: connections to addresses that were checked, within a deadline for everything together.

The network as httpcore sees it.  A name is looked up once for each connection; *every* address that it has must be
allowed, and the connection is made to one of those addresses, never to the name: what a second lookup would answer does
not matter (DNS rebinding).  The certificate is verified against the name all the same, for httpcore tells TLS the name.

httpcore's timeouts are for each read; a receiver that sends a byte every nine seconds would hold a worker for days.  So
each read and write gets what is left of the attempt's time.  On the worker's thread; the lookup is the system's, which
has its own limits (resolv.conf), and holds up this webhook alone.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore2

from bus_amqp.extension.webhook.address import AddressPolicy
from bus_amqp.extension.webhook.lookup import Resolve, allowed_addresses, resolve

_MOST_ADDRESSES = 8  # tried one after the other; a name with more is served by somebody who has time
_CHUNK_BYTES = 4096  # so little goes out in one piece that no slow reader makes a write last


@dataclass(slots=True)
class Attempt:
    """One request's time, and where it went.  Used by one thread."""

    deadline: float
    address: str | None = None
    clock: Callable[[], float] = time.monotonic

    def remaining_seconds(self) -> float:
        """Return what is left of the time, above 0.  Raises ``httpcore2.ReadTimeout``."""
        if (remaining := self.deadline - self.clock()) <= 0:
            raise httpcore2.ReadTimeout("out of time")
        return remaining


_current: ContextVar[Attempt] = ContextVar("webhook_attempt")


@contextmanager
def attempting(attempt: Attempt) -> Iterator[Attempt]:
    """Have everything that this thread does on the network count for the attempt."""
    token = _current.set(attempt)
    try:
        yield attempt
    finally:
        _current.reset(token)


class PinnedBackend(httpcore2.NetworkBackend):
    """``connect`` makes the connection; it is only ever given an address that the policy has let pass."""

    def __init__(
        self, policy: AddressPolicy, *, resolve: Resolve = resolve, connect: httpcore2.NetworkBackend | None = None
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._connect = connect or httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to an allowed address of the host.  Raises ``ForbiddenAddressError``, httpcore's errors."""
        attempt = _current.get()
        try:
            addresses = allowed_addresses(host, port, self._policy, self._resolve)[:_MOST_ADDRESSES]
        except OSError as exc:
            raise httpcore2.ConnectError(f"{host} cannot be looked up: {exc}") from exc
        fault: Exception = httpcore2.ConnectError(f"{host} has no address")
        for number, address in enumerate(addresses):
            # A share of the time each: the first of them may be one that never answers.
            share = attempt.remaining_seconds() / (len(addresses) - number)
            try:
                stream = self._connect.connect_tcp(str(address), port, share, None, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                fault = exc
                continue
            attempt.address = str(address)
            return DeadlineStream(stream)
        raise fault


class DeadlineStream(httpcore2.NetworkStream):
    """A connection on which each step gets what is left of the current attempt's time."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, _current.get().remaining_seconds())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        for start in range(0, len(buffer), _CHUNK_BYTES):
            self._stream.write(buffer[start : start + _CHUNK_BYTES], _current.get().remaining_seconds())

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Shake hands; the certificate must be one of ``server_hostname``."""
        try:
            remaining = _current.get().remaining_seconds()
        except httpcore2.ReadTimeout:
            self.close()  # httpcore leaves it to us, as it does to its own streams
            raise
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, remaining))

    def get_extra_info(self, info: str) -> Any:
        """Tell what httpcore asks about the socket."""
        return self._stream.get_extra_info(info)
