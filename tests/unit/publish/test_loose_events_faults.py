"""``bus_amqp.publish.loose_events`` where a file, the disk or a process fails: nothing is lost, the rest goes on."""

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bus_amqp.errors import OutboxDamagedError
from bus_amqp.publish.loose_events import LooseEvents, parsed
from bus_amqp.publish.outbox_directory import OutboxDirectory
from tests.unit.publish.disk import Make, names, take_all, words
from tests.unit.publish.loose import WHOLE, add_some, gather, stored


@pytest.fixture
def loose(tmp_path: Path) -> LooseEvents:
    return LooseEvents(OutboxDirectory(tmp_path, "bus.events"))


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\0" * 300, b"[]", b"null", b"{}", bytes(range(128, 178)),
        b'{"version":1', b"[" * 100_000, b'{"version":"1"}',
        *(json.dumps({**WHOLE, **change}).encode() for change in (
            {"version": 2}, {"more": 1}, {"exchange": None}, {"timestamp": 1.0}, {"timestamp": True}, {"timestamp": -1},
            {"timestamp": 2**63}, {"acceptedAt": 1}, {"acceptedAt": float("nan")}, {"acceptedAt": float("inf")},
            {"body": "\ud800"}, {"routingKey": "\ud800"}, {"routingKey": "x" * 256}, {"mandatory": 1},
        )),
        json.dumps({name: value for name, value in WHOLE.items() if name != "appId"}).encode(),
        json.dumps({**WHOLE, "body": "x" * 5_000_000}).encode(),
    ],
    ids=lambda line: f"{len(line)} bytes",
)  # fmt: skip
def test_what_is_no_event_is_set_aside_and_the_rest_goes_on(
    line: bytes, loose: LooseEvents, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A power cut leaves empty files; one of them must not stop all others, nor vanish without a word."""
    (tmp_path / "00000000000000000001-x.event").write_bytes(line)
    add_some(tmp_path, 1)

    gather(loose)

    assert stored(tmp_path) == ["a.b.c.1.e"]
    assert names(tmp_path, ".event") == []
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path, ".damaged")] == [line]
    assert "is damaged and set aside" in caplog.text


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=())))
_CHANGES = st.dictionaries(st.one_of(st.sampled_from(sorted(WHOLE)), st.text(max_size=3)), _VALUES, max_size=3)


@given(st.one_of(st.binary(), _CHANGES.map(lambda changes: json.dumps({**WHOLE, **changes}).encode())))
@example(json.dumps(WHOLE).encode())
def test_what_is_taken_for_an_event_is_one_that_sqlite_takes(line: bytes) -> None:
    """An event that no journal takes would stop the gathering of all others, for ever."""
    try:
        exchange, (accepted_at, message) = parsed(line)
    except OutboxDamagedError:
        return
    row = (exchange, accepted_at, message.routing_key, message.body, message.timestamp, message.type, message.app_id)
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE x (a, b NOT NULL, c, d, e, f, g)")
        connection.execute("INSERT INTO x VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    connection.close()


def test_what_cannot_be_read_or_set_aside_stays_and_is_told_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file of another user, or a bad block: it is named, and the rest goes on."""
    unreadable, damaged = tmp_path / "00000000000000000001-x.event", tmp_path / "00000000000000000002-x.event"
    unreadable.mkdir()  # root may read every file, but no directory
    damaged.touch()
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self == damaged:
            raise PermissionError(1, "not permitted")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    add_some(tmp_path, 1)

    outbox = make(rescan_seconds=0.0)

    assert words(take_all(outbox)) == [1]
    assert names(tmp_path, ".event") == [unreadable.name, damaged.name]
    for path in (unreadable, damaged):
        assert caplog.text.count(f"{path} cannot be used, and stays") == 1


def test_a_crash_between_commit_and_removal_repeats_events_and_loses_none(
    loose: LooseEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the second one has the same id, and what has handled the first may know it by that."""
    add_some(tmp_path, 1, 2)
    unlink = Path.unlink

    def killed(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".event":
            raise KeyboardInterrupt
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            gather(loose)
    assert stored(tmp_path) == ["a.b.c.1.e", "a.b.c.2.e"]

    gather(LooseEvents(OutboxDirectory(tmp_path, "bus.events")))

    assert stored(tmp_path) == ["a.b.c.1.e", "a.b.c.2.e"] * 2


def test_what_is_gathered_and_cannot_be_removed_is_not_gathered_again(
    loose: LooseEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a second, for ever, would be the same event; so it is told instead."""
    add_some(tmp_path, 1)

    def refused(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(1, "not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        gather(loose)

    assert loose.look() == []
    assert "is gathered and cannot be removed" in caplog.text


def test_a_damaged_newest_journal_takes_no_loose_event(loose: LooseEvents, tmp_path: Path) -> None:
    """Who sends that journal sets it aside; the events go into one that is whole."""
    directory = OutboxDirectory(tmp_path, "bus.events")
    journal = directory.create()
    journal.close()
    with sqlite3.connect(journal.path) as connection:
        connection.execute("DROP TABLE events")
    connection.close()
    add_some(tmp_path, 1)

    _, into = loose.gather(loose.look())

    assert into is not None
    assert into.path > journal.path
    assert into.count()[0] == 1
    into.close()
