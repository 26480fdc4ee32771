"""The disk outboxes of a test, closed at its end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus_amqp.publish.disk_outbox import DiskOutbox
from bus_amqp.publish.outbox_directory import OutboxDirectory
from tests.unit.publish.disk import Clock, Make


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Make]:
    made: list[DiskOutbox] = []

    def make_one(max_events: int = 10_000, max_bytes: int = 10**9, **options: float) -> DiskOutbox:
        directory = OutboxDirectory(tmp_path, "bus.events", clock=clock)
        options.setdefault("gather_seconds", 0.0)
        made.append(DiskOutbox(max_events, max_bytes, directory, clock=clock, **options))
        return made[-1]

    yield make_one
    for outbox in made:
        outbox.close()
