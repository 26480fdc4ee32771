"""What a process has done, written down line by line, so that others can count without asking the bus.

One JSON object a line, one writer a file.  A line is in the kernel's hands before the event is acknowledged: a killed
process forgets nothing that it has told the broker (a power cut is another matter, and nobody's books).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.retry import Discard
from bus_amqp.subscriber import Handler, Subscribers, handler_of, is_coroutine_handler


class Ledger:
    """An append-only file.  ``write`` may be called from any thread: one line is one system call.

    Raises ``InvalidArgumentError`` for a path that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as exc:
            raise InvalidArgumentError(f"ledger {path}: {exc.strerror}") from exc

    def __repr__(self) -> str:
        return f"<Ledger {self.path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, what: str, event: Event[object]) -> None:
        """Write down what happened to the event, and when."""
        line = {
            "what": what,
            "at": time.time(),
            "id": str(event.event_id),
            "time": event.event_time.timestamp(),
            "category": event.event_category,
            "type": event.event_type,
            "resource": event.resource_type,
            "source": event.event_source,
        }
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """End it.  Nothing is buffered, so nothing is lost without it."""
        os.close(self._descriptor)


def recorded(subscribers: Subscribers, ledger: Ledger) -> Subscribers:
    """Return the same subscriptions; each event is written down once its handler is done with it.

    ``handled``: it returned.  ``discarded``: it raised ``Discard``.  Any other exception: nothing, it is not done.
    """
    with_books = Subscribers()
    for declared in subscribers:
        with_books.add(declared.wanted, _recorded(handler_of(declared.subscriber), ledger), declared.options)
    return with_books


def _recorded(handler: Handler, ledger: Ledger) -> Handler:
    @contextmanager
    def written_down(event: Event[Any]) -> Iterator[None]:
        try:
            yield
        except Discard:
            ledger.write("discarded", event)
            raise
        ledger.write("handled", event)

    # wraps: the bus looks through to what the handler asks for (Event[...]), and tells its name.
    if is_coroutine_handler(handler):

        @wraps(handler, updated=())
        async def handle_later(event: Event[Any]) -> None:
            with written_down(event):
                answer = handler(event)
                assert isinstance(answer, Awaitable)  # that is what a coroutine function returns
                await answer

        return handle_later

    @wraps(handler, updated=())
    def handle(event: Event[Any]) -> None:
        with written_down(event):
            handler(event)

    return handle
