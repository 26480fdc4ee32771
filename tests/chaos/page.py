"""The generated part of ``docs/guide/guarantees.md``: the table of a full run, between two marks.  Pure text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.play import Outcome
from tests.chaos.scenario import Scenario

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "guarantees.md"
BEGIN = "<!-- written by make chaos: do not edit between here -->"
END = "<!-- and here -->"
_HEAD = (
    "| fault | broker | accepted | delivered | lost | invented | out of order: promised / plain group | duplicates"
    " | longest publish() | consuming again, p50 / max | threads | sockets | memory |"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What is said of a run as a whole."""

    when: str
    commit: str
    machine: str
    versions: str
    seconds: float


def text_of(run: Run, outcomes: Sequence[Outcome], missing: Sequence[tuple[Scenario, str, str]]) -> str:
    """Return the generated part."""
    accepted = sum(one.verdict.accepted for one in outcomes)
    handled = sum(one.verdict.handled for one in outcomes)
    lines = [
        f"Run of {run.when} at commit `{run.commit}`, {run.machine}, {run.versions}, {run.seconds / 60:.0f} minutes:",
        f"{len(outcomes)} scenarios, {accepted:,} events accepted, {handled:,} handled by their subscriptions.",
        "",
        _HEAD,
        "|---" * _HEAD.count(" | ") + "|---|",
        *(_row(one) for one in outcomes),
    ]
    broken = [f"- {one.scenario.title} ({one.stage}): {breach}" for one in outcomes for breach in one.breaches]
    if broken:
        lines += ["", "Bounds that were broken in this run:", "", *broken]
    if missing:
        lines += ["", "Not run:", "", *(f"- {one.title} ({stage}): {why}" for one, stage, why in missing)]
    return "\n".join(lines)


def with_text(page: str, text: str) -> str:
    """Return the page with its generated part replaced.  Raises ``ValueError`` if the marks are not there."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has lost its marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _row(outcome: Outcome) -> str:
    verdict = outcome.verdict
    again = verdict.again_seconds
    lost = f"{verdict.total('lost')}"
    if verdict.total("excused"):
        lost += f" (and {verdict.total('excused')} in the gap)"
    delivered = f"{verdict.total('delivered'):,} of {verdict.total('expected'):,}"
    if verdict.parked:
        delivered += f", {verdict.parked} dead letters"
    cells = [
        outcome.scenario.title,
        outcome.broker.removeprefix("RabbitMQ ").replace(", a private node on this machine", " local"),
        f"{verdict.accepted:,}" + (f" ({verdict.refused:,} refused)" if verdict.refused else ""),
        delivered,
        lost,
        str(verdict.total("invented")),
        f"{verdict.total('disorder', keeps_order=True)} / {verdict.total('disorder', keeps_order=False)}",
        str(verdict.total("duplicates")),
        f"{verdict.longest_publish_seconds * 1000:.0f} ms",
        f"{statistics.median(again):.1f} / {again[-1]:.1f} s" if again else "never",
        "{} → {}".format(*verdict.threads),
        "{} → {}".format(*verdict.sockets),
        "{:.0f} → {:.0f} MB".format(*(kilobytes / 1024 for kilobytes in verdict.resident_kb)),
    ]
    return f"| {' | '.join(cells)} |"
