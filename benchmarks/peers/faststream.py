"""FastStream's RabbitMQ broker, with confirms, persistent messages and no logging."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from benchmarks.task import EXCHANGE, PREFETCH, Task

_EXCHANGE = RabbitExchange(EXCHANGE, type=ExchangeType.TOPIC, durable=True, declare=False)


class Publisher:
    """Publish prepared bodies, as many at once as may be in flight."""

    def __init__(self, task: Task) -> None:
        self._runner = asyncio.Runner()
        self._broker = RabbitBroker(task.url, logger=None, default_channel=Channel(publisher_confirms=True))
        self._in_flight = task.in_flight
        self._messages = itertools.cycle(task.prepared())
        self._runner.run(self._broker.start())

    def publish(self, count: int) -> None:
        """Publish ``count`` messages and wait until all are confirmed."""
        self._runner.run(self._publish(count))

    async def _publish(self, count: int) -> None:
        for start in range(0, count, self._in_flight):
            batch = itertools.islice(self._messages, min(self._in_flight, count - start))
            await asyncio.gather(*(self._send(key, body, str(number)) for number, (key, body) in enumerate(batch)))

    async def _send(self, routing_key: str, body: bytes, message_id: str) -> None:
        await self._broker.publish(
            body, exchange=_EXCHANGE, routing_key=routing_key, persist=True,
            content_type="application/json", message_id=message_id,
        )  # fmt: skip

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._runner.run(self._broker.stop())
        self._runner.close()


class Consumer:
    """Consume with FastStream's own acknowledgement after the handler; it decodes JSON by itself."""

    def __init__(self, task: Task) -> None:
        self._runner = asyncio.Runner()
        self._broker = RabbitBroker(task.url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
        self._queue = RabbitQueue(task.queue, declare=False)
        self._runner.run(self._broker.connect())

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out messages until ``on_message`` has had enough."""
        self._runner.run(self._consume(on_message))

    async def _consume(self, on_message: Callable[[], bool]) -> None:
        enough = asyncio.Event()

        @self._broker.subscriber(self._queue)
        async def handle(event: dict[str, Any]) -> None:
            if not enough.is_set() and on_message():
                enough.set()

        await self._broker.start()
        await enough.wait()

    def close(self) -> None:
        """Leave; the broker keeps what was not acknowledged."""
        self._runner.run(self._broker.stop())
        self._runner.close()
