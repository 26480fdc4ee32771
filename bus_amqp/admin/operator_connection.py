"""The one connection of an operator's command: no bus, no thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bus_amqp.engine.connect import connectors_of
from bus_amqp.errors import ConnectionLostError
from bus_amqp.settings import Settings
from bus_amqp.transport.base import Connection

# RabbitMQ's own limit is 16 to 128 MiB: what sits in a dead-letter queue because it is too large can be looked at.
MAX_BODY_BYTES = 128 * 1024 * 1024


@contextmanager
def operator_connection(settings: Settings, *, client_name: str) -> Iterator[Connection]:
    """Open a connection to the first node that answers; it is closed at the end.

    Raises ``SettingsError``, ``AccessRefusedError``, ``BrokerRefusedError``, ``ConnectionLostError``.
    """
    sizes = {"max_event_bytes": MAX_BODY_BYTES, "outbox_bytes": 2 * MAX_BODY_BYTES}
    wide = settings.model_copy(update={"publisher": settings.publisher.model_copy(update=sizes)})
    connectors, release = connectors_of(wide, client_name=client_name)
    try:
        for connector in connectors[:-1]:
            try:
                connection = connector.connect("operator")
                break
            except ConnectionLostError:
                continue  # the next node of the cluster
        else:
            connection = connectors[-1].connect("operator")
        try:
            yield connection
        finally:
            connection.close()
    finally:
        release()
