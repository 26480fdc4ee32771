"""How the command line ends, for what needs no bus."""

import subprocess
import sys
from pathlib import Path

import pytest

from bus_amqp.cli.main import main


@pytest.fixture(autouse=True)
def no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUS_AMQP_URL", raising=False)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["nope"], "No such command 'nope'"),
        (["broker"], "Missing command"),
        (["tail", "--colour"], "No such option"),
        (["tail", "--type", "VM*"], "whole words"),
        (["tail"], "no broker url"),
        (["publish"], "needs --category"),
        (["publish", "-c", "A", "-t", "B", "-s", ""], "event_source: String should have at least 1 character"),
        (["publish", "-c", "A", "-t", "B", "-s", "C", "--details", "{"], "--details is not JSON"),
        (
            ["publish", "-c", "A", "-t", "B", "-s", "C", "--details", "[1]"],
            "details: Input should be a valid dict",
        ),
        (["publish", "events.jsonl", "-c", "A"], "either FILE or the options"),
        (["publish", "gone.jsonl", "--url", "memory://"], "gone.jsonl: No such file"),
        (["run", "gone:subscribers", "--url", "memory://"], "there is no module 'gone'"),
        (["run"], "either MODULE:NAME or --installed"),
        (["run", "gone:subscribers", "--installed"], "either MODULE:NAME or --installed"),
        (["run", "gone:subscribers", "--only", "billing"], "choose among the --installed"),
        (["run", "--installed", "--only", "billing", "--except", "audit"], "either --only or --except"),
        (["subscribers"], "Missing command"),
        (["permissions"], "permissions for what?"),
        (["permissions", "--group", "dead"], "'dead' is a reserved word"),
        (["permissions", "--temporary"], "--temporary needs --user"),
        (["demo", "--events", "0"], "Invalid value for '--events'"),
        (["demo", "--url", "amqp://localhost:abc/"], "invalid host or port"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(
    arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scripts tell by the status what people read in the line; a traceback helps neither."""
    assert main(arguments) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert fault in told.err


def test_status_asks_every_node_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nodes stand in one variable; taken for one url, they are a wrong url."""
    monkeypatch.setenv("BUS_AMQP_URL", "amqp://127.0.0.1:1/,amqp://127.0.0.1:2/")
    monkeypatch.setenv("BUS_AMQP_CONNECTION__CONNECT_TIMEOUT_SECONDS", "0.2")

    assert main(["broker", "status"]) == 1

    assert "not reached" in capsys.readouterr().err


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The first thing that people type."""
    assert main([]) == 2

    assert "publish" in capsys.readouterr().err


def test_help_and_version_are_results(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for goes to stdout, with status 0."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bus-amqp ")
    assert main(["--help"]) == 0
    assert "tail" in capsys.readouterr().out


def test_help_loads_no_broker_client_and_no_tables() -> None:
    """They would make people wait for the help."""
    program = (
        "import sys; from bus_amqp.cli.main import main; main(['--help']);"
        "print([name for name in ('kombu', 'amqp', 'rich', 'pydantic_settings') if name in sys.modules])"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "[]"


def test_a_file_that_nobody_can_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder instead of a file is a common slip."""
    assert main(["publish", str(tmp_path), "--url", "memory://"]) == 2

    assert "Is a directory" in capsys.readouterr().err
