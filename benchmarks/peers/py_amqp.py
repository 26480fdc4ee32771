"""py-amqp with its own window of publisher confirms: nobody asks it to wait after each message."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

from benchmarks.task import EXCHANGE, PREFETCH, Task


def open_connection(url: str) -> Any:
    """Return a connected ``amqp.Connection``."""
    parts = urlsplit(url)
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
    )
    connection.connect()
    return connection


class ConfirmWindow:
    """Publish without waiting, up to ``in_flight`` messages that are not confirmed."""

    def __init__(self, connection: Any, in_flight: int) -> None:
        self._connection = connection
        self.channel = connection.channel()
        self.channel.confirm_select()
        self.channel.events["basic_ack"].add(self._confirmed)
        self._in_flight = in_flight
        self._open: set[int] = set()
        self._oldest = 1
        self._next = 1

    def publish(self, routing_key: str, body: bytes, message_id: str) -> None:
        """Send one persistent message; wait only while the window is full."""
        while len(self._open) >= self._in_flight:
            self._connection.drain_events()
        self._open.add(self._next)
        self._next += 1
        message = amqp.Message(body, delivery_mode=2, content_type="application/json", message_id=message_id)
        self.channel.basic_publish(message, exchange=EXCHANGE, routing_key=routing_key)

    def wait_confirmed(self) -> None:
        """Return when nothing is open."""
        while self._open:
            self._connection.drain_events()

    def _confirmed(self, delivery_tag: int, multiple: bool) -> None:
        if not multiple:
            self._open.discard(delivery_tag)
            return
        self._open.difference_update(range(self._oldest, delivery_tag + 1))
        self._oldest = max(self._oldest, delivery_tag + 1)


class Publisher:
    """Publish prepared bodies."""

    def __init__(self, task: Task) -> None:
        self._connection = open_connection(task.url)
        self._window = ConfirmWindow(self._connection, task.in_flight)
        self._messages = itertools.cycle(task.prepared())

    def publish(self, count: int) -> None:
        """Publish ``count`` messages and wait until all are confirmed."""
        for number, (routing_key, body) in enumerate(itertools.islice(self._messages, count)):
            self._window.publish(routing_key, body, str(number))
        self._window.wait_confirmed()

    def close(self) -> None:
        """Say goodbye to the broker."""
        self._connection.close()


class Consumer:
    """Consume with an acknowledgement for each message."""

    def __init__(self, task: Task) -> None:
        self._connection = open_connection(task.url)
        self._queue = task.queue

    def consume(self, on_message: Callable[[], bool]) -> None:
        """Hand out messages until ``on_message`` has had enough."""
        enough = False

        def handle(message: Any) -> None:
            nonlocal enough
            if not enough:
                channel.basic_ack(message.delivery_tag)
                enough = on_message()

        channel = self._connection.channel()
        channel.basic_qos(0, PREFETCH, False)
        channel.basic_consume(self._queue, callback=handle)
        while not enough:
            self._connection.drain_events()

    def close(self) -> None:
        """Leave; the broker keeps what was not acknowledged."""
        self._connection.collect()
