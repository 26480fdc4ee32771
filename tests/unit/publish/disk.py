"""A disk outbox whose clock is the test's, and the moves that its tests share."""

from collections.abc import Callable
from pathlib import Path

from bus_amqp.publish.disk_outbox import DiskOutbox
from bus_amqp.publish.outbox import Entry
from tests.unit.fakes import an_entry

Make = Callable[..., DiskOutbox]


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def put(outbox: DiskOutbox, *numbers: int) -> list[Entry]:
    entries = [an_entry(number) for number in numbers]
    for entry in entries:
        outbox.put(entry, 0)
    return entries


def words(entries: list[Entry]) -> list[int]:
    """The numbers that the test gave its entries."""
    return [int(entry.message.routing_key.split(".")[3]) for entry in entries]


def take_all(outbox: DiskOutbox) -> list[Entry]:
    taken: list[Entry] = []
    while entries := outbox.take(100):
        taken += entries
        settle(outbox, entries)
    return taken


def settle(outbox: DiskOutbox, entries: list[Entry]) -> None:
    outbox.done(len(entries), sum(entry.size_bytes for entry in entries), entries[-1].number)


def names(tmp_path: Path, suffix: str) -> list[str]:
    return sorted(path.name for path in tmp_path.glob(f"*{suffix}"))
