"""What the tests of the RabbitMQ transport share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.transport.amqp.connection import AmqpConnection
from tests.broker.amqp_workbench import Connect, a_connector


@pytest.fixture(params=[True, False], ids=["bulk", "plain"])
def is_bulk(request: pytest.FixtureRequest) -> bool:
    """Both kinds of channel."""
    return bool(request.param)


@pytest.fixture
def connect(rabbitmq_url: str, exchange: str, is_bulk: bool) -> Iterator[Connect]:
    """Open connections that are closed at the end; options are settings, ``url`` another way in."""
    connections: list[AmqpConnection] = []

    def open_one(role: str = "test", *, url: str = rabbitmq_url, **options: float) -> AmqpConnection:
        connection = a_connector(url, exchange, use_bulk_frames=is_bulk, **options).connect(role)
        connections.append(connection)
        return connection

    yield open_one
    for connection in connections:
        connection.close()


@pytest.fixture
def proxy(rabbitmq_url: str) -> Iterator[TcpProxy]:
    """A way to the broker that fails on request."""
    with TcpProxy.to(rabbitmq_url) as proxy:
        yield proxy
