"""What the demonstration shows: the live view, the plain progress line, the summary.  Pure: numbers in, rich out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bus_amqp.cli.demo.tally import Outcome, Party, Tally, together

_COLUMNS = ("published", "confirmed", "handled", "lost", "duplicates", "p50 ms", "p99 ms")
_TYPES_SHOWN = 4  # of each category, at most
_LINES_BESIDES = 9  # of the live view, besides a line for each category, type and "other types"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is not in the tally: the clock, the plan, the broker."""

    seconds: float
    planned: int
    broker: str
    notice: str = ""


def progress_line(tally: Tally, situation: Situation) -> str:
    """Return the state in one line of plain text."""
    outcomes = {name: party.outcome() for name, party in tally.parties.items()}
    parties = "  ".join(f"{name} {outcome.handled:,}/{outcome.expected:,}" for name, outcome in outcomes.items())
    numbers = f"published {tally.published:,}  waiting {tally.published - tally.confirmed:,}  {parties}"
    return f"{situation.seconds:4.0f} s  {numbers}{'  ' if situation.notice else ''}{situation.notice}"


def live_view(tally: Tally, situation: Situation, height: int) -> RenderableType:
    """Return the picture while it runs, in at most ``height`` lines: what does not fit is the rarer types."""
    done = tally.published / situation.planned if situation.planned else 1
    told = f"  {situation.seconds:.0f} s  {situation.broker}  {done:.0%} of {situation.planned:,}"
    heading = Text.assemble(("bus-amqp demo", "bold"), told)
    outcomes = [party.outcome() for party in tally.parties.values()]
    flow = Table(box=None, pad_edge=False)
    for name in ("published", "confirmed", "waiting", *tally.parties, "on their way"):
        flow.add_column(name, justify="right")
    waiting = tally.published - tally.confirmed
    flow.add_row(
        f"{tally.published:,}",
        f"{tally.confirmed:,}",
        Text(f"{waiting:,}", "yellow" if waiting > 1000 else ""),
        *(f"{outcome.handled:,}" for outcome in outcomes),
        f"{together(outcomes).lost:,}",
    )
    notice = Text(situation.notice, "bold yellow")
    types_shown = (height - _LINES_BESIDES) // max(1, len({category for category, _ in tally.kinds})) - 2
    return Group(heading, "", flow, notice, "", _rates(tally, max(0, min(_TYPES_SHOWN, types_shown))))


def _rates(tally: Tally, types_shown: int) -> Table:
    """Return what monitoring saw: events per second by category, and the busiest types of each."""
    by_category: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    rates = tally.rates()
    for (category, kind), count in tally.kinds.items():
        by_category[category].append((rates[category, kind], count, kind))
    table = Table(title="monitoring: events by category and type", title_justify="left", box=None, pad_edge=False)
    table.add_column("category", style="cyan")
    table.add_column("type")
    table.add_column("per second", justify="right")
    table.add_column("in all", justify="right")
    for category in sorted(by_category):
        rows = sorted(by_category[category], key=lambda row: (-row[1], row[2]))
        rate, count = sum(row[0] for row in rows), sum(row[1] for row in rows)
        table.add_row(category, "", f"{rate:,.0f}", f"{count:,}", style="bold")
        for rate, count, kind in rows[:types_shown]:
            table.add_row("", kind, f"{rate:,.0f}", f"{count:,}")
        if types_shown and (rest := rows[types_shown:]):
            rate, count = sum(row[0] for row in rest), sum(row[1] for row in rest)
            table.add_row("", f"{len(rest)} other types", f"{rate:,.0f}", f"{count:,}", style="dim")
    return table


def summary(tally: Tally, situation: Situation, billed_hours: float, true_hours: float) -> RenderableType:
    """Return the end of the scene."""
    title = f"{situation.seconds:.0f} s on {situation.broker}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column("party")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    table.add_row("management", f"{tally.published:,}", f"{tally.confirmed:,}")
    outcomes = []
    for party in tally.parties.values():
        published = f"{tally.follow_ups_seen:,}" if party.name == "workflow" else ""
        outcomes.append(outcome := party.outcome())
        table.add_row(_label(party), published, "", *_numbers(outcome), style="bold red" if outcome.lost else "")
    table.add_section()
    whole = together(outcomes)
    published, confirmed = f"{tally.published + tally.follow_ups_seen:,}", f"{tally.confirmed:,}"
    is_well = not whole.lost and tally.confirmed == tally.published
    table.add_row("all", published, confirmed, *_numbers(whole), style="bold green" if is_well else "bold red")
    hours = f"billing charged {billed_hours:,.1f} hours of usage; on the cloud's own clock it was {true_hours:,.1f}"
    return Group(table, Text(hours))


def _label(party: Party) -> str:
    return party.name if party.processes == 1 else f"{party.name} ({party.processes})"


def _numbers(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.handled:,}",
        f"{outcome.lost:,}",
        f"{outcome.duplicates:,}",
        _milliseconds(outcome.latency_seconds(0.5)),
        _milliseconds(outcome.latency_seconds(0.99)),
    ]


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:,.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"
