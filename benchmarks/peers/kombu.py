"""kombu: ``Producer`` with the transport option ``confirm_publish``, ``Consumer`` with ``on_message``."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import kombu

from benchmarks.task import EXCHANGE, PREFETCH, Task


class Publisher:
    """Publish prepared bodies; kombu waits for the confirm of each."""

    def __init__(self, task: Task) -> None:
        self._connection = kombu.Connection(task.url, transport="pyamqp", transport_options={"confirm_publish": True})
        exchange = kombu.Exchange(EXCHANGE, type="topic", durable=True, no_declare=True)
        self._producer = kombu.Producer(self._connection.channel(), exchange, auto_declare=False)
        self._messages = itertools.cycle(task.prepared())

    def publish(self, count: int) -> None:
        """Publish ``count`` messages, each confirmed before the next."""
        for number, (routing_key, body) in enumerate(itertools.islice(self._messages, count)):
            self._producer.publish(
                body, routing_key=routing_key, delivery_mode=2, message_id=str(number),
                content_type="application/json", content_encoding="utf-8",
            )  # fmt: skip

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._connection.close()


class Consumer:
    """Consume with an acknowledgement for each message; the body stays undecoded."""

    def __init__(self, task: Task) -> None:
        self._connection = kombu.Connection(task.url, transport="pyamqp")
        self._connection.connect()
        self._queue = task.queue

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out messages until ``on_message`` has had enough."""
        enough = False

        def handle(message: Any) -> None:
            nonlocal enough
            if not enough:
                message.ack()
                enough = on_message()

        queue = kombu.Queue(self._queue, no_declare=True)
        consumer = kombu.Consumer(
            self._connection.channel(), [queue], on_message=handle, prefetch_count=PREFETCH, auto_declare=False
        )
        consumer.consume()
        while not enough:
            self._connection.drain_events()

    def close(self) -> None:
        """Leave; the broker keeps what was not acknowledged."""
        self._connection.collect()
