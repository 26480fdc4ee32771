"""What the tests of the loop share."""

from collections.abc import Callable, Iterator

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.ioloop.loop import Loop
from tests.unit.fakes import WAIT_SECONDS, FakeConnector
from tests.unit.ioloop.clients import NotingClient, Start


@pytest.fixture
def client() -> NotingClient:
    return NotingClient()


@pytest.fixture
def start(client: NotingClient) -> Iterator[Start]:
    """Start loops and end them, whatever the test left."""
    loops: list[Loop] = []

    def start(*connectors: FakeConnector, delay: Callable[[float, float], float] = lambda low, high: 0.0) -> Loop:
        loops.append(Loop("unit", connectors, backoff=lambda: Backoff(uniform=delay)))
        loops[-1].start(client)
        return loops[-1]

    yield start

    for loop in loops:
        loop.stop(at_once=True)
        assert loop.join(WAIT_SECONDS)
