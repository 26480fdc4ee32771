"""``bus_amqp.publish.disk_outbox``: chores that a disk refuses, and what comes of it."""

import logging
from pathlib import Path
from unittest.mock import patch

import pytest

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish import adoption, journal
from bus_amqp.publish.aside import send_aside_again
from bus_amqp.publish.journal import Journal
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.publish.sqlite_file import SqliteFile
from tests.unit.fakes import Running, an_entry, wait_until
from tests.unit.publish.disk import Clock, Make, names, put, settle, take_all, words

DAY = 86_400.0


def leave(make: Make, *numbers: int) -> None:
    left = make()
    left._is_catching_up = False
    put(left, *numbers)
    left.close()


def test_a_file_that_cannot_be_removed_is_removed_later(make: Make, tmp_path: Path) -> None:
    """A directory whose rights were taken away: that must neither end the publisher thread nor repeat the events."""
    leave(make, 1, 2)
    outbox = make()

    with patch.object(Path, "unlink", side_effect=PermissionError(1, "not permitted")):
        assert words(take_all(outbox)) == [1, 2]
        outbox.tend()
        outbox.tend()
        assert "cannot be removed: not permitted" in outbox.health().fault
    outbox.tend()

    assert outbox.health().fault == ""
    assert names(tmp_path, ".outbox") == []


def test_an_own_file_that_cannot_be_removed_stays_in_use(make: Make, tmp_path: Path) -> None:
    """It had grown large and all of it is sent."""
    outbox = make()
    with patch.object(Journal, "is_larger_than", return_value=True):
        put(outbox, 1)
        settle(outbox, outbox.take(1))
        with patch.object(Path, "unlink", side_effect=PermissionError(1, "not permitted")):
            wait_until(lambda: outbox.tend() is not None and outbox.health().fault, "the fault")
        put(outbox, 2)
        assert len(names(tmp_path, ".outbox")) == 1
        settle(outbox, outbox.take(1))
        wait_until(lambda: outbox.tend() > 1, "the chores to be done")

    assert names(tmp_path, ".outbox") == []


def test_ctrl_c_while_another_thread_commits_hangs_nobody(make: Make) -> None:
    """Who waits for the disk first has others behind him: they must not wait for somebody who is gone."""
    outbox = make()
    outbox._own.committing.acquire()
    first = _Interrupted(outbox._own)
    with patch.object(outbox, "_own", first):
        leading = Running(lambda: outbox.put(an_entry(1), 0))
        wait_until(lambda: outbox._gathering is not None and first.tries == 2, "the leader, interrupted")
        following = Running(lambda: outbox.put(an_entry(2), 0))
        wait_until(lambda: outbox.open_events == 2, "another in its batch")
        first.committing_lock.release()

        with pytest.raises(KeyboardInterrupt):
            leading.result()
        with pytest.raises(OutboxStorageError, match="interrupted"):
            following.result()
    put(outbox, 3)

    assert words(take_all(outbox)) == [3]
    assert outbox.open_events == 0


class _Interrupted:
    """An own journal whose lock is interrupted by Ctrl-C the first time that somebody waits for it."""

    def __init__(self, own: object) -> None:
        self._own = own
        self.committing_lock = own.committing  # type: ignore[attr-defined]
        self.tries = 0

    @property
    def committing(self) -> object:
        self.tries += 1
        if self.tries == 1:
            raise KeyboardInterrupt
        return self.committing_lock

    def __getattr__(self, name: str) -> object:
        return getattr(self._own, name)


def test_what_is_sent_in_time_leaves_nothing_of_its_age(make: Make) -> None:
    """A day's maximum age would else keep a day's commits in memory."""
    outbox = make(max_age_seconds=DAY)

    for _ in range(10):
        put(outbox, *range(50))
        settle(outbox, outbox.take(50))

    assert not outbox._ages


def test_events_go_aside_as_soon_as_the_disk_takes_them(make: Make, clock: Clock) -> None:
    """A fault on the way there is in health while it lasts, and holds nothing for ever."""
    outbox = make(max_age_seconds=60)
    put(outbox, 1)
    clock.now += 61

    with patch.object(SqliteFile, "transaction", side_effect=OutboxStorageError("disk full")):
        for _ in range(3):
            assert outbox.overdue() == ()
            outbox.tend()
            assert "cannot be moved aside: disk full" in outbox.health().fault
    [(entry, _)] = outbox.overdue()

    assert words([entry]) == [1]
    outbox.tend()
    assert outbox.health().fault == ""
    assert outbox.health().moved_aside == 1


def test_events_that_are_aside_and_cannot_be_deleted_are_aside_once(make: Make, clock: Clock) -> None:
    """Deleting fails on a full disk before storing does."""
    outbox = make(max_age_seconds=60)
    put(outbox, 1)
    clock.now += 61

    with patch.object(Journal, "delete", side_effect=OutboxStorageError("disk full")):
        assert len(outbox.overdue()) == 1
        assert outbox.overdue() == ()

    assert outbox.health().moved_aside == 1
    assert outbox.take(10) == []


