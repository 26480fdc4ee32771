"""The transports that pass the conformance suite: memory, and RabbitMQ with bulk frames and with plain kombu."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bus_amqp.sections import ConnectionSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.base import Connector
from bus_amqp.transport.memory.connection import MemoryConnector
from tests.real_brokers import DOCKER, LOCAL

# Before anybody imports the suite: pytest shows the values of a failed assert only in modules that it knows beforehand.
pytest.register_assert_rewrite("bus_amqp.testing.conformance")

MAX_BODY_BYTES = 2 * 1024 * 1024


class MemoryHarness:
    """A memory broker of the test's own."""

    features: frozenset[str] = frozenset()
    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, exchange: str) -> None:
        self.exchange = exchange
        self._connector = MemoryConnector(exchange, exchange=exchange, max_body_bytes=MAX_BODY_BYTES)

    def connector(self, role: str) -> Connector:
        """Return the connector that holds the broker."""
        return self._connector

    def cut_connections(self) -> None:
        """Have the broker cut them."""
        self._connector.memory_broker.cut_connections()

    def close(self) -> None:
        """Let the broker go."""
        self._connector.close()


class RabbitHarness:
    """RabbitMQ, reached through a proxy that can be cut."""

    features = frozenset({"survives-restart", "cluster"})
    max_body_bytes = MAX_BODY_BYTES

    def __init__(self, url: str, exchange: str, settings: ConnectionSettings) -> None:
        self.exchange = exchange
        self._settings = settings
        self._proxy = TcpProxy.to(url)
        self._url = self._proxy.url_through(url)

    def connector(self, role: str) -> Connector:
        """Return a connector through the proxy."""
        return AmqpConnector(
            self._url,
            self._settings,
            client_name="conformance",
            max_body_bytes=MAX_BODY_BYTES,
            exchange=self.exchange,
        )

    def cut_connections(self) -> None:
        """Reset every connection on both sides."""
        self._proxy.cut()

    def close(self) -> None:
        """End the proxy."""
        self._proxy.close()


@pytest.fixture(
    params=["memory", *(f"{frames}-{broker}" for broker in (DOCKER, LOCAL) for frames in ("bulk", "plain"))]
)
def harness(
    request: pytest.FixtureRequest, exchange: str, real_broker: Callable[[str], RealBroker]
) -> Iterator[MemoryHarness | RabbitHarness]:
    """Each transport in turn."""
    made: MemoryHarness | RabbitHarness
    if request.param == "memory":
        made = MemoryHarness(exchange)
    else:
        frames, _, broker = request.param.partition("-")
        settings = ConnectionSettings(use_bulk_frames=frames == "bulk")
        made = RabbitHarness(real_broker(broker).url, exchange, settings)
    yield made
    made.close()
