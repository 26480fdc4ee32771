"""Ctrl-C and SIGTERM for work that must not be cut in the middle: the first asks, the second ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody has asked to stop, and how.  Written by the signal handler, read by the work."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self.number != 0

    @property
    def status(self) -> int:
        """The exit status that a shell expects of a program which that signal has ended; 0: none came."""
        return 128 + self.number if self.number else 0


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Turn the first SIGINT or SIGTERM into a question that the work asks; a second one ends it at once."""
    asked = Interruption()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        asked.number = number
        for one, handler in before.items():
            # Ignored: by a shell that started us in the background.  The second one must end us there, too.
            signal.signal(one, signal.SIG_DFL if handler is signal.SIG_IGN else handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
