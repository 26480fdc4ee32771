"""What one run of the benchmark measures: clients, counts, rounds.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.c_client.build import NAME as C_CLIENT

BUS = "bus"
PY_AMQP = "py_amqp"
FASTSTREAM = "faststream"
QUEUE_TYPES = ("classic", "quorum")
PARTS = ("publish", "deliver", "latency", "call", "source", "disk", "memory", "import")

# Neighbours in this order are the pairs whose ratio is asked for; every other round goes backwards.
PEERS = (C_CLIENT, BUS, PY_AMQP, FASTSTREAM, "pika", "aio_pika", "kombu")

TITLES = {
    C_CLIENT: "rabbitmq-c (C, the limit)",
    BUS: "bus_amqp",
    PY_AMQP: "py-amqp, pipelined",
    FASTSTREAM: "FastStream",
    "pika": "pika, SelectConnection",
    "aio_pika": "aio-pika",
    "kombu": "kombu Producer",
}

# Slow clients get fewer events, so that every run takes about a second and the whole some minutes.
_SHARES = {
    "publish": {"pika": 0.5, "aio_pika": 0.2, FASTSTREAM: 0.2, "kombu": 0.05},
    "deliver": {C_CLIENT: 3, BUS: 2, "pika": 0.5, "kombu": 0.5, "aio_pika": 0.3, FASTSTREAM: 0.2},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of one run."""

    parts: tuple[str, ...] = PARTS
    peers: tuple[str, ...] = PEERS
    rounds: int = 5
    latency_rounds: int = 7
    events: int = 12_000
    latency_events: int = 400
    latency_rate: float = 200.0
    call_events: int = 50_000
    source_events: int = 30_000
    memory_events: tuple[int, int] = (100_000, 1_000_000)
    start_up_runs: int = 7
    command_runs: int = 40
    is_quick: bool = False

    def events_for(self, mode: str, peer: str) -> int:
        """Return how many events a client gets."""
        return max(400, int(self.events * _SHARES[mode].get(peer, 1)))

    def order(self, round_number: int) -> tuple[str, ...]:
        """Return the clients in the order of a round."""
        return self.peers if round_number % 2 == 0 else self.peers[::-1]


def quick(plan: Plan) -> Plan:
    """Return a plan of the same shape that takes under two minutes: for looking, not for quoting."""
    return Plan(
        parts=plan.parts, peers=plan.peers, rounds=1, latency_rounds=1, events=min(plan.events, 6_000),
        latency_events=200, call_events=20_000, source_events=6_000, memory_events=(20_000, 100_000), start_up_runs=3,
        command_runs=7,
        is_quick=True,
    )  # fmt: skip
