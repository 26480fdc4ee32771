"""``bus_amqp.publish.disk_outbox``: shared commits, and what is deleted when."""

import shutil
import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from bus_amqp.errors import OutboxFullError
from bus_amqp.publish import disk_outbox
from bus_amqp.publish.disk_outbox import GATHER_EVENTS, DiskOutbox
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox import OVERHEAD_BYTES, Entry
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.receipt import ReceiptState
from bus_amqp.wire.message import Message
from tests.unit.fakes import Running, an_entry, wait_until, wait_until_blocked
from tests.unit.publish.disk import Make, put, settle, take_all, words


def test_an_event_is_on_disk_when_put_returns(make: Make, tmp_path: Path) -> None:
    """P2: what the caller was told is accepted survives from that moment on."""
    outbox = make()
    [entry] = put(outbox, 1)

    assert entry.receipt.state is ReceiptState.STORED
    outbox.close()
    assert words(take_all(make())) == [1]


def test_callers_that_come_while_a_commit_is_under_way_share_the_next_one(make: Make) -> None:
    """The disk is the slow part: ten threads must not wait for ten commits."""
    outbox = make()
    put(outbox, 0)
    may_write, commits = threading.Event(), []
    append = Journal.append

    def slow(journal: Journal, events: list[tuple[int, Message]], accepted_at: float) -> None:
        commits.append([number for number, _ in events])
        assert may_write.wait(5)
        append(journal, events, accepted_at)

    with patch.object(Journal, "append", slow):
        calls = [Running(lambda: outbox.put(an_entry(1), 0))]
        wait_until(lambda: commits, "the first commit")
        for number in range(2, 8):
            calls.append(Running(lambda number=number: outbox.put(an_entry(number), 0)))  # type: ignore[misc]
            wait_until(lambda number=number: outbox.accepted == number + 1, "the call to be noted")  # type: ignore[misc]
        for call in calls[2:]:
            wait_until_blocked(call.thread)
        assert words(outbox.take(10)) == [0], "nothing is handed out before it is stored"
        may_write.set()
        for call in calls:
            call.result()

    assert commits == [[2], [3, 4, 5, 6, 7, 8]]
    taken = outbox.take(100)
    assert words(taken) == list(range(1, 8))
    assert [entry.number for entry in taken] == list(range(2, 9))


def test_a_copy_keeps_its_place_behind_what_is_being_stored_and_is_not_stored(make: Make, tmp_path: Path) -> None:
    """Its original waits on the broker; on disk it would be sent by somebody who cannot acknowledge that."""
    outbox = make()
    put(outbox, 1)
    copy = Entry(Message("a.b.c.2.e", b"", exchange=""), an_entry().receipt)
    outbox.put_copy(copy)

    assert words(outbox.take(10)) == [1, 2]
    outbox.close()
    assert words(take_all(make())) == [1]


def test_rows_go_in_batches_and_the_file_with_the_last_of_them(make: Make, tmp_path: Path) -> None:
    """Deleting each event by itself would cost as much again as storing it."""
    outbox = make()
    put(outbox, *range(600))
    with (
        patch.object(disk_outbox, "TIDY_SECONDS", 60.0),  # else it is time on a busy machine
        patch.object(Journal, "delete_through", autospec=True, side_effect=Journal.delete_through) as delete,
    ):
        for _ in range(6):
            settle(outbox, outbox.take(100))
            outbox.tend()
        assert delete.call_count == 1
        assert outbox._own._journal is not None
        assert outbox._own._journal.count()[0] < 600 - 512

    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_settled_events_are_not_sent_again_after_a_crash(make: Make, tmp_path: Path) -> None:
    """What is repeated is bounded by what was in hand: the rest is gone from the disk within a moment."""
    outbox = make()
    put(outbox, *range(10))
    settle(outbox, outbox.take(4))
    wait_until(lambda: outbox.tend() >= 1, "the chores to be done")

    directory = OutboxDirectory(outbox._directory.path, "bus.events")
    [path] = directory.candidates()
    assert directory.adopt(path) is None, "its lock is still held here, as a living process's"
    after_a_crash = tmp_path / "after"
    after_a_crash.mkdir()
    for file in tmp_path.glob(f"{path.name}*"):
        shutil.copy(file, after_a_crash)
    rest = DiskOutbox(100, 10**6, OutboxDirectory(after_a_crash, "bus.events"))
    assert words(take_all(rest)) == [4, 5, 6, 7, 8, 9]
    rest.close()


def test_the_bound_in_bytes_holds_on_disk(make: Make) -> None:
    """And what can never fit is refused for good."""
    outbox = make(max_bytes=3 * (100 + OVERHEAD_BYTES))
    put(outbox, 1, 2, 3)

    with pytest.raises(OutboxFullError):
        put(outbox, 4)


def test_events_that_come_one_by_one_are_sent_together_while_others_are_on_their_way(make: Make) -> None:
    """A commit hands the interpreter to the publisher each time: a write for each event would cost the rate."""
    outbox = make(gather_seconds=0.05)
    put(outbox, 1)
    first = outbox.take(10)
    assert words(first) == [1], "nothing is on its way: it does not wait"

    put(outbox, 2, 3)
    assert outbox.take(10) == []
    assert outbox.tend() <= 0.05
    wait_until(lambda: (taken := outbox.take(10)) and words(taken) == [2, 3], "the rest, in a moment")

    put(outbox, *range(4, 4 + GATHER_EVENTS))
    assert len(outbox.take(1000)) == GATHER_EVENTS, "a whole batch does not wait"
