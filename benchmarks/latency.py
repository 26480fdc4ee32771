"""From ``publish`` to ``on_event`` at a steady rate: a bare py-amqp pair and the bus, alternating."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.plan import BUS, PY_AMQP, QUEUE_TYPES, Plan
from benchmarks.runner import Client, run
from benchmarks.scene import Scene
from benchmarks.task import Task

_WARM_UP = 50
_MODULES = {PY_AMQP: "py_amqp_latency", BUS: "bus_latency"}


@dataclass(frozen=True, slots=True)
class LatencySample:
    """One run of one pair of processes."""

    peer: str
    queue_type: str
    round: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def measure_latency(
    plan: Plan, url: str, scene: Scene, messages: str, samples: list[LatencySample], say: Callable[[str], None]
) -> None:
    """Add the samples of all rounds."""
    for round_number in range(plan.latency_rounds):
        for queue_type in QUEUE_TYPES:
            order = (PY_AMQP, BUS) if round_number % 2 == 0 else (BUS, PY_AMQP)
            for peer in order:
                sample = _measure(peer, queue_type, round_number, plan, url, scene, messages)
                samples.append(sample)
                say(
                    f"round {round_number + 1} {queue_type:8} latency  {peer:11} "
                    f"p50 {sample.p50_ms:.2f} ms, p99 {sample.p99_ms:.2f} ms"
                )


def _measure(
    peer: str, queue_type: str, round_number: int, plan: Plan, url: str, scene: Scene, messages: str
) -> LatencySample:
    queue = scene.fresh_queue(queue_type)
    if peer == BUS and queue_type == "classic":
        scene.delete(queue)  # a subscription without a group brings its own queue of that kind

    def task(mode: str) -> Task:
        return Task(
            mode, url, queue, queue_type,
            events=plan.latency_events, warm_up=_WARM_UP, rate=plan.latency_rate, messages=messages,
        )  # fmt: skip

    with Client(_MODULES[peer], task("latency-receive")) as receiver:
        receiver.wait_ready()
        receiver.go()
        run(_MODULES[peer], task("latency-send"))
        figures = receiver.figures()
    scene.delete(queue)
    return LatencySample(peer, queue_type, round_number, **figures)
