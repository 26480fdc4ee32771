"""The tables for people."""

from __future__ import annotations

import statistics

from rich.console import Console
from rich.table import Table

from benchmarks.plan import BUS, PY_AMQP, QUEUE_TYPES, TITLES
from benchmarks.results import Results, machine
from benchmarks.targets import Target


def print_report(results: Results, console: Console) -> None:
    """Print all that was measured."""
    where = machine()
    console.print(
        f"\n{results.broker_kind}, Python {where['python']}, {where['cpus']} CPUs shared by broker and clients, "
        f"{results.seconds:,.0f} s{', a quick look: one round' if results.plan.is_quick else ''}"
    )
    for mode, title in (("publish", "published, confirmed"), ("deliver", "delivered, acknowledged")):
        if any(sample.mode == mode for sample in results.throughput):
            console.print(_throughput_table(results, mode, title))
    if results.latency:
        console.print(_latency_table(results))
    console.print(_target_table(results.targets()))
    for peer, reason in results.not_measured.items():
        console.print(f"not measured: {TITLES.get(peer, peer)}: {reason}", markup=False)


def _throughput_table(results: Results, mode: str, title: str) -> Table:
    table = Table(title=f"350-byte persistent events {title}: median of {results.plan.rounds}", title_justify="left")
    table.add_column("client", no_wrap=True)
    for queue_type in QUEUE_TYPES:
        table.add_column(f"{queue_type}\nper s", justify="right")
        table.add_column("CPU us\neach", justify="right")
    for peer in results.plan.peers:
        cells: list[str] = []
        for queue_type in QUEUE_TYPES:
            found = results.median(mode, peer, queue_type)
            cells += [f"{found[0]:,.0f}", f"{found[1]:.1f}"] if found else ["-", "-"]
        table.add_row(TITLES[peer], *cells, style="bold" if peer == BUS else "")
    return table


def _latency_table(results: Results) -> Table:
    table = Table(title=f"publish to on_event, ms, at {results.plan.latency_rate:.0f}/s: median (least, most)")
    for heading in ("client", "queue", "p50", "p99"):
        table.add_column(heading)
    for queue_type in QUEUE_TYPES:
        for peer in (PY_AMQP, BUS):
            samples = [s for s in results.latency if (s.peer, s.queue_type) == (peer, queue_type)]
            table.add_row(
                "py-amqp, bare pair" if peer == PY_AMQP else TITLES[BUS],
                queue_type,
                _with_spread([sample.p50_ms for sample in samples]),
                _with_spread([sample.p99_ms for sample in samples]),
                style="bold" if peer == BUS else "",
            )
    return table


def _with_spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}, {max(values):.2f})"


def _target_table(targets: list[Target]) -> Table:
    table = Table(title="Targets of bus_amqp", title_justify="left")
    for heading in ("", "must be", "is", "least, most", ""):
        table.add_column(heading, no_wrap=True)
    for target in targets:
        sign = ">=" if target.at_least else "<="
        limit = "-" if target.limit == float("inf") else f"{sign} {_number(target.limit, target)}"
        measured = "not measured" if target.measured is None else _number(target.measured, target)
        spread = "" if target.spread is None else ", ".join(_number(value, target) for value in target.spread)
        table.add_row(target.name, limit, measured, spread, _verdict(target))
    return table


def _number(value: float, target: Target) -> str:
    return f"{value:,.1f} {target.unit}" if target.unit else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _verdict(target: Target) -> str:
    if target.limit == float("inf") or target.is_reached is None:
        return ""
    return "[green]reached[/]" if target.is_reached else "[red]missed[/]"
