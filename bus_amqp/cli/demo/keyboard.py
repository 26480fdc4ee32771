"""Single keys from a terminal, without waiting for Enter."""

from __future__ import annotations

import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any, Self


class Keyboard:
    """As a context manager it gives the terminal back as it was.  Without a terminal no key is ever pressed."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    @property
    def is_there(self) -> bool:
        """Whether somebody could press a key."""
        return sys.stdin is not None and sys.stdin.isatty()

    def __enter__(self) -> Self:
        if self.is_there:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)  # unlike raw mode, Ctrl-C stays Ctrl-C
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def wait(self, timeout_seconds: float) -> str:
        """Return the key pressed within that time, as a capital letter, or an empty string."""
        if self._before is None:
            time.sleep(timeout_seconds)
            return ""
        readable, _, _ = select.select([sys.stdin], [], [], timeout_seconds)
        return sys.stdin.read(1).upper() if readable else ""
