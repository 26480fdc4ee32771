"""``bus_amqp.cli.options``: types are completed by the shell, and a slip is told before one waits for nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus_amqp.cli import options
from bus_amqp.cli.main import main

SLIP = ["publish", "--url", "memory://", "--category", "ActionEvent", "--source", "test", "--type"]


@pytest.mark.parametrize("command", ["publish", "tail"])
def test_the_shell_completes_types(command: str) -> None:
    """Nobody knows 600 types by heart; asked as bash asks, through the installed command."""
    program = Path(sys.executable).with_name("bus-amqp")
    asked = {"_BUS_AMQP_COMPLETE": "complete_bash", "COMP_WORDS": f"bus-amqp {command} --type VM.ST", "COMP_CWORD": "3"}

    told = subprocess.run([program], env=os.environ | asked, capture_output=True, text=True, timeout=60, check=True)

    assert told.stdout.split() == ["VM.START", "VM.STOP"]


def test_a_word_that_begins_no_type_completes_to_nothing() -> None:
    """A type of one's own is typed out."""
    assert options.known_types("LOTTERY.") == []
    assert len(options.known_types("")) > 600


def test_a_mistyped_type_is_published_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Types are open, so it is no error; but nobody listens to VM.STRAT, and nobody would ever say so."""
    assert main([*SLIP, "VM.STRAT"]) == 0

    told = capsys.readouterr()
    assert told.out == "1 published, 1 confirmed, 0 refused\n"
    assert told.err == ("warning: no known event type is VM.STRAT: did you mean VM.START? It is published as it is.\n")


@pytest.mark.parametrize("event_type", ["VM.START", "LOTTERY.DRAW", "submitted"])
def test_a_known_type_and_one_of_ones_own_are_no_slips(event_type: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who publishes types of his own must not be warned each time."""
    assert main([*SLIP, event_type]) == 0

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("pattern", "meant"), [("VMM.#", "VM.#"), ("*.STRAT", "*.START"), ("VM.STRAT", "VM.START")])
def test_a_mistyped_pattern_is_told(pattern: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`tail` would wait for ever, and the silence would look like peace in the cloud."""
    options.warn_of_typing_error(pattern, "Well.")

    assert capsys.readouterr().err == f"warning: no known event type is {pattern}: did you mean {meant}? Well.\n"


@pytest.mark.parametrize("pattern", [None, "VM.#", "#", "LOTTERY.#"])
def test_other_patterns_are_left_alone(pattern: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything, or types of one's own."""
    options.warn_of_typing_error(pattern, "Well.")

    assert capsys.readouterr().err == ""
