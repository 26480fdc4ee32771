"""The worlds in which every promise must hold."""

from collections.abc import Callable, Iterator

import pytest

from bus_amqp.testing.broker import RealBroker
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import Gate
from tests.promise.world import MemoryWorld, World
from tests.real_brokers import DOCKER, LOCAL

# Both brokers see the bulk frames, the default; one of them is enough to see that the plain channel keeps its word.
AMQP_WORLDS = {
    f"amqp-bulk-{DOCKER}": (DOCKER, True),
    f"amqp-bulk-{LOCAL}": (LOCAL, True),
    f"amqp-plain-{DOCKER}": (DOCKER, False),
}


@pytest.fixture(autouse=True)
def no_gate_stays_shut() -> Iterator[None]:
    """A test that failed half-way lets its subscribers go, so that it is reported alone."""
    yield

    for gate in list(Gate.all_gates):
        gate.let_go()


@pytest.fixture(params=["memory", *AMQP_WORLDS])
def world(request: pytest.FixtureRequest, exchange: str, real_broker: Callable[[str], RealBroker]) -> Iterator[World]:
    """A broker with an exchange that nobody else uses, on each transport in turn."""
    made = MemoryWorld(exchange) if request.param == "memory" else _amqp(request.param, exchange, real_broker)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def memory_world(exchange: str) -> Iterator[MemoryWorld]:
    """The memory world alone, for faults that only it can make on order."""
    made = MemoryWorld(exchange)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=list(AMQP_WORLDS))
def amqp_world(
    request: pytest.FixtureRequest, exchange: str, real_broker: Callable[[str], RealBroker]
) -> Iterator[AmqpWorld]:
    """The real brokers alone, for what memory has not: a network."""
    made = _amqp(request.param, exchange, real_broker)
    try:
        yield made
    finally:
        made.close()


def _amqp(name: str, exchange: str, real_broker: Callable[[str], RealBroker]) -> AmqpWorld:
    broker, use_bulk_frames = AMQP_WORLDS[name]
    return AmqpWorld(exchange, real_broker(broker), use_bulk_frames=use_bulk_frames)
