"""``Report``: what a run says, a line a scenario as it goes; the table, the JSON file and the guarantees page."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bus_amqp.errors import TransportError
from bus_amqp.testing.command import run_command
from tests.chaos.page import PAGE, Run, text_of, with_text
from tests.chaos.play import Outcome
from tests.chaos.scenario import Scenario


class Report:
    """Collects outcomes."""

    def __init__(self, *, is_short: bool, results: Path) -> None:
        self._is_short = is_short
        self._results = results
        self._began = time.monotonic()
        self.outcomes: list[Outcome] = []
        self.missing: list[tuple[Scenario, str, str]] = []

    def add(self, outcome: Outcome) -> None:
        """Take in one, and say so."""
        self.outcomes.append(outcome)
        verdict = outcome.verdict
        again = verdict.again_seconds
        seconds = f"{statistics.median(again):.1f}/{again[-1]:.1f} s" if again else "never"
        print(
            f"{'ok    ' if outcome.is_well else 'BROKEN'} {outcome.stage:8}{outcome.scenario.name:20}"
            f" accepted {verdict.accepted:6}  delivered {verdict.total('delivered'):7}  lost {verdict.total('lost')}"
            f"  duplicates {verdict.total('duplicates'):4}  publish {verdict.longest_publish_seconds * 1000:4.0f} ms"
            f"  again {seconds}  {outcome.seconds:.0f} s  {outcome.proof}",
            flush=True,
        )
        for breach in outcome.breaches:
            print(f"         {breach}", flush=True)

    def not_run(self, scenario: Scenario, stage: str, reason: str) -> None:
        """Name one that was not played."""
        self.missing.append((scenario, stage, reason))
        print(f"NOT RUN {stage:7}{scenario.name:20} {reason}", flush=True)

    def finish(self, *, writes_page: bool) -> bool:
        """Write the files and return whether all is well."""
        self._results.parent.mkdir(parents=True, exist_ok=True)
        self._results.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        if writes_page:
            page = with_text(PAGE.read_text(), text_of(self._run(), self.outcomes, self.missing))
            PAGE.write_text(page)
        broken = [one for one in self.outcomes if not one.is_well]
        events = sum(one.verdict.accepted for one in self.outcomes)
        print(
            f"{len(self.outcomes)} scenarios, {len(broken)} broken, {len(self.missing)} not run;"
            f" {events} events accepted, {sum(one.verdict.handled for one in self.outcomes)} handled"
            f" in {time.monotonic() - self._began:.0f} s"
        )
        return not broken and not self.missing

    def _run(self) -> Run:
        packages = ("bus-amqp", "amqp", "kombu", "pydantic")
        versions = [f"Python {platform.python_version()}", *(f"{name} {metadata.version(name)}" for name in packages)]
        return Run(
            when=f"{datetime.now(UTC):%Y-%m-%d}",
            commit=_commit(),
            machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
            versions=", ".join(versions),
            seconds=time.monotonic() - self._began,
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "run": asdict(self._run()),
            "outcomes": [
                {
                    "scenario": one.scenario.name,
                    "stage": one.stage,
                    "broker": one.broker,
                    "proof": one.proof,
                    "seconds": round(one.seconds, 1),
                    "breaches": one.breaches,
                    **asdict(one.verdict),
                }
                for one in self.outcomes
            ],
            "not_run": [
                {"scenario": scenario.name, "stage": stage, "reason": reason}
                for scenario, stage, reason in self.missing
            ],
        }


def _commit() -> str:
    try:
        return run_command(["git", "describe", "--always", "--dirty"], timeout_seconds=10).strip()
    except TransportError:  # an unpacked source archive
        return "unknown"
