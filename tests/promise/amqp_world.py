"""``AmqpWorld``: a real RabbitMQ behind a proxy; the operator and foreign programs go past the proxy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import amqp

from bus_amqp import EventBus
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.topology import names
from bus_amqp.transport.base import QueueState
from tests.promise.waiting import wait_until
from tests.promise.world import DeadLetterSeen, World

PERSISTENT = 2


class AmqpWorld(World):
    """Each bus reaches the broker through a proxy of its own, so that one of them can be cut off alone."""

    is_amqp = True

    def __init__(self, exchange: str, broker: RealBroker, *, use_bulk_frames: bool) -> None:
        super().__init__(exchange)
        self.kind = "amqp-bulk" if use_bulk_frames else "amqp-plain"
        self.rabbitmq = broker
        self._use_bulk_frames = use_bulk_frames
        self._proxies: list[TcpProxy] = []
        self._proxy_of: dict[EventBus, TcpProxy] = {}
        self._is_away = False
        self._has_alarm = False
        self._extra_queues: list[str] = []

    def connect(self, **options: Any) -> EventBus:
        proxy = TcpProxy.to(self.rabbitmq.url)
        self._proxies.append(proxy)
        if self._is_away:
            proxy.refuse()
        bus = super().connect(**options)
        self._proxy_of[bus] = proxy
        return bus

    def _connection_settings(self) -> Mapping[str, Any]:
        return {"use_bulk_frames": self._use_bulk_frames}

    def _url(self) -> str:
        return self._proxies[-1].url_through(self.rabbitmq.url)

    def _end(self) -> None:
        for proxy in self._proxies:
            proxy.close()

    def cut_connections(self) -> None:
        for proxy in self._proxies:
            proxy.cut()

    def cut_consumer_of(self, bus: EventBus) -> None:
        self._proxy_of[bus].cut()

    def take_broker_away(self) -> None:
        self._is_away = True
        for proxy in self._proxies:
            proxy.refuse()

    def bring_back(self) -> None:
        if self._has_alarm:
            self.end_alarm()
        self._is_away = False
        self.flow()

    def stall(self) -> None:
        for proxy in self._proxies:
            proxy.blackhole()

    def flow(self) -> None:
        for proxy in self._proxies:
            proxy.restore()

    def raise_alarm(self) -> None:
        self._has_alarm = True
        self.rabbitmq.rabbitmqctl("set_vm_memory_high_watermark", "0")

    def end_alarm(self) -> None:
        self.rabbitmq.rabbitmqctl("set_vm_memory_high_watermark", "0.6")
        self._has_alarm = False

    def crash_broker(self) -> None:
        # RabbitMQ answers a declaration before its catalogues are on the disk: Mnesia's log and Ra's directory follow
        # up to a second later. Killed in between, it comes back with a quorum queue that answers no basic.consume,
        # confirms nothing and lets nothing out (5 of 7 kills; none of 12 after this). Not what these tests are about.
        self.rabbitmq.rabbitmqctl("eval", "mnesia:sync_log(), [ok = dets:sync(Table) || Table <- dets:all()].")
        self.rabbitmq.kill()

    def start_broker(self) -> None:
        self.rabbitmq.start()

    def delete_queue(self, queue: str) -> None:
        with self._channel() as channel:
            channel.queue_delete(queue)

    def declare_otherwise(self, queue: str) -> None:
        def declare_first() -> bool:  # the bus, too, makes it again as soon as it is gone
            with self._channel() as channel:
                channel.queue_delete(queue)
                try:
                    channel.queue_declare(queue, durable=True, auto_delete=False)
                except amqp.exceptions.PreconditionFailed:
                    return False
                return True

        wait_until(declare_first, "to be faster than the bus")

    def delete_exchange(self, name: str | None = None) -> None:
        with self._channel() as channel:
            channel.exchange_delete(name or self.exchange)

    def declare_foreign_exchange(self, name: str) -> None:
        with self._channel() as channel:
            channel.exchange_declare(name, "topic", durable=True, auto_delete=False)

    def bind(self, queue: str, routing_key: str) -> None:
        with self._channel() as channel:
            channel.queue_bind(queue, self.exchange, routing_key)

    def unbind(self, queue: str, routing_key: str, *, exchange: str | None = None) -> None:
        with self._channel() as channel:
            channel.queue_unbind(queue, exchange or self.exchange, routing_key)

    def declare_full_queue(self, queue: str, *, routing_key: str) -> None:
        """Bind a queue that has room for one message, and refuses the next."""
        with self._channel() as channel:
            limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
            channel.queue_declare(queue, durable=True, auto_delete=False, arguments=limits)
            channel.queue_bind(queue, self.exchange, routing_key)

    def publish_raw(
        self,
        body: bytes,
        *,
        routing_key: str | bytes = "A.B.C.D.E",
        content_type: str = "application/json",
        headers: Mapping[str, Any] | None = None,
        message_id: str = "",
        exchange: str | None = None,
    ) -> None:
        properties: dict[str, Any] = {"delivery_mode": PERSISTENT}
        if content_type:
            properties["content_type"] = content_type
        if message_id:
            properties["message_id"] = message_id
        if headers:
            properties["application_headers"] = dict(headers)
        with self._channel() as channel:
            message = amqp.Message(body, **properties)
            channel.basic_publish_confirm(message, self.exchange if exchange is None else exchange, routing_key)

    def dead_letters(self, group: str | None = None) -> list[DeadLetterSeen]:
        letters = []
        with self._channel() as channel:  # whose end gives back what it looked at
            channel.auto_decode = False
            while (message := channel.basic_get(names.dead_queue(self.exchange, group))) is not None:
                properties = message.properties
                letters.append(
                    DeadLetterSeen(
                        bytes(message.body),
                        properties.get("application_headers", {}),
                        properties.get("content_type", ""),
                    )
                )
        return letters

    def queue_state(self, queue: str) -> QueueState | None:
        with self._channel() as channel:
            try:
                _, ready, consumers = channel.queue_declare(queue, passive=True)
            except amqp.exceptions.NotFound:
                return None
            except amqp.exceptions.ResourceLocked:  # exclusive, and another connection's
                return QueueState(0, 1)
            return QueueState(ready, consumers)

    def open_connections(self) -> int:
        return sum(proxy.connections for proxy in self._proxies)

    def connections_made(self, bus: EventBus) -> int:
        """Return how many connections one bus has made so far."""
        return self._proxy_of[bus].accepted

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        """A channel of a foreign program, which goes straight to the broker."""
        parts = urlsplit(self.rabbitmq.url)
        connection = amqp.Connection(
            f"{parts.hostname}:{parts.port or 5672}", userid=parts.username, password=parts.password
        )
        connection.connect()
        try:
            yield connection.channel()
        finally:
            connection.close()

    def wait_connected(self, count: int) -> None:
        """Wait until that many connections go through the proxies."""
        wait_until(lambda: self.open_connections() >= count, f"{count} connections")
