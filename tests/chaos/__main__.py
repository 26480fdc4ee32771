"""``python -m tests.chaos``: break everything, one fault at a time, and see whether the promises hold.

Exit status 0: every bound was kept and every scenario was played; 1: not.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import faults  # noqa: F401 -- registers the scenarios
from tests.chaos.play import Outcome, play
from tests.chaos.report import Report
from tests.chaos.scenario import CLUSTER, LOCAL, REGISTER, STAGES, Scenario
from tests.chaos.scene import Scale, Scene
from tests.chaos.soak import soak
from tests.chaos.stages import Stages
from tests.chaos.troupe import Troupe

SHORT = Scale(rate=150.0, phase_seconds=1.5, events=0)
SOAK = Scale(rate=150.0, phase_seconds=20.0, events=0)  # before and after it, to see what the processes hold
FULL_EVENTS = 20_000  # of each scenario, on each of its stages
FULL_RATE = 700.0


def main(words: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    asked = _asked(words)
    scale = (
        SOAK if asked.soak else SHORT if asked.short else Scale(rate=FULL_RATE, phase_seconds=4.0, events=asked.events)
    )
    report = Report(is_short=asked.short, results=asked.results)
    directory = Path(tempfile.mkdtemp(prefix="bus-amqp-chaos-"))
    with Stages() as stages:
        for scenario, stage in _programme(asked):
            missing = scenario.missing()
            if missing:
                report.not_run(scenario, stage, f"there is no {', '.join(missing)}")
                continue
            outcome = _outcome(scenario, stage, stages, scale, directory)
            if outcome is None:
                report.not_run(scenario, stage, stages.reasons[stage])
            else:
                report.add(outcome)
    is_well = report.finish(writes_page=not (asked.short or asked.only or asked.broker or asked.soak))
    if is_well:
        shutil.rmtree(directory)
    else:
        print(f"what the processes wrote and said is in {directory}")
    return 0 if is_well else 1


def _asked(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="each fault once, where it bites; little traffic")
    parser.add_argument("--only", action="append", choices=sorted(REGISTER), help="this scenario (may be repeated)")
    parser.add_argument("--broker", choices=STAGES, help="on this broker only")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="random faults for so long, and nothing else")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the soak")
    parser.add_argument("--events", type=int, default=FULL_EVENTS, help="of each scenario, at least")
    parser.add_argument("--results", type=Path, default=Path("tests/chaos/results/chaos.json"), help="the JSON file")
    return parser.parse_args(words)


def _programme(asked: argparse.Namespace) -> list[tuple[Scenario, str]]:
    """Return what is played where: stage by stage, the cluster last, for that is the dearest to start."""
    if asked.soak:
        return [(soak(asked.soak, asked.seed), asked.broker or LOCAL)]
    chosen = [REGISTER[name] for name in asked.only] if asked.only else list(REGISTER.values())
    played = [
        (scenario, stage)
        for scenario in chosen
        for stage in (scenario.stages[:1] if asked.short and not asked.broker else scenario.stages)
        if asked.broker in (None, stage)
    ]
    return sorted(played, key=lambda one: (one[1] == CLUSTER, STAGES.index(one[1])))


def _outcome(scenario: Scenario, stage: str, stages: Stages, scale: Scale, directory: Path) -> Outcome | None:
    """Play one; None if there is no such broker."""
    found = stages.broker(stage)
    if found is None:
        return None
    broker, cluster = found
    own = directory / f"{scenario.name}-{stage}"
    own.mkdir()
    outcome = Outcome(scenario, stage, broker=broker.kind)
    with Troupe() as troupe:
        scene = Scene(scenario, broker, troupe, own, scale, cluster)
        try:
            play(scene, outcome)
        finally:
            scene.close()
            _tidy(scene, outcome)
    return outcome


def _tidy(scene: Scene, outcome: Outcome) -> None:
    began = time.monotonic()
    try:
        scene.operator.clear(scene.leftovers(), scene.exchanges())
    except Exception as exc:  # whatever it is, the next scenario stands on this broker
        outcome.faults.append(f"the broker could not be tidied: {type(exc).__name__}: {exc}")
    outcome.seconds += time.monotonic() - began


if __name__ == "__main__":
    # Whoever ends us, the processes and brokers end with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: all processes were ended")
