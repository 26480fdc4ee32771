"""Publish and deliver, client after client, round after round, each on a fresh queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.c_client import build
from benchmarks.plan import BUS, PY_AMQP, QUEUE_TYPES, Plan
from benchmarks.runner import Client, ClientFailedError, run
from benchmarks.scene import Scene
from benchmarks.task import PREFETCH, Task

_WARM_UP = 500


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one client."""

    mode: str
    peer: str
    queue_type: str
    round: int
    events: int
    rate: float
    cpu_us: float


class Throughput:
    """Measure all clients of a plan; adds to ``samples``, and to ``not_measured`` who could not be and why."""

    def __init__(
        self, plan: Plan, url: str, scene: Scene, messages: str,
        samples: list[Sample], not_measured: dict[str, str], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._url = url
        self._scene = scene
        self._messages = messages
        self._say = say
        self._samples = samples
        self._not_measured = not_measured

    def measure(self) -> None:
        """Measure everything."""
        for round_number in range(self._plan.rounds):
            for queue_type in QUEUE_TYPES:
                for peer in self._plan.order(round_number):
                    if peer not in self._not_measured:
                        self._measure_peer(peer, queue_type, round_number)

    def _measure_peer(self, peer: str, queue_type: str, round_number: int) -> None:
        for mode, measure in (("publish", self._publish), ("deliver", self._deliver)):
            if mode not in self._plan.parts:
                continue
            events = self._plan.events_for(mode, peer)
            try:
                figures = measure(peer, queue_type, events)
            except ClientFailedError as exc:
                self._not_measured[peer] = str(exc)
                self._say(f"{peer}: not measured: {exc}")
                return
            sample = Sample(
                mode, peer, queue_type, round_number, events,
                rate=events / figures["seconds"], cpu_us=1e6 * figures["cpu_seconds"] / events,
            )  # fmt: skip
            self._samples.append(sample)
            where = f"round {round_number + 1} {queue_type:8} {mode:8} {peer:11}"
            self._say(f"{where} {sample.rate:8,.0f}/s {sample.cpu_us:7.1f} us")

    def _publish(self, peer: str, queue_type: str, events: int) -> dict[str, float]:
        queue = self._scene.fresh_queue(queue_type)
        task = Task("publish", self._url, queue, queue_type, events=events, warm_up=_WARM_UP, messages=self._messages)
        figures = run(peer, task)
        stored = self._scene.ready(queue)
        if stored < events:  # a client that counts wrongly must not look fast
            raise ClientFailedError(f"{peer} says that {events} events are confirmed, the queue holds {stored}")
        self._scene.delete(queue)
        return figures

    def _deliver(self, peer: str, queue_type: str, events: int) -> dict[str, float]:
        # As many wait behind the last measured one as were in hand at the first: both ends look alike.
        warm_up, behind = PREFETCH, PREFETCH
        queue = self._scene.fresh_queue(queue_type)
        task = Task("deliver", self._url, queue, queue_type, events=events, warm_up=warm_up, messages=self._messages)
        if peer == BUS and queue_type == "classic":
            self._scene.delete(queue)  # a subscription without a group brings its own queue of that kind
        with Client(peer, task) as client:
            client.wait_ready()
            self._fill(warm_up + events + behind)
            client.go()
            figures = client.figures()
        self._scene.delete(queue)
        return figures

    def _fill(self, count: int) -> None:
        filler = build.NAME if build.why_not() is None else PY_AMQP
        run(filler, Task("publish", self._url, events=count, messages=self._messages))


def matching(samples: list[Sample], mode: str, peer: str, queue_type: str) -> Iterator[Sample]:
    """Return the runs of one client in one discipline, in the order of the rounds."""
    wanted = (mode, peer, queue_type)
    return (sample for sample in samples if (sample.mode, sample.peer, sample.queue_type) == wanted)
