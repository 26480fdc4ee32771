"""aio-pika: a channel with publisher confirms, ``gather`` over as many publishes as may be in flight."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import aio_pika

from benchmarks.task import EXCHANGE, PREFETCH, Task


class Publisher:
    """Publish prepared bodies."""

    def __init__(self, task: Task) -> None:
        self._runner = asyncio.Runner()
        self._in_flight = task.in_flight
        self._messages = itertools.cycle(task.prepared())
        self._runner.run(self._open(task.url))

    async def _open(self, url: str) -> None:
        self._connection = await aio_pika.connect_robust(url)
        channel = await self._connection.channel(publisher_confirms=True)
        self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)

    def publish(self, count: int) -> None:
        """Publish ``count`` messages and wait until all are confirmed."""
        self._runner.run(self._publish(count))

    async def _publish(self, count: int) -> None:
        for start in range(0, count, self._in_flight):
            batch = itertools.islice(self._messages, min(self._in_flight, count - start))
            await asyncio.gather(*(self._send(key, body, str(number)) for number, (key, body) in enumerate(batch)))

    async def _send(self, routing_key: str, body: bytes, message_id: str) -> None:
        message = aio_pika.Message(
            body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, content_type="application/json", message_id=message_id
        )
        await self._exchange.publish(message, routing_key)

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._runner.run(self._connection.close())
        self._runner.close()


class Consumer:
    """Consume with ``async with message.process()``."""

    def __init__(self, task: Task) -> None:
        self._runner = asyncio.Runner()
        self._queue = task.queue
        self._runner.run(self._open(task.url))

    async def _open(self, url: str) -> None:
        self._connection = await aio_pika.connect_robust(url)
        self._channel = await self._connection.channel()
        await self._channel.set_qos(prefetch_count=PREFETCH)

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out messages until ``on_message`` has had enough."""
        self._runner.run(self._consume(on_message))

    async def _consume(self, on_message: Callable[[], bool]) -> None:
        enough = asyncio.Event()

        async def handle(message: Any) -> None:
            if enough.is_set():
                return
            async with message.process():
                if on_message():
                    enough.set()

        queue = await self._channel.get_queue(self._queue, ensure=False)
        await queue.consume(handle)
        await enough.wait()

    def close(self) -> None:
        """Leave; the broker keeps what was not acknowledged."""
        self._runner.run(self._connection.close())
        self._runner.close()
