"""``Leaks``: looks for a secret wherever somebody might read it: logs, errors, reprs, printed lines."""

from __future__ import annotations

import functools
import gc
import logging
import traceback
import types
from collections import deque
from collections.abc import Iterable
from urllib.parse import quote

_OURS = ("bus_amqp", "kombu", "amqp", "vine")
_UNFOLLOWED = (type, types.ModuleType, types.FrameType, types.BuiltinFunctionType, str, bytes, int, float)


class Leaks(logging.Handler):
    """Collects every log record of the process, formatted with its exception, while it is installed.

    ``secrets``: what must not be found; each also percent-encoded.
    """

    def __init__(self, *secrets: str) -> None:
        super().__init__(logging.DEBUG)
        self._secrets = {form for secret in secrets for form in (secret, quote(secret, safe=""), repr(secret)[1:-1])}
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.records = 0
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        self.look(self.format(record), f"log of {record.name}")
        self.look(repr(record.args), f"arguments of a log line of {record.name}")
        if record.exc_info and record.exc_info[1]:
            self.look_at_error(record.exc_info[1])

    def look(self, text: str, where: str) -> None:
        """Note the place if the text holds a secret."""
        if any(secret in text for secret in self._secrets):
            self.found.append(f"{where}: {text}")

    def look_at_error(self, error: BaseException) -> None:
        """Look at an error, at all that it is chained to, and at its traceback as a logger would print it."""
        self.look("".join(traceback.format_exception(error)), "traceback")
        chain: list[BaseException] = [error]
        for one in chain:  # grows while it runs; also what `from None` hides
            chain += [other for other in (one.__cause__, one.__context__) if other is not None and other not in chain]
            self.look(f"{one} {one!r} {one.args!r} {vars(one)!r}", f"chained {type(one).__name__}")

    def look_at_objects(self, *roots: object) -> int:
        """Look at the ``repr`` of all objects of ours, kombu's and py-amqp's that can be reached; return how many."""
        seen = {id(root) for root in roots}
        waiting = deque(roots)
        looked = 0
        while waiting:
            one = waiting.popleft()
            if isinstance(one, functools.partial) or type(one).__module__.partition(".")[0] in _OURS:
                looked += 1
                self.look(repr(one), f"repr of a {type(one).__name__}")
            for other in _referents(one):
                if id(other) not in seen and not isinstance(other, _UNFOLLOWED):
                    seen.add(id(other))
                    waiting.append(other)
        return looked


def _referents(one: object) -> Iterable[object]:
    # Of a function not its module's globals, which lead everywhere; but what it has closed over.
    if isinstance(one, types.FunctionType):
        return [cell.cell_contents for cell in one.__closure__ or () if _is_filled(cell)]
    if isinstance(one, logging.Logger | logging.Handler):
        return ()
    return gc.get_referents(one)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 -- raises if it is empty
    except ValueError:
        return False
    return True
