"""Sockets that a forked child inherits and must let go of, without a word to the broker.

They are the parent's: a goodbye from the child would end the parent's connection, and a descriptor that the child keeps
would hide the parent's death from the broker.  Noted where sockets are made; closed in the child, before it goes on.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from weakref import WeakSet

_sockets: WeakSet[socket.socket] = WeakSet()  # added to by any thread; a child has one


def note(sock: socket.socket) -> None:
    """Have a forked child close its copy of the socket."""
    _sockets.add(sock)


def _close_in_child() -> None:
    for sock in list(_sockets):
        with suppress(OSError):
            sock.close()  # the descriptor only: no shutdown, and of TLS no close_notify
    _sockets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
