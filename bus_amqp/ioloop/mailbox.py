"""``Mailbox``: how other threads leave requests and answers for the thread that owns a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Many writers, one reader; first in, first out.

    Needs no lock: ``deque`` appends and pops atomically, and the wake comes after the append, so the reader
    finds the letter in this turn or is woken for it.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._letters: deque[T] = deque()  # written by any thread, read by the owner
        self._wake = wake

    def __repr__(self) -> str:
        return f"<Mailbox {len(self._letters)} letters>"

    def put(self, letter: T) -> None:
        """Leave a letter and wake the reader.  From any thread."""
        self._letters.append(letter)
        self._wake()

    def drain(self) -> Iterator[T]:
        """Take what is there now, oldest first, one by one: an error on the way leaves the rest.  Owner only."""
        for _ in range(len(self._letters)):
            yield self._letters.popleft()
