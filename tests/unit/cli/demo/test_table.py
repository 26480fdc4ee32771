from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from bus_amqp.cli.demo.table import Situation, live_view, progress_line, summary
from bus_amqp.cli.demo.tally import PUBLISHER, Tally
from bus_amqp.event import Event
from bus_amqp.process.ledger import Ledger

SITUATION = Situation(12.3, 100, "RabbitMQ 4.0.5 in Docker", "K kills the broker")


def _tally(directory: Path, types: int = 1) -> Tally:
    with Ledger(directory / "publisher") as publisher, Ledger(directory / "monitoring") as monitoring:
        for number in range(types):
            event = Event(event_category=f"C{number % 5}", event_type=f"TYPE.{number}", event_source="s")
            publisher.write("accepted", event)
            monitoring.write("handled", event)
    tally = Tally({PUBLISHER: [directory / "publisher"], "monitoring": [directory / "monitoring"], "billing": []})
    tally.read(0)
    return tally


def _drawn(renderable: RenderableType) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_summary_fits_a_narrow_terminal_and_names_what_is_asked_for(tmp_path: Path) -> None:
    """Cut headings and numbers would leave a reader guessing."""
    drawn = _drawn(summary(_tally(tmp_path), SITUATION, 1234.5, 1234.5))

    assert "…" not in drawn
    for word in ("published", "confirmed", "handled", "lost", "duplicates", "p50 ms", "p99 ms", "RabbitMQ 4.0.5"):
        assert word in drawn
    assert "1,234.5 hours" in drawn


def test_the_live_view_fits_the_terminal(tmp_path: Path) -> None:
    """rich cuts what is too high at the bottom, and with it whatever stands there."""
    tally = _tally(tmp_path, types=60)

    for height in (15, 24, 30, 50):
        drawn = _drawn(live_view(tally, SITUATION, height))
        assert len(drawn.splitlines()) <= height
        assert "K kills the broker" in drawn
        assert ("TYPE.0 " in drawn) is (height > 15)


def test_the_progress_line_is_one_line(tmp_path: Path) -> None:
    """Without a terminal the log of a CI run shows how far it came."""
    line = progress_line(_tally(tmp_path), SITUATION)

    assert "\n" not in line
    assert "published 1  waiting 1  monitoring 1/1" in line
