"""``Ledger``: what one process of the chaos suite did, written outside the bus; and how it is read back.

One file a process, one line an act, one system call a line (``O_APPEND``): what the process knew before a ``kill -9``
is in the kernel's hands.  Times are ``CLOCK_MONOTONIC`` in nanoseconds, which all processes of a machine share and
which a clock set back does not move.

    o t n            event n is about to be offered to ``publish``
    a t n            ``publish`` returned: accepted
    x t n error      ``publish`` raised: not accepted
    c t n            its receipt says: confirmed
    f t n error      its receipt says: failed
    h t sub p n      subscription ``sub`` is done with event n of publisher p
    s t threads sockets resident_kb wall    what the process holds, and what its clock says
    g t sub since until   health reports a gap (wall-clock seconds)
    z t what         anything else worth telling: raised, hung, exiting, ready
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """What a process held at a moment."""

    at: int
    threads: int
    sockets: int
    resident_kb: int
    wall: float


class Ledger:
    """Append-only.  ``write`` may be called from any thread: a line is one system call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, kind: str, *words: object) -> None:
        """Write one line, stamped now."""
        os.write(self._file, f"{kind} {time.monotonic_ns()} {' '.join(map(str, words))}\n".encode())

    def write_event(self, kind: str, number: int) -> None:
        """The same for the lines that come once an event."""
        os.write(self._file, b"%s %d %d\n" % (kind.encode(), time.monotonic_ns(), number))

    def write_handled(self, subscription: str, event: str) -> None:
        """Write that a subscription is done with the event ``publisher number``."""
        os.write(self._file, f"h {time.monotonic_ns()} {subscription} {event}\n".encode())

    def write_sample(self) -> None:
        """Write what this process holds."""
        threads, sockets, resident_kb = resources()
        self.write("s", threads, sockets, resident_kb, time.time())


class LedgerFile:
    """Reads what has come since the last look; a line that is half written waits for its other half."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def new_lines(self) -> Iterator[list[str]]:
        """Yield each new line as its words."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._offset += len(whole) + 1
            yield from (line.split(" ") for line in whole.decode().split("\n"))


def resources() -> tuple[int, int, int]:
    """Return the threads, the sockets and the resident kilobytes of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    sockets = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            sockets += str(entry.readlink()).startswith("socket:")
        except OSError:  # closed between the look and the reading, as the directory's own is
            continue
    return int(status["Threads"]), sockets, int(status["VmRSS"].split()[0])
