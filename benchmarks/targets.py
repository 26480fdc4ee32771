"""The numbers that the bus is held to, and what was measured.  Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.c_client.build import NAME as C_CLIENT
from benchmarks.latency import LatencySample
from benchmarks.plan import BUS, FASTSTREAM, PY_AMQP, QUEUE_TYPES
from benchmarks.source import source_names
from benchmarks.throughput import Sample, matching


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.  ``measured`` None: not measured in this run."""

    name: str
    limit: float
    at_least: bool
    measured: float | None
    spread: tuple[float, float] | None = None
    unit: str = ""

    @property
    def is_reached(self) -> bool | None:
        """Whether the figure is good enough; None if there is none."""
        if self.measured is None:
            return None
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True, slots=True)
class _Pair:
    mode: str
    against: str
    what: str
    limit: float
    at_least: bool

    def value(self, sample: Sample) -> float:
        return sample.rate if self.at_least else sample.cpu_us


_PAIRS = (
    _Pair("publish", C_CLIENT, "rate / C", 0.85, at_least=True),
    _Pair("publish", PY_AMQP, "CPU / py-amqp", 0.4, at_least=False),
    _Pair("publish", FASTSTREAM, "CPU / FastStream", 1 / 12, at_least=False),
    _Pair("deliver", C_CLIENT, "rate / C", 0.5, at_least=True),
    _Pair("deliver", PY_AMQP, "CPU / py-amqp", 0.25, at_least=False),
    _Pair("deliver", FASTSTREAM, "CPU / FastStream", 0.1, at_least=False),
)


def throughput_targets(samples: list[Sample]) -> list[Target]:
    """Return the ratios of the bus to its peers: formed within a round, then the median of the rounds."""
    return [_of_pair(samples, pair, queue_type) for pair in _PAIRS for queue_type in QUEUE_TYPES]


def _of_pair(samples: list[Sample], pair: _Pair, queue_type: str) -> Target:
    def by_round(peer: str) -> dict[int, float]:
        return {sample.round: pair.value(sample) for sample in matching(samples, pair.mode, peer, queue_type)}

    ratios = _ratios(by_round(BUS), by_round(pair.against))
    return _target(f"{pair.mode} {queue_type}: {pair.what}", pair.limit, ratios, at_least=pair.at_least)


def latency_targets(samples: list[LatencySample]) -> list[Target]:
    """Return the ratio of the medians, and of the 99th percentiles, which has no limit."""
    return [
        _of_latency(samples, queue_type, f"latency {queue_type}: {name} / py-amqp", limit, value)
        for queue_type in QUEUE_TYPES
        for name, limit, value in (
            ("p50", 1.5, lambda sample: sample.p50_ms),
            ("p99", float("inf"), lambda sample: sample.p99_ms),
        )
    ]


def _of_latency(
    samples: list[LatencySample], queue_type: str, name: str, limit: float, value: Callable[[LatencySample], float]
) -> Target:
    def by_round(peer: str) -> dict[int, float]:
        return {
            sample.round: value(sample) for sample in samples if (sample.peer, sample.queue_type) == (peer, queue_type)
        }

    return _target(name, limit, _ratios(by_round(BUS), by_round(PY_AMQP)), at_least=False)


def alone_targets(call: dict[str, float], memory: dict[str, float], start_up: dict[str, float]) -> list[Target]:
    """Return the figures of the bus alone."""
    return [
        Target("publish(), no broker: p50", 20, False, call.get("p50_us"), unit="us"),
        Target("publish(), no broker: p99.9", 2_000, False, call.get("p999_us"), unit="us"),
        Target("memory, 1,000,000 - 100,000", 8, False, memory.get("growth_mib"), unit="MiB"),
        Target("import Event, EventTopic, connect", 250, False, start_up.get("import_ms"), unit="ms"),
        Target("bus-amqp --help", 600, False, start_up.get("help_ms"), unit="ms"),
    ]


def source_targets(source: dict[str, float]) -> list[Target]:
    """Return what publishing through each source costs the caller, beside doing the same by hand."""
    return [
        Target(
            f"{name}: through the source / by hand", 1.5, False, source[f"{name}_ratio"],
            (source[f"{name}_least_ratio"], source[f"{name}_most_ratio"]),
        )
        for name in source_names(source)
    ]  # fmt: skip


def disk_targets(disk: dict[str, float]) -> list[Target]:
    """Return the figures of the disk outbox; those of the call have no limit."""
    spread = (disk["least_ratio"], disk["most_ratio"]) if disk else None
    no_limit = float("inf")
    return [
        Target("disk outbox: rate / memory outbox", 0.5, True, disk.get("ratio"), spread),
        Target("publish(), disk outbox: p50", no_limit, False, disk.get("call_p50_us"), unit="us"),
        Target("publish(), disk outbox: p99.9", no_limit, False, disk.get("call_p999_us"), unit="us"),
        Target("spool: connect, publish, close: p50", 5, False, disk.get("spool_p50_ms"), unit="ms"),
        Target("publish --spool less bare python", 5, False, disk.get("spool_command_ms"), unit="ms"),
        Target("  the same, the quickest runs", no_limit, False, disk.get("spool_command_least_ms"), unit="ms"),
        Target("  the same, CPU", no_limit, False, disk.get("spool_command_cpu_ms"), unit="ms"),
        Target("  re, as pip before 26 adds it, CPU", no_limit, False, disk.get("installers_re_cpu_ms"), unit="ms"),
    ]


def _ratios(ours: dict[int, float], theirs: dict[int, float]) -> list[float]:
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys())]


def _target(name: str, limit: float, ratios: list[float], *, at_least: bool) -> Target:
    if not ratios:
        return Target(name, limit, at_least, None)
    return Target(name, limit, at_least, statistics.median(ratios), spread=(min(ratios), max(ratios)))
