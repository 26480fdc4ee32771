"""What a child process is told to do, and what it says when it is done.

Every client that is measured is a process of its own, so that its CPU time is its own.  It connects, writes
``ready``, waits for a line, works, and writes one line of JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

EXCHANGE = "bus.bench"
GROUP = "bench"
BINDING = "*.*.*.*.*"
PREFETCH = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement of one client.  ``warm_up`` events come first and are not measured."""

    mode: str
    url: str = ""
    queue: str = ""
    queue_type: str = ""
    events: int = 0
    warm_up: int = 0
    in_flight: int = 1_000
    rate: float = 0.0  # events per second, where a latency is measured; 0: as fast as it goes
    messages: str = ""  # the file of prepared messages
    has_disk_outbox: bool = False  # only the bus has one

    def to_json(self) -> str:
        """Return what the child reads from its command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return the task that the parent wrote."""
        return cls(**json.loads(text))

    def prepared(self) -> list[tuple[str, bytes]]:
        """Return routing keys and bodies, ready to be sent."""
        lines = Path(self.messages).read_bytes().splitlines()
        return [(key.decode(), body) for key, _, body in (line.partition(b"\t") for line in lines)]


def wait_for_start() -> None:
    """In the child: say that we are connected, and wait until the parent says go."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        raise SystemExit("the parent is gone")
