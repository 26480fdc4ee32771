"""What becomes of output that nobody takes."""

import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from bus_amqp.cli import output


def test_a_stdout_that_was_never_open_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """`tail >&-` would run for ever and write nowhere, or end in a traceback."""
    monkeypatch.setattr(sys, "stdout", None)

    assert output.is_stdout_closed()
    assert not output.is_terminal()
    with pytest.raises(output.OutputClosedError):
        output.result("one")


def test_what_is_meant_for_stderr_never_comes_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tail --json 2>&-` feeds a program that reads JSON lines and nothing else."""
    monkeypatch.setattr(sys, "stderr", None)

    output.say("subscribed")

    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_a_full_disk_is_one_line_and_status_1(argument: str) -> None:
    """A traceback tells an operator less than 'no space left'."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "bus_amqp.cli.main", argument],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.endswith("No space left on device\n")


def test_control_characters_are_shown_and_not_obeyed() -> None:
    """An event's text comes from anywhere; an escape sequence in it could retitle or clear the reader's terminal."""
    assert output.printable("a\x1b[2Jb\nc \u202e \x9b ü 日本") == r"a\x1b[2Jb\nc \u202e \x9b ü 日本"


def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event in Japanese must not end `tail` on a terminal that speaks Latin-1."""
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="latin-1"))

    output.result("ü 日")

    assert written.getvalue() == b"\xfc \\u65e5\n"
