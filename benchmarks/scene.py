"""The stage of a measurement: the exchange and one bound queue, made fresh for each run, and how full it is.

Runs in the parent; opens a connection for each call, so nothing idles while somebody is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from benchmarks.peers.py_amqp import open_connection
from benchmarks.task import BINDING, EXCHANGE, GROUP
from bus_amqp.topology.plan import subscription_queue

_TEMPORARY_ID = UUID("0b5e55ed-0000-4000-8000-000000000000")


class Scene:
    """Declare, fill up, clear away."""

    def __init__(self, url: str) -> None:
        self._url = url
        with self._channel() as channel:
            server = channel.connection.server_properties
            self.broker = f"{server['product']} {server['version']}"
            channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = open_connection(self._url)
        try:
            yield connection.channel()
        finally:
            connection.close()

    def fresh_queue(self, queue_type: str) -> str:
        """Declare the queue that the bus would declare, bind it, and return its name."""
        group = GROUP if queue_type == "quorum" else None
        queue = subscription_queue(EXCHANGE, group, _TEMPORARY_ID, ordered=False)
        with self._channel() as channel:
            channel.queue_delete(queue.name)
            channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments))
            channel.queue_bind(queue.name, EXCHANGE, BINDING)
        return queue.name

    def ready(self, queue: str) -> int:
        """Return how many messages wait in the queue."""
        with self._channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def delete(self, queue: str) -> None:
        """Delete a queue with what is in it."""
        with self._channel() as channel:
            channel.queue_delete(queue)

    def clear(self) -> None:
        """Remove everything that the benchmark and the bus have made."""
        with self._channel() as channel:
            for queue_type in ("classic", "quorum"):
                group = GROUP if queue_type == "quorum" else None
                channel.queue_delete(subscription_queue(EXCHANGE, group, _TEMPORARY_ID, ordered=False).name)
            for queue in (f"{EXCHANGE}.{GROUP}.dead", f"{EXCHANGE}.tmp.dead"):
                channel.queue_delete(queue)
            for exchange in (EXCHANGE, f"{EXCHANGE}.dead"):
                channel.exchange_delete(exchange)
