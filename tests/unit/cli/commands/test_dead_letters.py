"""`bus-amqp dead-letters` on a broker in memory: what an operator reads, and what the status tells a script."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bus_amqp.cli.main import main
from bus_amqp.topology import names
from tests.promise.subscribers import an_event
from tests.unit.admin.desk import BUS, DEAD, HOME, Desk, a_desk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A broker in memory with one group."""
    with a_desk() as desk:
        yield desk


@pytest.fixture
def run(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `bus-amqp dead-letters` and return status, stdout and stderr."""

    def call(command: str, *arguments: str, whose: tuple[str, ...] = ("--group", "billing")) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["dead-letters", command, *arguments, *whose, "--url", desk.url, "--exchange", BUS])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_the_list_tells_what_why_when_and_by_whom(desk: Desk, run: Run) -> None:
    """Two lines a letter: enough to decide without opening each."""
    event = an_event(0)
    desk.fail(event, failed_at=datetime.now(UTC) - timedelta(hours=2, minutes=5), attempts=5)
    desk.leave(b"\x1b[2Jnonsense", headers={"x-bus-reason": "not-json", "x-bus-exception": "\x1b]0;mine\x07 \n x"})

    status, out, err = run("list")

    assert status == 0
    assert out.splitlines()[0] == f"    1  {event.event_id} VM.START VirtualMachine r-0 from management-server"
    assert out.splitlines()[1].startswith("       exception after 5 attempts, 2h ago, charge on ")
    assert out.splitlines()[1].endswith(": ValueError: no")
    assert out.splitlines()[2] == "    2  (no id) no event of ours, 12 bytes"
    assert out.splitlines()[3] == r"       not-json, at an unknown time: \x1b]0;mine\x07 x"
    assert err == "bus.billing.dead: 2 letters, 2 shown\n"
    assert len(desk.entries(DEAD)) == 2


def test_the_list_is_json_for_scripts(desk: Desk, run: Run) -> None:
    """One object a line, without the bodies."""
    desk.fail_many(3)

    status, out, err = run("list", "--json", "--limit", "2")

    assert status == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [record["position"] for record in records] == [1, 2]
    assert records[0]["reason"] == "exception"
    assert records[0]["last_failure"] == "2026-11-22T12:00:00.000+00:00"
    assert "body" not in records[0]
    assert err == "bus.billing.dead: 3 letters, 2 shown; there may be more: --limit\n"


def test_filters_are_options(desk: Desk, run: Run) -> None:
    """By topic, reason, exception and age, all at once."""
    desk.fail(an_event(0, event_type="VM.STOP"), failed_at=datetime.now(UTC) - timedelta(hours=3))
    desk.fail(an_event(1, event_type="VM.STOP"), failed_at=datetime.now(UTC))
    desk.fail(an_event(2), failed_at=datetime.now(UTC) - timedelta(hours=3), reason="no-topic", explanation="none")

    def found(*arguments: str) -> list[int]:
        status, out, _ = run("list", "--json", *arguments)
        assert status == 0
        return [json.loads(line)["position"] for line in out.splitlines()]

    assert found("--type", "*.STOP", "--older-than", "2h") == [1]
    assert found("--newer-than", "2h") == [2]
    assert found("--reason", "no-topic") == [3]
    assert found("--exception", "VALUEERROR", "--category", "ResourceStateEvent") == [1, 2]
    assert found("--resource-uuid", "r-1") == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["list"], "either --group GROUP or --temporary"),
        (["list", "--group", "a", "--temporary"], "either --group GROUP or --temporary"),
        (["list", "--group", "a.b"], "use 1 to 64 of the characters"),
        (["list", "--group", "a", "--older-than", "2 hours"], "is no length of time"),
        (["list", "--group", "a", "--older-than", "999999w"], "before the year 1"),
        (["list", "--group", "a", "--type", "VM*"], "whole words"),
        (["list", "--group", "a", "--limit", "0"], "Invalid value for '--limit'"),
        (["drop", "--group", "billing"], "Nobody is here to ask: say --yes"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    desk: Desk, arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip must not look at, or drop, the letters of another."""
    desk.fail_many(1)

    assert main(["dead-letters", *arguments, "--url", desk.url, "--exchange", BUS]) == 2

    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert fault in told.err
    assert len(desk.entries(DEAD)) == 1


def test_a_letter_is_shown_in_full_by_its_number_or_its_event(desk: Desk, run: Run) -> None:
    """Headers and body, laid out; nothing in it steers the terminal."""
    events = desk.fail_many(3)

    status, out, _ = run("show", "2")
    assert status == 0
    assert f"event id      {events[1].event_id}\n" in out
    assert "reason        exception\n" in out
    assert "last failure  2026-11-22 12:01:00Z\n" in out
    assert "header        x-bus-queue = 'bus.billing'\n" in out
    assert '  "eventType": "VM.START",\n' in out
    again = run("show", str(events[1].event_id))[1]
    assert again.replace("header        x-delivery-count = 1\n", "") == out  # the look before has been counted

    record = json.loads(run("show", "2", "--json")[1])
    assert json.loads(record["body"])["eventId"] == str(events[1].event_id)


@pytest.mark.parametrize(
    "body", [b"\x1b[31mred\x07", b"[" * 9000 + b"]" * 9000, b"1" * 100_000, b'"' + b"\\n" * 30_000 + b'"', b"\xff\x00"]
)
def test_a_hostile_body_is_shown_safely(desk: Desk, run: Run, body: bytes) -> None:
    """Control characters, depths that no parser takes, and megabytes: bounded, escaped, and no traceback."""
    desk.leave(body)

    status, out, _ = run("show", "1")

    assert status == 0
    assert all(sign.isprintable() or sign == "\n" for sign in out)
    assert len(out) < 200_000


def test_a_letter_that_is_not_there_is_status_1(desk: Desk, run: Run) -> None:
    """A script must not take silence for the letter."""
    assert run("show", "7")[::2] == (1, "error: bus.billing.dead: no letter '7' (a number counts from 1, the oldest)\n")
    assert run("show", "0")[0] == 1
    assert run("list", whose=("--group", "nobody"))[0] == 1
    assert run("list", whose=("--temporary",))[0] == 1


def test_retry_puts_back_and_counts(desk: Desk, run: Run) -> None:
    """The last line is what a script reads; what stays is named, and makes status 1."""
    events = desk.fail_many(4)

    assert run("retry", "--dry-run", "--type", "VM.#") == (0, "4 would be put back\n", "")
    assert run("retry", str(events[2].event_id)) == (0, "1 put back\n", "")
    assert desk.numbers(HOME) == [2]
    assert run("retry", "--limit", "1")[1] == "1 put back\n"
    assert desk.numbers(HOME) == [2, 0]

    desk.connection.delete_queue(HOME)
    status, out, err = run("retry")
    assert (status, out) == (1, "0 put back, 2 stay\n")
    assert f"error: {events[1].event_id} stays: queue bus.billing is gone; --to GROUP puts it on a group's\n" in err

    heir = desk.make_group("heir")
    assert run("retry", "--to", "heir") == (0, "2 put back\n", "")
    assert desk.numbers(heir) == [1, 3]


def test_many_that_stay_are_not_many_lines(desk: Desk, run: Run) -> None:
    """A deleted queue with a million letters."""
    desk.fail_many(50)
    desk.connection.delete_queue(HOME)

    _, out, err = run("retry")

    assert out == "0 put back, 50 stay\n"
    assert err.count("\n") == 21
    assert err.endswith("error: and 30 more stay\n")


def test_retry_works_for_temporary_subscriptions(desk: Desk, run: Run) -> None:
    """Those whose subscription has ended stay."""
    desk.make_group(None)
    desk.fail(an_event(0), group=None, queue="bus.tmp.gone")

    status, out, _ = run("retry", whose=("--temporary",))

    assert (status, out) == (1, "0 put back, 1 stay\n")
    assert len(desk.entries(names.dead_queue(BUS, None))) == 1


def test_drop_asks_and_says_how_many(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one thing that cannot be undone."""
    for number in range(5):
        desk.fail(an_event(number, event_type=("VM.START", "VM.STOP")[number % 2]))
    questions: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "bus_amqp.cli.output.confirm", lambda question, *, is_certain: questions.append((question, is_certain))
    )

    assert run("drop", "--type", "VM.STOP") == (0, "2 dropped\n", "")
    assert desk.numbers(DEAD) == [0, 2, 4]
    assert run("drop", "--limit", "1", "--yes") == (0, "1 dropped\n", "")
    assert desk.numbers(DEAD) == [2, 4]
    assert run("drop", "--reason", "never") == (0, "0 dropped\n", "")

    assert questions == [
        ("drop 2 dead letters of bus.billing.dead for good?", False),
        ("drop 1 dead letters of bus.billing.dead for good?", True),
    ]


def test_export_writes_all_of_it_and_takes_nothing(desk: Desk, run: Run, tmp_path: Path) -> None:
    """Text as text, bytes as base64, every header; and an older export is not lost by a slip."""
    [event] = desk.fail_many(1)
    desk.leave(b"\xff\x00", headers={"x-other": "ü"})
    file = tmp_path / "letters.jsonl"

    assert run("export", str(file)) == (0, "2 exported\n", "")

    first, second = map(json.loads, file.read_text().splitlines())
    assert json.loads(first["body"])["eventId"] == str(event.event_id)
    assert first["headers"]["x-bus-queue"] == "bus.billing"
    assert (first["content_type"], first["message_id"]) == ("application/json", str(event.event_id))
    assert base64.b64decode(second["body_base64"]) == b"\xff\x00"
    assert second["headers"] == {"x-other": "ü"}
    assert len(desk.entries(DEAD)) == 2
    assert (file.stat().st_mode & 0o777) == 0o600

    status, _, err = run("export", str(file))
    assert (status, "exists" in err) == (2, True)
    assert run("export", str(file), "--overwrite", "--limit", "1")[1] == "1 exported\n"
    assert len(file.read_text().splitlines()) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["letters.jsonl"]


def test_an_export_that_fails_leaves_no_half_file(desk: Desk, run: Run, tmp_path: Path) -> None:
    """Half an export would pass for a whole one, and the letters be dropped after it."""
    status, _, err = run("export", str(tmp_path / "x"), whose=("--group", "nobody"))
    assert (status, "no dead letters of group 'nobody'" in err) == (1, True)
    assert list(tmp_path.iterdir()) == []

    status, _, err = run("export", str(tmp_path / "no" / "x"))
    assert (status, "No such file or directory" in err) == (2, True)
