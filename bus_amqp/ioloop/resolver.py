"""``Resolver``: looks host names up without making anybody wait longer than he wants to.

The system's ``getaddrinfo`` takes no deadline and cannot be ended: with a silent name server it takes half a minute.
"""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import Future
from typing import Any

from bus_amqp.ioloop.service import start_thread


class Resolver:
    """Asks on a thread of its own, which ends with the answer.

    Who asks again for a name while the answer is awaited shares that answer: however often a loop tries, there is one
    thread for each name.  The lock makes "is it being asked" and "ask" one step.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By process as well: a forked child has none of its parent's threads.  Guarded by _lock.
        self._asked: dict[tuple[int, str, int], Future[list[Any]]] = {}

    def __repr__(self) -> str:
        return f"<Resolver {len(self._asked)} names asked>"

    def look_up(self, host: str, port: int) -> Future[list[Any]]:
        """Return a future of what ``socket.getaddrinfo`` returns for a stream, or raises (``OSError``)."""
        name = (os.getpid(), host, port)
        with self._lock:
            future = self._asked.get(name)
            if future is not None:
                return future
            future = self._asked[name] = Future()
        start_thread("bus-lookup", lambda: self._answer(name, future))
        return future

    def _answer(self, name: tuple[int, str, int], future: Future[list[Any]]) -> None:
        _, host, port = name
        outcome: list[Any] | Exception
        try:
            outcome = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
        except (OSError, UnicodeError) as exc:
            outcome = exc if isinstance(exc, OSError) else OSError(f"{host!r} is no host name: {exc}")
        with self._lock:  # before the answer is known: who asks after it asks anew
            self._asked.pop(name, None)
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
