"""``History``: every attempt, bounded for each webhook by itself, from several processes at once."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus_amqp.extension.webhook.errors import HistoryError
from bus_amqp.extension.webhook.history import History
from bus_amqp.extension.webhook.record import Delivery, Kind

KEPT = 3


def a_delivery(number: int = 0, webhook: str = "crm", **fields: object) -> Delivery:
    made = Delivery(
        webhook=webhook,
        kind=Kind.EVENT,
        event_id=f"event-{number}",
        event_type="VM.START",
        attempted_at=datetime(2026, 3, 1, 12, 0, number % 60, tzinfo=UTC),
        duration_seconds=0.25,
        url="https://hooks.example/",
        address="8.8.8.8",
        request_headers={"X-Bus-Event-Id": f"event-{number}"},
        status=200,
        excerpt="thank you",
        error=None,
        is_success=True,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's short hand


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with closing(History(tmp_path / "h.db", deliveries=KEPT)) as history:
        yield history


def test_what_is_written_down_is_read_back(history: History) -> None:
    """All of it: it is what an operator has when a receiver says that nothing came."""
    sent = a_delivery(status=None, address=None, error="no answer within 10 s", is_success=False, kind=Kind.TEST)

    number = history.record(sent, b"body")

    assert history.delivery(number) == replace(sent, number=number)
    assert history.body_of(sent) == b"body"


def test_the_oldest_are_forgotten_and_those_of_other_webhooks_are_not(history: History) -> None:
    """The original deletes whatever is not among the newest of one webhook: all of the others' history."""
    history.record(a_delivery(webhook="quiet"), b"quiet")
    for number in range(10):
        history.record(a_delivery(number, webhook="busy"), b"busy")

    assert [one.event_id for one in history.latest(webhook="busy")] == ["event-9", "event-8", "event-7"]
    (quiet,) = history.latest(webhook="quiet")
    assert history.body_of(quiet) == b"quiet"
    assert history.body_of(a_delivery(0, webhook="busy")) is None


def test_a_body_is_kept_once_and_as_long_as_one_of_its_attempts(history: History, tmp_path: Path) -> None:
    """A megabyte that is tried eight times is a megabyte; and a redelivery needs it."""
    for _ in range(KEPT):
        history.record(a_delivery(1), b"one")
    history.record(a_delivery(2), b"two")

    with closing(sqlite3.connect(tmp_path / "h.db")) as other:
        assert other.execute("SELECT count(*) FROM body").fetchone() == (2,)
    for _ in range(KEPT):
        history.record(a_delivery(3), b"three")
    with closing(sqlite3.connect(tmp_path / "h.db")) as other:
        assert other.execute("SELECT event_id FROM body").fetchall() == [("event-3",)]


def test_deliveries_are_found_by_webhook_event_and_failure(history: History) -> None:
    """The newest first: that is what went wrong just now."""
    history.record(a_delivery(1), b"")
    failed = history.record(a_delivery(2, status=500, is_success=False), b"")
    history.record(a_delivery(2), b"")
    history.record(a_delivery(1, webhook="erp"), b"")

    assert [one.webhook for one in history.latest()] == ["erp", "crm", "crm", "crm"]
    assert [one.number for one in history.latest(failed_only=True)] == [failed]
    assert len(history.latest(webhook="crm", event_id="event-2")) == 2
    assert len(history.latest(limit=2)) == 2
    assert history.latest(webhook="gone") == []
    assert history.delivery(99) is history.delivery(0) is history.delivery(10**30) is None


def test_the_first_attempt_of_the_bus_is_remembered(history: History) -> None:
    """From it is counted how long a receiver may ask for more time; a redelivery by hand does not count."""
    history.record(a_delivery(1, kind=Kind.REDELIVERY), b"")
    assert history.first_attempt_at("crm", "event-1") is None
    for second in (20, 40):
        history.record(a_delivery(1, attempted_at=datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC)), b"")

    assert history.first_attempt_at("crm", "event-1") == datetime(2026, 3, 1, 12, 0, 20, tzinfo=UTC)
    assert history.first_attempt_at("erp", "event-1") is None


def test_only_its_owner_may_read_it(history: History, tmp_path: Path) -> None:
    """It holds what was sent, to whoever it was sent."""
    history.record(a_delivery(), b"")

    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_what_is_written_survives_a_process_that_ends_badly(tmp_path: Path) -> None:
    """A receiver that has the event and a history that does not know of it: nobody could explain that."""
    path = tmp_path / "h.db"
    history = History(path, deliveries=KEPT)
    history.record(a_delivery(), b"")

    with closing(History(path, deliveries=KEPT)) as other:  # while the first is open, and never closed
        assert len(other.latest()) == 1
    history.close()


PROGRAM = """
import sys
from pathlib import Path
from bus_amqp.extension.webhook.history import History
from tests.unit.extension.webhook.test_history import a_delivery
path, webhook = Path(sys.argv[1]), sys.argv[2]
for turn in range(5):
    history = History(path, deliveries=30)
    for number in range(20):
        history.record(a_delivery(number, webhook=webhook), webhook.encode())
    history.close()
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    """`bus-amqp webhooks run` is started as often as one likes, and the file is made by whoever is first."""
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "h.db"), f"hook-{number % 2}"], stderr=-1)
        for number in range(4)
    ]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err.decode()

    with closing(History(tmp_path / "h.db", deliveries=30)) as history:
        assert [len(history.latest(webhook=f"hook-{number}", limit=99)) for number in (0, 1)] == [30, 30]


def test_several_threads_write_at_once(history: History) -> None:
    """Each webhook has worker threads of its own."""
    threads = [
        threading.Thread(target=lambda name=name: [history.record(a_delivery(n, name), b"") for n in range(50)])
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(history.latest(webhook=name)) for name in "abcd"] == [KEPT] * 4


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 50])
def test_a_file_that_is_no_history_is_named(tmp_path: Path, content: bytes) -> None:
    """And left alone."""
    file = tmp_path / "h.db"
    file.write_bytes(content)

    with pytest.raises(HistoryError, match=r"h\.db"):
        History(file, deliveries=1)

    assert file.read_bytes() == content


def test_a_file_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    """An older program beside a newer one must not write rows that the newer does not understand."""
    with closing(sqlite3.connect(tmp_path / "h.db")) as other:
        other.execute("PRAGMA user_version = 99")

    with pytest.raises(HistoryError, match="another version"):
        History(tmp_path / "h.db", deliveries=1)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """At the start, not at the first delivery."""
    with pytest.raises(HistoryError, match=r"gone/h\.db"):
        History(tmp_path / "gone" / "h.db", deliveries=1)
