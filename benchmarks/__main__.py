"""``python -m benchmarks``: everything side by side in one run against one real broker."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.alone import measure_call, measure_memory, measure_start_up
from benchmarks.c_client import build
from benchmarks.chart import write_chart
from benchmarks.disk import measure_disk
from benchmarks.latency import measure_latency
from benchmarks.plan import BUS, PARTS, PEERS, PY_AMQP, Plan, quick
from benchmarks.report import print_report
from benchmarks.results import Results
from benchmarks.runner import ClientFailedError
from benchmarks.scene import Scene
from benchmarks.source import measure_source
from benchmarks.throughput import Throughput
from benchmarks.workload import write_messages
from bus_amqp.testing.real_broker import RealBroker, start_broker

_RESULTS = Path(__file__).with_name("results") / "latest.json"
_CHART = Path(__file__).parent.parent / "docs" / "images" / "bench.png"
_ALWAYS_THERE = {BUS, PY_AMQP, build.NAME}
_console = Console(width=max(Console().width, 96))  # narrower, the table of targets loses its verdicts


def _say(line: str) -> None:
    _console.print(line, style="dim", highlight=False, markup=False)


def main(
    url: Annotated[
        str | None, typer.Option(envvar="BUS_AMQP_URL", help="A broker of yours.  Default: one is started.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each client runs; medians are reported.")] = 5,
    events: Annotated[int, typer.Option(min=2_000, help="Events in one run of a fast client.")] = Plan().events,
    only: Annotated[str, typer.Option(help="Parts, with commas between.")] = ",".join(PARTS),
    peers: Annotated[str, typer.Option(help="Clients, with commas between.")] = ",".join(PEERS),
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = _RESULTS,
    chart: Annotated[Path, typer.Option(help="Where the picture goes.")] = _CHART,
    quick_look: Annotated[bool, typer.Option("--quick", help="One round, under two minutes: not for quoting.")] = False,
) -> None:
    """Measure bus_amqp and its peers; print tables, write JSON and a picture.

    Parts: publish, deliver, latency, call, source, disk, memory, import.
    """
    plan = replace(
        Plan(), parts=_chosen(only, PARTS), peers=_chosen(peers, PEERS), rounds=rounds,
        latency_rounds=max(rounds, 7) if rounds > 1 else 1, events=events,
    )  # fmt: skip
    if quick_look:
        plan = quick(plan)
    with start_broker(url=url, image=os.environ.get("RABBITMQ_IMAGE"), say=_say) as broker:
        results = _measure(plan, broker)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(results.to_json())
    print_report(results, _console)
    _say(f"all figures: {output}")
    if not results.throughput:
        return
    try:
        write_chart(results, chart)
    except ImportError:
        _say("no picture: matplotlib is not installed")
    else:
        _say(f"picture: {chart}")


def _measure(plan: Plan, broker: RealBroker) -> Results:
    begun = time.monotonic()
    scene = Scene(broker.url)
    results = Results(plan, scene.broker, broker.kind, not_measured=_missing(plan))
    plan = replace(plan, peers=tuple(peer for peer in plan.peers if peer not in results.not_measured))
    with tempfile.TemporaryDirectory() as directory:
        messages = Path(directory) / "messages.tsv"
        write_messages(messages)
        try:
            for part, measure in _parts(plan, broker.url, scene, str(messages), results):
                try:
                    measure()
                except ClientFailedError as exc:
                    results.not_measured[part] = str(exc)
                    _say(f"{part}: not measured: {exc}")
        finally:
            scene.clear()
    results.seconds = time.monotonic() - begun
    return results


def _parts(
    plan: Plan, url: str, scene: Scene, messages: str, results: Results
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Return what the plan asks for, by name, in the order in which it is measured."""

    def throughput() -> None:
        Throughput(plan, url, scene, messages, results.throughput, results.not_measured, _say).measure()

    def latency() -> None:
        measure_latency(plan, url, scene, messages, results.latency, _say)

    def call() -> None:
        _say("publish() without a broker")
        results.call = measure_call(plan)

    def source() -> None:
        _say("publishing through a source")
        results.source = measure_source(plan, _say)

    def disk() -> None:
        _say("the disk outbox beside the memory outbox")
        results.disk = measure_disk(plan, url, scene, _say)

    def memory() -> None:
        _say(f"memory over {plan.memory_events[1]:,} events")
        results.memory = measure_memory(plan, url)

    def start_up() -> None:
        _say("import and --help")
        results.start_up = measure_start_up(plan)

    measures = {
        "publish": throughput, "deliver": throughput, "latency": latency,
        "call": call, "source": source, "disk": disk, "memory": memory, "import": start_up,
    }  # fmt: skip
    wanted = {measures[part]: part for part in reversed(plan.parts)}  # publish and deliver are one
    return ((part, measure) for measure, part in reversed(wanted.items()))


def _missing(plan: Plan) -> dict[str, str]:
    """Return the clients that this machine cannot run, and why."""
    missing = {
        peer: f"the package {peer} is not installed (extra 'bench')"
        for peer in plan.peers
        # kombu, once imported, has no spec any more.
        if peer not in _ALWAYS_THERE and peer not in sys.modules and find_spec(peer) is None
    }
    if build.NAME in plan.peers and (reason := build.why_not()):
        missing[build.NAME] = reason
    return missing


def _chosen(text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    wanted = {word.strip() for word in text.split(",")}
    if unknown := wanted - set(allowed):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(allowed)}")
    return tuple(name for name in allowed if name in wanted)


if __name__ == "__main__":
    typer.run(main)
