"""A memory broker with a clock of the test's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from bus_amqp.transport.memory.broker import MemoryBroker
from bus_amqp.transport.memory.connection import MemoryConnector
from tests.unit.clock import Clock


@pytest.fixture
def clock() -> Clock:
    """The broker's clock."""
    return Clock()


@pytest.fixture
def connector(clock: Clock) -> Iterator[MemoryConnector]:
    """The only holder of a broker."""
    made = MemoryConnector(f"test-{uuid.uuid4().hex[:8]}", exchange="bus", clock=clock)
    yield made
    made.close()


@pytest.fixture
def broker(connector: MemoryConnector) -> MemoryBroker:
    """The broker that the connector holds."""
    return connector.memory_broker