def test_a_backlog_that_is_too_old_is_moved_aside_part_by_part(
    make: Make, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is ever with the broker, so no confirm bounds what is in memory."""
    monkeypatch.setattr(adoption, "PAGE_EVENTS", 10)
    monkeypatch.setattr(adoption, "OPEN_BYTES", 20 * 300)
    leave(make, *range(100))
    clock.now += 61
    outbox = make(max_age_seconds=60)

    turns = 0
    while outbox.health().adopted_files:
        assert outbox.take(1000) == []
        assert sum(len(page.failed) for page in (*outbox._adoption._pages, *outbox._adoption._settled)) <= 40
        outbox.tend()
        turns += 1
        assert turns < 100

    assert outbox.health().moved_aside == 100
    assert turns > 2


def test_a_damaged_file_that_cannot_be_copied_is_tried_again(make: Make, tmp_path: Path) -> None:
    """A full disk has no room for the copy: what can still be read must not be put away unread."""
    leave(make, *range(3))
    damage = OutboxDamagedError("a bad block")

    outbox = make()
    with (
        patch.object(Journal, "read", side_effect=damage),
        patch.object(Journal, "read_backwards", side_effect=OutboxStorageError("disk full")),
    ):
        assert take_all(outbox) == []
    outbox.close()
    assert names(tmp_path, ".damaged") == []

    assert words(take_all(make())) == [0, 1, 2]


def test_a_disk_that_cannot_be_read_now_damages_nothing(make: Make, tmp_path: Path) -> None:
    """An input error may pass; what was sent before it is not sent again, and the rest is, later."""
    leave(make, *range(600))
    outbox = make(rescan_seconds=0.0)
    first = outbox.take(512)

    with patch.object(Journal, "read", side_effect=OutboxStorageError("I/O error")):
        assert outbox.take(100) == []
        settle(outbox, first)
        outbox.tend()
    assert names(tmp_path, ".damaged") == []
    put(outbox, 600)

    assert words([*first, *take_all(outbox), *take_all(outbox)]) == [*range(512), 600, *range(512, 600)]
    outbox.tend()
    assert len(names(tmp_path, ".outbox")) <= 1


def test_nothing_is_taken_from_others_while_it_cannot_be_sent(make: Make) -> None:
    """Somebody with a connection would send it now, and later events of the same process before these."""
    cut_off = make(rescan_seconds=0.0)
    leave(make, 1)

    cut_off.tend()
    connected = make(rescan_seconds=0.0)

    assert words(take_all(connected)) == [1]


def test_a_fault_of_the_aside_file_passes(make: Make, clock: Clock) -> None:
    """It is opened for each time: one error must not keep its lock."""
    outbox = make(max_age_seconds=60)
    put(outbox, 1)
    clock.now += 61
    assert len(outbox.overdue()) == 1
    put(outbox, 2)
    clock.now += 61

    with patch.object(journal, "_checked_exchange", side_effect=OutboxStorageError("disk full")):
        assert outbox.overdue() == ()
    assert len(outbox.overdue()) == 1


@pytest.mark.parametrize("is_open", [True, False], ids=["by put", "by forward --again"])
def test_a_damaged_aside_file_is_put_away_and_the_rest_goes_on(
    make: Make, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_open: bool
) -> None:
    """It must keep neither later events from being moved aside, nor whole files from being sent."""
    outbox, other = make(max_age_seconds=60), make(max_age_seconds=60)
    for one in (outbox, other):
        put(one, 1)
        clock.now += 61
        assert len(one.overdue()) == 1
    [damaged, whole] = sorted(tmp_path.glob("*.aside"))
    damaged.write_bytes(b"garbage" * 1000)

    with caplog.at_level(logging.ERROR):
        if is_open:
            put(outbox, 2)
            clock.now += 61
            assert len(outbox.overdue()) == 1
        sent_again = send_aside_again(OutboxDirectory(tmp_path, "bus.events", clock=clock), clock)

    assert sent_again == 1 + is_open
    assert damaged.with_suffix(".damaged").exists()
    assert not whole.exists()
    assert f"{damaged.name} is damaged" in caplog.text


def test_the_log_stays_short_while_nothing_can_be_sent(make: Make, tmp_path: Path) -> None:
    """A broker that is away for an hour: each event took five kilobytes of disk, ten times its size."""
    outbox = make()
    for first in range(0, 8000, 500):
        put(outbox, *range(first, first + 500))
        assert outbox.tend() <= 1, "also where nothing else wakes the publisher thread: a broker that blocks"

    [log] = tmp_path.glob("*.outbox-wal")
    assert log.stat().st_size < 16 * 1024 * 1024
