"""`bus-amqp publish` against a bus in memory: what its status and its last line promise."""

from pathlib import Path

import pytest

from bus_amqp.cli import output
from bus_amqp.cli.main import main

LINE = '{"eventCategory": "A", "eventType": "B", "eventSource": "c"}\n'


def test_a_file_larger_than_the_outbox_waits_for_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that would fit a moment later was refused: a file loses nothing by waiting."""
    events, settings = tmp_path / "events.jsonl", tmp_path / "bus.toml"
    events.write_text(LINE * 200)
    settings.write_text('url = "memory://"\n[publisher]\noutbox_events = 3\npublish_timeout_seconds = 0\n')

    status = main(["publish", str(events), "--settings", str(settings)])

    told = capsys.readouterr()
    assert (status, told.out, told.err) == (0, "200 published, 200 confirmed, 0 refused\n", "")


@pytest.mark.parametrize(
    ("details", "fault"),
    [
        ('{"a":' * 70 + "1" + "}" * 70, "details: nested deeper than 64 levels"),
        ('{"a": NaN}', "details: nan is not a JSON number: details must be finite"),
        ("[1]", "details: Input should be an object"),
    ],
)
def test_a_line_that_no_subscriber_could_decode_is_refused(
    details: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was confirmed here, and dead-lettered (or NaN turned into null) on its way to whoever wanted it."""
    events = tmp_path / "events.jsonl"
    events.write_text(LINE.replace("}", f', "details": {details}}}'))

    status = main(["publish", str(events), "--url", "memory://"])

    told = capsys.readouterr()
    assert (status, told.out) == (1, "0 published, 0 confirmed, 1 refused\n")
    assert told.err.startswith(f"error: line 1: {fault}")


def test_the_status_is_owed_even_if_nobody_reads_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`publish file | true` with pipefail must not pass for a success when lines were refused."""

    def nobody_reads(text: str) -> None:
        raise output.OutputClosedError("stdout is closed")

    monkeypatch.setattr(output, "result", nobody_reads)
    events = tmp_path / "events.jsonl"

    events.write_text(LINE)
    assert main(["publish", str(events), "--url", "memory://"]) == 0

    events.write_text(LINE + "nonsense\n")
    assert main(["publish", str(events), "--url", "memory://"]) == 1
