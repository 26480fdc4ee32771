"""Servers that notifications go to, and the brokers that their events come from."""

from collections.abc import Callable, Iterator

import pytest

from bus_amqp.testing.broker import RealBroker
from tests.extension.notify.http_server import HttpServer
from tests.extension.notify.mail_server import MailServer
from tests.promise.amqp_world import AmqpWorld
from tests.promise.world import MemoryWorld, World
from tests.real_brokers import DOCKER, LOCAL


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """An SMTP server that answers."""
    server = MailServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """An HTTP server that answers 200."""
    server = HttpServer()
    yield server
    server.close()


@pytest.fixture(params=["memory", DOCKER, LOCAL])
def world(request: pytest.FixtureRequest, exchange: str, real_broker: Callable[[str], RealBroker]) -> Iterator[World]:
    """A broker with an exchange that nobody else uses: in memory, and each of the real ones."""
    made: World
    if request.param == "memory":
        made = MemoryWorld(exchange)
    else:
        made = AmqpWorld(exchange, real_broker(request.param), use_bulk_frames=True)
    try:
        yield made
    finally:
        made.close()
