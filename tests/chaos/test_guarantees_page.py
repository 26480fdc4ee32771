"""The guarantees page: each sentence has its test, and the table is what the run found."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source_files import TOP, trees
from tests.chaos import faults  # noqa: F401 -- registers the scenarios
from tests.chaos.page import BEGIN, END, PAGE, Run, text_of, with_text
from tests.chaos.play import Outcome
from tests.chaos.scenario import REGISTER
from tests.chaos.verdict import Tally, Verdict

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_NAMES = re.compile(r"scenarios? ((?:`[\w-]+`(?:,\s+| and )?)+)")
RUN = Run("2026-11-22", "abc1234", "2 cores", "Python 3.11", 600.0)


def hand_written() -> str:
    return PAGE.read_text().partition(BEGIN)[0]


def sentences() -> list[str]:
    return [" ".join(item.split()) for item in re.findall(r"^- .*?(?=\n- |\n\n|\Z)", hand_written(), re.M | re.S)]


def scenarios_named(text: str) -> list[str]:
    return [name for found in _NAMES.findall(text) for name in re.findall(r"`([\w-]+)`", found)]


@pytest.mark.parametrize("sentence", sentences())
def test_each_sentence_points_at_a_test_that_exists(sentence: str):
    """A guarantee without a test is an opinion, and a test that was renamed proves nothing to the reader."""
    tests, scenarios = _TEST.findall(sentence), scenarios_named(sentence)

    assert tests or scenarios, sentence
    assert [name for name in scenarios if name not in REGISTER] == []
    for path, name in tests:
        assert (TOP / path).exists(), path
        assert f"def {name}(" in (TOP / path).read_text(), name


def test_the_page_has_sentences():
    """The test above would pass on an empty page."""
    assert len(sentences()) > 12
    assert trees(TOP / "tests" / "chaos")


def outcome() -> Outcome:
    scenario = REGISTER["reset"]
    tally = Tally("work", False, 100, 99, 1, 0, 0, 7, 3, (0.25, 1.5))
    verdict = Verdict(accepted=100, handled=106, tallies=[tally], breaches=["work: 1 events lost: ('p4', 7)"])
    return Outcome(scenario, "local", broker="RabbitMQ 3.10.8, a private node on this machine", verdict=verdict)


def test_the_table_tells_what_was_found_also_what_was_broken():
    """A page that shows only good runs is an advertisement."""
    text = text_of(RUN, [outcome()], [(REGISTER["ghosts"], "docker", "no Docker engine answers")])

    (row,) = [line for line in text.splitlines() if line.startswith("| connections reset")]
    assert row.split(" | ")[1:8] == ["3.10.8 local", "100", "99 of 100", "1", "0", "0 / 3", "7"]
    assert "0.9 / 1.5 s" in row
    assert "1 events lost: ('p4', 7)" in text
    assert "no Docker engine answers" in text


def test_only_what_is_between_the_marks_is_replaced():
    """The plain words are written by people."""
    page = f"words\n{BEGIN}\nold\n{END}\nmore words\n"

    written = with_text(page, "new")

    assert written == f"words\n{BEGIN}\n\nnew\n\n{END}\nmore words\n"
    assert with_text(written, "new") == written


def test_a_page_without_marks_is_an_error():
    """Else a run of half an hour would write its table nowhere."""
    with pytest.raises(ValueError, match="lost its marks"):
        with_text("words", "new")
