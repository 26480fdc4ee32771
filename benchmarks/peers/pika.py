"""pika's ``SelectConnection``: the one of its connections that can have more than one confirm outstanding."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pika

from benchmarks.task import EXCHANGE, PREFETCH, Task


class _Loop:
    """A connection with one channel, driven by ``run`` until somebody calls ``stop``."""

    def __init__(self, url: str) -> None:
        self._error: Exception | None = None
        self.connection = pika.SelectConnection(
            pika.URLParameters(url), on_open_callback=self._opened, on_open_error_callback=self._failed
        )
        self.channel: Any = None  # open once run() has returned
        self.run()

    def run(self) -> None:
        """Serve the socket until ``stop``."""
        self.connection.ioloop.start()
        if self._error:
            raise self._error

    def stop(self, *_: Any) -> None:
        """End ``run``."""
        self.connection.ioloop.stop()

    def close(self) -> None:
        """Say goodbye to the broker."""
        self.connection.add_on_close_callback(self.stop)
        self.connection.close()
        self.run()

    def _opened(self, connection: Any) -> None:
        self.channel = connection.channel(on_open_callback=self.stop)

    def _failed(self, _: Any, error: Exception) -> None:
        self._error = error
        self.stop()


class Publisher:
    """Publish prepared bodies, as many as the window allows whenever confirms come in."""

    def __init__(self, task: Task) -> None:
        self._loop = _Loop(task.url)
        self._loop.channel.confirm_delivery(self._answered)
        self._messages = itertools.cycle(task.prepared())
        self._in_flight = task.in_flight
        self._open: set[int] = set()
        self._oldest, self._sent, self._wanted = 1, 0, 0

    def publish(self, count: int) -> None:
        """Publish ``count`` messages and wait until all are confirmed."""
        self._wanted += count
        self._fill()
        self._loop.run()

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._loop.close()

    def _answered(self, frame: Any) -> None:
        if not isinstance(frame.method, pika.spec.Basic.Ack):
            raise RuntimeError(f"not confirmed: {frame.method}")
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            self._open.difference_update(range(self._oldest, tag + 1))
            self._oldest = max(self._oldest, tag + 1)
        else:
            self._open.discard(tag)
        if self._open or self._sent < self._wanted:
            self._fill()
        else:
            self._loop.stop()

    def _fill(self) -> None:
        room = min(self._wanted - self._sent, self._in_flight - len(self._open))
        for routing_key, body in itertools.islice(self._messages, room):
            self._sent += 1
            self._open.add(self._sent)
            number = str(self._sent)
            properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, message_id=number)
            self._loop.channel.basic_publish(EXCHANGE, routing_key, body, properties)


class Consumer:
    """Consume with an acknowledgement for each message."""

    def __init__(self, task: Task) -> None:
        self._loop = _Loop(task.url)
        self._queue = task.queue

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out messages until ``on_message`` has had enough."""
        enough = False

        def handle(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            nonlocal enough
            if enough:
                return
            channel.basic_ack(method.delivery_tag)
            if enough := on_message():
                self._loop.stop()

        channel = self._loop.channel
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(self._queue, handle)
        self._loop.run()

    def close(self) -> None:
        """Leave; the broker keeps what was not acknowledged."""
        self._loop.close()
