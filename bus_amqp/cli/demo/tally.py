"""Count what the parties have written down: nothing here asks the bus.

Ledger files are read as they grow, so the same numbers serve the live table and the summary.  An event is *lost* to a
party that should have had it and has not (so far), and a *duplicate* when the party has handled its id before.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bus_amqp.cli.demo import failures

RATE_SECONDS = 3.0
PUBLISHER = "management-server"
_MONITORING, _BILLING, _WORKFLOW = "monitoring", "billing", "workflow"
PARTIES = (_MONITORING, _BILLING, _WORKFLOW)


class GrowingFile:
    """Reads the complete lines that were appended since the last time.  A file that is not there yet has none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0

    def new_lines(self) -> list[bytes]:
        """Return them."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                read = file.read()
        except FileNotFoundError:
            return []
        complete = read[: read.rfind(b"\n") + 1]
        self._position += len(complete)
        return complete.splitlines()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many events a party should have handled, has handled and has met again; and the times they took, sorted."""

    expected: int
    handled: int
    duplicates: int
    latencies_seconds: Sequence[float]

    @property
    def lost(self) -> int:
        """How many are missing (while the scene runs: still on their way)."""
        return self.expected - self.handled

    def latency_seconds(self, share: float) -> float | None:
        """Return the time from publish to handled that this share of the events stayed within."""
        times = self.latencies_seconds
        return times[min(len(times) - 1, int(len(times) * share))] if times else None


@dataclass(slots=True)
class Party:
    """What one party (its processes together) should have handled, and what it has."""

    name: str
    processes: int = 1
    expected: set[UUID] = field(default_factory=set)
    handled: dict[UUID, float] = field(default_factory=dict)  # the seconds that it took
    duplicates: int = 0

    def handle(self, event_id: UUID, latency_seconds: float) -> None:
        """Count one event."""
        if event_id in self.handled:
            self.duplicates += 1
        else:
            self.handled[event_id] = latency_seconds

    def outcome(self) -> Outcome:
        """Return the numbers.  What an earlier run left in a queue was not expected, and is not in them."""
        times = sorted(seconds for event_id, seconds in self.handled.items() if event_id in self.expected)
        return Outcome(len(self.expected), len(times), self.duplicates, times)


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the sum."""
    parts = list(outcomes)
    return Outcome(
        sum(part.expected for part in parts),
        sum(part.handled for part in parts),
        sum(part.duplicates for part in parts),
        sorted(seconds for part in parts for seconds in part.latencies_seconds),
    )


class Tally:
    """All numbers of the scene, from the ledgers of its processes."""

    def __init__(self, ledgers: dict[str, Sequence[Path]]) -> None:
        self.parties = {name: Party(name, processes=len(ledgers.get(name, ()))) for name in PARTIES}
        self.published = 0
        self.confirmed = 0
        self.kinds: Counter[tuple[str, str]] = Counter()  # category and type, as monitoring saw them
        self._follow_ups: set[UUID] = set()
        self._recent: deque[tuple[float, Counter[tuple[str, str]]]] = deque()
        self._files = [(name, GrowingFile(path)) for name, paths in ledgers.items() for path in paths]

    def read(self, now: float) -> bool:
        """Take in what was written since the last call; return whether it was anything.

        ``now`` is of any clock that goes on, in seconds.
        """
        lines = [(name, json.loads(line)) for name, file in self._files for line in file.new_lines()]
        for name, line in lines:
            self._count(name, line)
        self._recent.append((now, self.kinds.copy()))
        while now - self._recent[0][0] > RATE_SECONDS:
            self._recent.popleft()
        return bool(lines)

    def _count(self, name: str, line: dict[str, Any]) -> None:
        event_id = UUID(line["id"])
        match line["what"]:
            case "accepted":
                self.published += 1
                self._expect(event_id, line)
            case "confirmed":
                self.confirmed += 1
            case failures.OPENED | failures.CLOSED as told:
                # Not from the workflow's own books: what it never did must be missing at monitoring.
                follow_up = failures.follow_up_id(event_id, told)
                self._follow_ups.add(follow_up)
                self.parties[_MONITORING].expected.add(follow_up)
            case "handled" | "discarded":
                self.parties[name].handle(event_id, line["at"] - line["time"])
                if name == _MONITORING:
                    self.kinds[line["category"], line["type"]] += 1

    def _expect(self, event_id: UUID, line: dict[str, Any]) -> None:
        self.parties[_MONITORING].expected.add(event_id)
        if line["category"] == "UsageEvent":
            self.parties[_BILLING].expected.add(event_id)
        if line["category"] == "ActionEvent":
            self.parties[_WORKFLOW].expected.add(event_id)

    @property
    def follow_ups_seen(self) -> int:
        """How many events of the workflow have arrived."""
        return len(self._follow_ups & self.parties[_MONITORING].handled.keys())

    @property
    def is_complete(self) -> bool:
        """Whether every party has handled all that it should, so far."""
        return all(party.expected <= party.handled.keys() for party in self.parties.values())

    def rates(self) -> dict[tuple[str, str], float]:
        """Return events per second by category and type, as monitoring saw them in the last seconds."""
        (start, before), (end, after) = self._recent[0], self._recent[-1]
        seconds = end - start
        return {kind: (count - before[kind]) / seconds if seconds else 0.0 for kind, count in after.items()}
