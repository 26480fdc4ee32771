"""`bus-amqp groups` on a broker in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from bus_amqp.cli.main import main
from tests.unit.admin.desk import BUS, DEAD, HOME, Desk, a_desk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A broker in memory with one group."""
    with a_desk() as desk:
        yield desk


@pytest.fixture
def run(desk: Desk, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `bus-amqp groups` and return status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["groups", *arguments, "--url", desk.url, "--exchange", BUS])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_groups_are_shown_by_name(desk: Desk, run: Run) -> None:
    """No plug-in needed; a name that is not there makes status 1, and hides nothing of the others."""
    desk.fail_many(2)

    status, out, err = run("show", "billing", "missing", "--json")

    assert status == 1
    billing, missing = map(json.loads, out.splitlines())
    assert billing == {
        "group": "billing", "queue": HOME, "ready": 0, "consumers": 0, "ordered": False, "dead_letters": 2,
    }  # fmt: skip
    assert missing["ready"] is None
    assert err == "error: group missing has no queue bus.missing\n"
    table = run("show", "billing")[1].splitlines()
    assert table[0].split() == ["group", "ready", "consumers", "dead", "letters", "ordered"]
    assert table[1].split() == ["billing", "0", "0", "2", "no"]


def test_a_group_is_created_and_deleted(desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delete says what it would lose, and asks."""
    assert run("create", "early", "--type", "VM.#", "--ordered") == (0, "bus.early: 0 events wait, 0 consumers\n", "")
    assert desk.connector.memory_broker.bindings(BUS) == [("*.*.*.*.*", "bus.early")]
    status, _, err = run("create", "early")
    assert (status, "x-single-active-consumer" in err) == (1, True)

    desk.fail_many(3)
    assert run("delete", "billing")[0] == 2  # nobody is here to ask
    questions: list[str] = []
    monkeypatch.setattr("bus_amqp.cli.output.confirm", lambda question, *, is_certain: questions.append(question))
    assert run("delete", "billing") == (0, "deleted bus.billing: 0 events\n", "")
    assert len(desk.entries(DEAD)) == 3
    assert run("delete", "billing", "--with-dead-letters", "--yes")[1] == (
        "deleted bus.billing: 0 events, 3 dead letters\n"
    )
    assert run("delete", "billing")[0] == 1
    assert questions == [
        "delete group billing, 0 consumers: 0 events that wait are lost; its 3 dead letters stay.",
        "delete group billing, 0 consumers: 0 events that wait and 3 dead letters are lost.",
    ]


def test_a_group_with_consumers_is_refused_before_it_asks(desk: Desk, run: Run) -> None:
    """Status 1, one line, and how to go on."""
    desk.connect().consume_channel(HOME, 1)

    status, out, err = run("delete", "billing", "--yes")

    assert (status, out) == (1, "")
    assert "has 1 consumers: end them first (or --force" in err
    assert run("delete", "billing", "--force", "--yes")[0] == 0


def test_without_the_management_api_the_way_out_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """AMQP has no list of queues: said in one line, with what works instead."""
    url = "amqp://guest:s3cret@127.0.0.1:1/"

    assert main(["groups", "list", "--url", url, "--management-url", "http://127.0.0.1:1"]) == 1

    err = capsys.readouterr().err
    assert err.startswith("error: no management API at 127.0.0.1:1: Connection refused. AMQP cannot list queues")
    assert "bus-amqp groups show GROUP..." in err
    assert (err.count("\n"), "s3cret" in err) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["create", "a.b"], "use 1 to 64 of the characters"),
        (["create", "dead"], "reserved word"),
        (["create", "a", "--type", "VM*"], "whole words"),
        (["show"], "Missing argument"),
        (["list"], "must begin with amqp://"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(run: Run, arguments: list[str], fault: str) -> None:
    """Memory has nobody who could list its groups from outside, either."""
    status, out, err = run(*arguments)

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert fault in err
