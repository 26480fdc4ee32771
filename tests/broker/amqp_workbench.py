"""What the tests of the RabbitMQ transport work with: connectors, a plan, and turns with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

from bus_amqp.sections import ConnectionSettings
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.amqp.connection import AmqpConnection
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.signals import Deliveries, Signal
from bus_amqp.wire.message import Delivery

MAX_BODY_BYTES = 4 * 1024 * 1024
WAIT_SECONDS = 20.0

Connect = Callable[..., AmqpConnection]


def a_connector(url: str, exchange: str, **options: object) -> AmqpConnector:
    settings = ConnectionSettings(**options)
    return AmqpConnector(url, settings, client_name="test", max_body_bytes=MAX_BODY_BYTES, exchange=exchange)


def a_plan(exchange: str, **arguments: str | int | bool) -> Plan:
    return Plan(
        exchanges=(Exchange(exchange, "topic"),),
        queues=(Queue(f"{exchange}.q", {"x-queue-type": "classic", **arguments}),),
        bindings=(Binding(exchange, f"{exchange}.q", "#"),),
    )


def turns(connection: AmqpConnection, is_done: Callable[[Sequence[Signal]], bool]) -> list[Signal]:
    """Turn until the signals satisfy the condition; fail after a while."""
    signals: list[Signal] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_done(signals):
        assert time.monotonic() < deadline, f"only {signals[-5:]} of {len(signals)} signals"
        signals += connection.turn(0.5)
    return signals


def turns_while(connection: AmqpConnection, work: Callable[[], object]) -> list[Signal]:
    """Turn while another thread works: a connection that nobody turns sends no heartbeats."""
    signals: list[Signal] = []
    with ThreadPoolExecutor(1) as executor:
        working = executor.submit(work)
        while not working.done():
            signals += connection.turn(0.1)
        working.result()
    return signals


def turn_until(connection: AmqpConnection, kind: type) -> Signal:
    return turns(connection, lambda signals: any(isinstance(one, kind) for one in signals))[-1]


def receive(connection: AmqpConnection, count: int) -> list[Delivery]:
    def deliveries(signals: Sequence[Signal]) -> list[Delivery]:
        return [one for signal in signals if isinstance(signal, Deliveries) for one in signal.deliveries]

    return deliveries(turns(connection, lambda signals: len(deliveries(signals)) >= count))


def with_login(url: str, user: str, password: str, virtual_host: str | None = None) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    path = parts.path if virtual_host is None else f"/{virtual_host}"
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{place}", path=path))
