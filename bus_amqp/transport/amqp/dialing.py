"""``Dialer``: from a host name to a connected socket, TLS included, within the link's deadline.

Nothing here blocks beyond that deadline, and ``Link.abort`` ends every wait: ``close`` of the bus must not stand
behind a peer that never answers.  Used by the connection's thread only.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bus_amqp.transport.amqp import inherited_sockets
from bus_amqp.transport.amqp.link import Link

Found = tuple[Any, ...]  # one line of getaddrinfo
LookUp = Callable[[str, int], "Future[list[Found]]"]


def look_up_here(host: str, port: int) -> Future[list[Found]]:
    """Look the name up on this thread: the system's resolver keeps its own time, of some seconds."""
    future: Future[list[Found]] = Future()
    try:
        future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
    except OSError as exc:
        future.set_exception(exc)
    return future


class Dialer:
    """Dials one address.  ``look_up`` answers later, from a thread of its own, or at once."""

    def __init__(self, link: Link, look_up: LookUp) -> None:
        self._link = link
        self._look_up = look_up

    def dial(self, host: str, port: int) -> socket.socket:
        """Return a connected, non-blocking socket.  Raises ``OSError``, ``TimeoutError``, ``ConnectionLostError``."""
        found = self._addresses(host, port)
        for tried, (family, kind, protocol, _, address) in enumerate(found, start=1):
            sock = socket.socket(family, kind, protocol)
            inherited_sockets.note(sock)
            try:
                # A share for each address: an unreachable IPv6 must not use up the time of IPv4.
                self._connect(sock, address, self._link.remaining_seconds() / (len(found) - tried + 1))
            except OSError:  # of which TimeoutError is one
                sock.close()
                if tried == len(found):
                    raise
            except BaseException:  # aborted
                sock.close()
                raise
            else:
                return sock
        raise OSError(f"{host} has no address")

    def _addresses(self, host: str, port: int) -> list[Found]:
        try:  # most brokers of a container or a test are numbers, and need no look-up
            return socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
            )
        except socket.gaierror:
            pass
        found = self._look_up(host, port)
        found.add_done_callback(lambda _: self._link.wake())
        while not found.done():
            try:
                self._link.wait(None, 0)
            except TimeoutError:
                raise TimeoutError(f"no answer in time from the name service for {host!r}") from None
        return found.result()

    def _connect(self, sock: socket.socket, address: Any, share_seconds: float) -> None:
        sock.setblocking(False)
        outcome = sock.connect_ex(address)
        if outcome == errno.EINPROGRESS:
            self._link.wait(sock, select.POLLOUT, share_seconds)
            outcome = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if outcome:
            raise OSError(outcome, os.strerror(outcome))

    def shake_hands(self, sock: ssl.SSLSocket) -> None:
        """Do the TLS handshake.  Raises ``ssl.SSLError``, ``OSError``, ``TimeoutError``, ``ConnectionLostError``."""
        while True:
            try:
                sock.do_handshake()
            except ssl.SSLWantReadError:
                self._link.wait(sock, select.POLLIN)
            except ssl.SSLWantWriteError:
                self._link.wait(sock, select.POLLOUT)
            else:
                return
