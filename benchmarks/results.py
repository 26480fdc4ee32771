"""One run of the benchmark as a value: what was measured, where, and how it is written down as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.latency import LatencySample
from benchmarks.plan import QUEUE_TYPES, Plan
from benchmarks.targets import Target, alone_targets, disk_targets, latency_targets, source_targets, throughput_targets
from benchmarks.throughput import Sample, matching

_PACKAGES = ("bus-amqp", "amqp", "kombu", "pika", "aio-pika", "faststream", "pydantic")


@dataclass(slots=True)
class Results:
    """Filled part by part."""

    plan: Plan
    broker: str
    broker_kind: str = ""
    throughput: list[Sample] = field(default_factory=list)
    latency: list[LatencySample] = field(default_factory=list)
    call: dict[str, float] = field(default_factory=dict)
    source: dict[str, float] = field(default_factory=dict)
    disk: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    start_up: dict[str, float] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def targets(self) -> list[Target]:
        """Return what the bus is held to, with what was measured."""
        return [
            *throughput_targets(self.throughput),
            *latency_targets(self.latency),
            *source_targets(self.source),
            *disk_targets(self.disk),
            *alone_targets(self.call, self.memory, self.start_up),
        ]

    def median(self, mode: str, peer: str, queue_type: str) -> tuple[float, float] | None:
        """Return the median rate and CPU time of a client, each for itself; None if it was not measured."""
        samples = list(matching(self.throughput, mode, peer, queue_type))
        if not samples:
            return None
        return statistics.median(s.rate for s in samples), statistics.median(s.cpu_us for s in samples)

    def to_json(self) -> str:
        """Return everything, the single runs included."""
        medians = [
            {"mode": mode, "peer": peer, "queue_type": queue_type, "rate": found[0], "cpu_us": found[1]}
            for mode in ("publish", "deliver")
            for queue_type in QUEUE_TYPES
            for peer in self.plan.peers
            if (found := self.median(mode, peer, queue_type))
        ]
        written: dict[str, Any] = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "broker": self.broker,
            "broker_kind": self.broker_kind,
            "packages": packages(),
            "plan": asdict(self.plan),
            "seconds": round(self.seconds, 1),
            "targets": [
                asdict(target) | {"limit": _finite(target.limit), "is_reached": target.is_reached}
                for target in self.targets()
            ],
            "medians": medians,
            "throughput": [asdict(sample) for sample in self.throughput],
            "latency": [asdict(sample) for sample in self.latency],
            "publish_call": self.call,
            "source": self.source,
            "disk_outbox": self.disk,
            "memory": self.memory,
            "start_up": self.start_up,
            "not_measured": self.not_measured,
        }
        return json.dumps(written, indent=1) + "\n"


def _finite(limit: float) -> float | None:
    return None if limit == float("inf") else limit


def machine() -> dict[str, Any]:
    """Return what the figures depend on most."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "cpu": _cpu_name(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def packages() -> dict[str, str]:
    """Return the versions of the clients that are installed."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
