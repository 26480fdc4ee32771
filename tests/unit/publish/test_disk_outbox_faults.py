"""``bus_amqp.publish.disk_outbox``: disks that are full or damaged, and processes that fork."""

import logging
import os
import shutil
import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from bus_amqp.errors import OutboxStorageError
from bus_amqp.publish.disk_outbox import DiskOutbox
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox import OVERHEAD_BYTES
from bus_amqp.publish.outbox_directory import OutboxDirectory
from tests.unit.fakes import Running, an_entry
from tests.unit.publish.disk import Make, names, put, settle, take_all, words


@pytest.mark.parametrize("count", [1, 3])
def test_a_disk_that_takes_nothing_costs_the_callers_their_events_and_no_others(make: Make, count: int) -> None:
    """The caller gets the error; what was accepted before stays; it works again when there is room."""
    outbox = make(max_events=5)
    put(outbox, 1)

    with patch.object(Journal, "append", side_effect=OutboxStorageError("disk full")):
        for _ in range(4):
            with pytest.raises(OutboxStorageError, match="disk full") as refused:
                outbox.put_many([an_entry(9) for _ in range(count)], 0)
    assert refused.value.is_transient
    put(outbox, 2)

    assert outbox.open_events == 2
    assert outbox.open_bytes == 2 * (100 + OVERHEAD_BYTES)
    taken = outbox.take(10)
    assert words(taken) == [1, 2]
    settle(outbox, taken)
    assert outbox.wait_settled(0) == 0


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_of_a_damaged_file_everything_but_the_damage_is_sent(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: float
) -> None:
    """A bad block on the disk: what lies before and behind it is sent in order, the file is kept, the log says so."""
    left = make()
    put(left, *range(3000))
    left.close()
    newer = make()
    newer._is_catching_up = False
    put(newer, 3000)
    newer.close()
    damaged = sorted(tmp_path.glob("*.outbox"))[0]
    with damaged.open("r+b") as file:
        file.seek(int(damaged.stat().st_size * place) // 4096 * 4096)
        file.write(os.urandom(4096))

    outbox = make()
    with caplog.at_level(logging.ERROR):
        sent = words(take_all(outbox))

    assert sent == sorted(sent)
    assert len(sent) > 2950
    assert sent[0] == 0
    assert sent[-1] == 3000
    assert outbox.health().damaged_files == 1
    assert f"{damaged.name} is damaged and set aside" in caplog.text
    outbox.tend()
    assert names(tmp_path, ".outbox") == []


def test_a_directory_that_is_removed_is_made_again_with_what_is_unsent(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """P2: a removed file can be written to for ever, and what is in it would end with the process, unnoticed."""
    outbox = make()
    put(outbox, *range(600))
    settle(outbox, outbox.take(100))
    outbox.tend()
    shutil.rmtree(tmp_path)

    tmp_path.write_text("in the way")
    outbox._tidied_at = 0.0
    outbox.tend()
    assert "do not survive this process" in outbox.health().fault
    tmp_path.unlink()
    outbox._tidied_at = 0.0
    outbox.tend()
    assert outbox.health().fault == ""
    put(outbox, 600)
    outbox.close()

    assert "was removed while it was in use; its 500 events are stored anew" in caplog.text
    assert words(take_all(make())) == list(range(100, 601)), "as if this process had been killed"


def test_garbage_is_set_aside_and_the_rest_goes_on(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad file must not hold up the events of the others, nor the start of the process."""
    garbage = tmp_path / "00000000000000000001-x.outbox"
    garbage.write_bytes(b"garbage" * 1000)

    outbox = make()
    put(outbox, 1)
    with caplog.at_level(logging.ERROR):
        assert words(take_all(outbox)) == [1]

    assert not garbage.exists()
    assert garbage.with_suffix(".damaged").read_bytes() == b"garbage" * 1000
    assert "not a database" in caplog.text
    assert outbox.health().damaged_files == 1


def test_a_forked_child_writes_a_file_of_its_own_and_leaves_the_parents_alone(make: Make, tmp_path: Path) -> None:
    """SQLite's handle must not be used, nor closed, on both sides of a fork; nor may a child keep the parent's lock."""
    outbox = make()
    put(outbox, 1)

    child = os.fork()
    if child == 0:
        status = 1
        try:
            outbox.abandon_after_fork()
            put(outbox, 2)
            outbox.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    put(outbox, 3)
    assert len(names(tmp_path, ".outbox")) == 2
    outbox.close()

    assert words(take_all(make())) == [1, 3, 2]


def test_a_fork_waits_until_no_thread_is_inside_sqlite(make: Make) -> None:
    """A child that is made while a thread holds SQLite's locks would wait for that thread, which it has not."""
    outbox = make()
    is_over = threading.Event()

    def publish() -> None:
        while not is_over.is_set():
            put(outbox, 1)
            settle(outbox, outbox.take(1))

    publishing = Running(publish)
    for _ in range(20):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                outbox.abandon_after_fork()
                other = DiskOutbox(10, 10**6, OutboxDirectory(outbox._directory.path / "child", "bus.events"))
                put(other, 2)
                other.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    is_over.set()
    publishing.result()
