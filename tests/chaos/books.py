"""``Books``: the ledgers of all processes of a scenario, read into what the referee judges by.  Judges nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.ledger import LedgerFile, Sample


class Key(NamedTuple):
    """An event: the process that offered it, and its number there."""

    publisher: str
    number: int


class Handling(NamedTuple):
    """A subscription was done with an event."""

    at: int
    process: str
    key: Key


class GapTold(NamedTuple):
    """Health said that a subscription had no queue, in seconds of the wall clock."""

    subscription: str
    since: float
    until: float


class Note(NamedTuple):
    """Something that a process wrote down about itself."""

    at: int
    process: str
    text: str


@dataclass(slots=True)
class Books:
    """Times are ``CLOCK_MONOTONIC`` nanoseconds."""

    offered: dict[Key, int] = field(default_factory=dict)
    accepted: dict[Key, int] = field(default_factory=dict)
    confirmed: dict[Key, int] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)  # with the error's name
    failed: dict[Key, str] = field(default_factory=dict)
    longest_call_ns: int = 0
    handled: dict[str, list[Handling]] = field(default_factory=lambda: defaultdict(list))  # by subscription
    handled_keys: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))  # by process
    gaps: list[GapTold] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def read(self, process: str, ledger: LedgerFile) -> None:
        """Take in what the process has written since the last time."""
        for kind, stamp, *words in ledger.new_lines():
            at = int(stamp)
            match kind:
                case "h":
                    self.handle(at, process, words[0], Key(words[1], int(words[2])))
                case "o":
                    self.offered[Key(process, int(words[0]))] = at
                case "a":
                    self.accept(at, Key(process, int(words[0])))
                case "c":
                    self.confirmed[Key(process, int(words[0]))] = at
                case "x":
                    self.refuse(at, Key(process, int(words[0])), words[1])
                case "f":
                    self.failed[Key(process, int(words[0]))] = words[1]
                case "s":
                    threads, sockets, resident_kb = map(int, words[:3])
                    self.samples[process].append(Sample(at, threads, sockets, resident_kb, float(words[3])))
                case "g":
                    self.gaps.append(GapTold(words[0], float(words[1]), float(words[2])))
                case _:
                    self.notes.append(Note(at, process, " ".join(words)))

    def handle(self, at: int, process: str, subscription: str, key: Key) -> None:
        """Note one handling."""
        self.handled[subscription].append(Handling(at, process, key))
        self.handled_keys[subscription].add(key)

    def accept(self, at: int, key: Key) -> None:
        """Note that ``publish`` returned."""
        self.accepted[key] = at
        self.longest_call_ns = max(self.longest_call_ns, at - self.offered[key])

    def refuse(self, at: int, key: Key, error: str) -> None:
        """Note that ``publish`` raised."""
        self.refused[key] = error
        self.longest_call_ns = max(self.longest_call_ns, at - self.offered[key])

    def noted(self, word: str) -> list[Note]:
        """Return the notes that begin with a word."""
        return [note for note in self.notes if note.text.startswith(word)]
