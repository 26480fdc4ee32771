"""``bus_amqp.publish.disk_outbox``: shared commits, adoption, and what is deleted when."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from bus_amqp.errors import BusClosedError, NotFoundOnBrokerError, OutboxFullError, OutboxStorageError
from bus_amqp.publish.adoption import PAGE_EVENTS
from bus_amqp.publish.disk_outbox import GATHER_EVENTS, DiskOutbox
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox import OVERHEAD_BYTES, Entry
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.receipt import ReceiptState
from bus_amqp.wire.message import Message
from tests.unit.fakes import Running, an_entry, wait_until, wait_until_blocked


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock):  # type: ignore[no-untyped-def]
    made: list[DiskOutbox] = []

    def make_one(max_events: int = 10_000, max_bytes: int = 10**9, **options: float) -> DiskOutbox:
        directory = OutboxDirectory(tmp_path, "bus.events", clock=clock)
        options.setdefault("gather_seconds", 0.0)
        made.append(DiskOutbox(max_events, max_bytes, directory, clock=clock, **options))
        return made[-1]

    yield make_one
    for outbox in made:
        outbox.close()


Make = Callable[..., DiskOutbox]


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


def test_rows_go_in_batches_and_the_file_with_the_last_of_them(make: Make, tmp_path: Path) -> None:
    """Deleting each event by itself would cost as much again as storing it."""
    outbox = make()
    put(outbox, *range(600))
    with patch.object(Journal, "delete_through", autospec=True, side_effect=Journal.delete_through) as delete:
        for _ in range(6):
            settle(outbox, outbox.take(100))
            outbox.tend()
        assert delete.call_count == 1

    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_settled_events_are_not_sent_again_after_a_crash(make: Make) -> None:
    """What is repeated is bounded by what was in hand: the rest is gone from the disk within a moment."""
    outbox = make()
    put(outbox, *range(10))
    settle(outbox, outbox.take(4))
    wait_until(lambda: outbox.tend() > 1, "the chores to be done")
    outbox.abandon_after_fork()  # leave the files as a crash would

    directory = OutboxDirectory(outbox._directory.path, "bus.events")
    [path] = directory.candidates()
    assert directory.adopt(path) is None, "its lock is still held here, as a living process's"


def test_what_another_exchange_left_is_not_sent_to_ours(make: Make, tmp_path: Path, clock: Clock) -> None:
    """Two buses may share a directory by mistake; their events must not change sides."""
    other = DiskOutbox(10, 10**6, OutboxDirectory(tmp_path, "other.events", clock=clock), clock=clock)
    put(other, 1)
    other.close()

    outbox = make()
    put(outbox, 2)

    assert words(take_all(outbox)) == [2]
    outbox.close()
    assert len(names(tmp_path, ".outbox")) == 1


def test_adopted_events_come_in_pages_and_their_file_goes_when_all_are_settled(make: Make, tmp_path: Path) -> None:
    """A crash in the middle of a backlog must find what was not confirmed."""
    left = make()
    put(left, *range(2 * PAGE_EVENTS))
    left.close()

    outbox = make()
    put(outbox, 9999)
    first = outbox.take(10_000)
    assert words(first) == list(range(PAGE_EVENTS))
    second = outbox.take(10_000)
    assert words(second) == list(range(PAGE_EVENTS, 2 * PAGE_EVENTS))
    outbox.restore([*first[5:], *second])
    assert words(outbox.take(10_000)) == words([*first[5:], *second])
    assert words(outbox.take(10_000)) == [9999]
    settle(outbox, first)
    outbox.tend()
    assert len(names(tmp_path, ".outbox")) == 2
    settle(outbox, second)
    outbox.tend()

    assert len(names(tmp_path, ".outbox")) == 1
    assert outbox.health().adopted_files == 0


def test_a_clock_that_was_set_back_does_not_put_new_events_before_old_ones(
    make: Make, clock: Clock, tmp_path: Path
) -> None:
    """Files go oldest first; an hour back, the newer one would look older."""
    for number in (1, 2):
        left = make()
        left._is_catching_up = False  # a process that ended before it could send
        put(left, number)
        left.close()
        clock.now -= 3600

    assert words(take_all(make())) == [1, 2]


def test_what_is_refused_for_good_goes_aside_only_if_nobody_was_told(make: Make, tmp_path: Path) -> None:
    """A caller has its receipt; of an adopted event only the aside file tells."""
    left = make()
    put(left, 1)
    left.close()
    outbox = make()
    put(outbox, 2)
    entries = [*outbox.take(10), *outbox.take(10)]
    assert words(entries) == [1, 2]

    for entry in entries:
        entry.receipt.settle(NotFoundOnBrokerError("no such exchange"))
        settle(outbox, [entry])
    outbox.tend()

    assert outbox.health().aside_files == 1
    assert outbox.health().moved_aside == 1


def test_closing_leaves_adopted_events_to_the_next_without_calling_them_refused(make: Make, tmp_path: Path) -> None:
    """They are neither lost nor failed: their file stays."""
    left = make()
    put(left, 1, 2)
    left.close()
    outbox = make()
    outbox.restore(outbox.take(1))
    put(outbox, 3)

    outbox.close()
    [own] = outbox.take(100)
    own.receipt.settle(BusClosedError(outbox.farewell))

    assert words([own]) == [3]
    assert outbox.open_events == 1
    assert names(tmp_path, ".aside") == []
    assert words(take_all(make())) == [1, 2, 3]


def test_too_old_events_in_a_journal_are_moved_aside_when_it_is_adopted(make: Make, clock: Clock) -> None:
    """The cap on age counts from acceptance, not from the restart."""
    left = make()
    put(left, 1)
    clock.now += 100
    put(left, 2)
    left.close()

    outbox = make(max_age_seconds=50)
    assert words(take_all(outbox)) == [2]
    outbox.tend()
    assert outbox.health().aside_files == 1


def test_the_bound_in_bytes_holds_on_disk(make: Make) -> None:
    """And what can never fit is refused for good."""
    outbox = make(max_bytes=3 * (100 + OVERHEAD_BYTES))
    put(outbox, 1, 2, 3)

    with pytest.raises(OutboxFullError):
        put(outbox, 4)


def test_events_that_come_one_by_one_are_sent_together_while_others_are_on_their_way(make: Make) -> None:
    """A commit hands the interpreter to the publisher each time: a write to the socket for each event costs the rate."""
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
