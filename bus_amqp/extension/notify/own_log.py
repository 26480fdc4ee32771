"""``OwnLog``: what one channel's service says while it sends, kept for the reason of a failure and out of the log.

Apprise says most on a logger that each service has as an attribute, and a mail server's answer (``550 relaying
denied``) on the one that all share: so the shared one is overheard, in the context that sends (Apprise hands that on
to threads of its own).  It has to be open at DEBUG for that, and a filter keeps closed what the process has not asked
for: at DEBUG, Apprise writes down whole urls.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SHARED: Final = logging.getLogger("apprise")


class OwnLog(logging.Handler):
    """Collects the warnings, and the reasons that come at DEBUG only.  ``logger`` is outside the tree of loggers."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.DEBUG)
        self.logger = logging.Logger(f"bus_amqp.extension.notify.{name}", logging.DEBUG)  # noqa: LOG001 -- see above
        self.logger.addHandler(self)
        self._told: list[str] = []  # of the message that is being sent

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the warnings, and the error of the socket, which comes at DEBUG."""
        text = " ".join(record.getMessage().split())
        if record.levelno >= logging.WARNING or text.startswith("Socket Exception: "):
            self._told.append(text)

    def clear(self) -> None:
        """Forget all."""
        self._told.clear()

    def told(self) -> list[str]:
        """Return what was said, each line once."""
        return list(dict.fromkeys(self._told))


class _Ear(logging.Filter):
    """Hears all of the shared logger for whoever sends; lets through what the process has asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._level = _SHARED.level
        _SHARED.addFilter(self)
        _SHARED.setLevel(logging.DEBUG)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record may go on to the process's log."""
        if (listener := _listener.get()) is not None:
            listener.handle(record)
            if record.levelno >= logging.WARNING:
                return False  # it will be in the reason, without the url's parts
        above = _SHARED.parent
        level = self._level or (above.getEffectiveLevel() if above is not None else logging.WARNING)
        return record.levelno >= level


@contextmanager
def overhearing(log: OwnLog) -> Iterator[None]:
    """Have the log told what is said on the shared logger on behalf of this context."""
    token = _listener.set(log)
    try:
        yield
    finally:
        _listener.reset(token)


_listener: Final[ContextVar[OwnLog | None]] = ContextVar("notify_own_log", default=None)
_ear: Final = _Ear()
