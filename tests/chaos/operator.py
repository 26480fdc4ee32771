"""``Operator``: what a person with rights on the broker does to it, past the bus and past the proxies.

Through AMQP where that is enough, else through ``rabbitmqctl`` (a second of CPU each time).  What `eval` runs is Erlang
of the broker's own modules, the same in 3.10 and 4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import amqp

from bus_amqp.testing.broker import RealBroker

_ANSWER_SECONDS = 10.0
ALL_EVENTS = "*.*.*.*.*"  # the binding of a topic without conditions
_ALL_CONSUMERS = """
[F(proplists:get_value(channel_pid, C), proplists:get_value(consumer_tag, C)) ||
  C <- rabbit_amqqueue:consumers_all(<<"/">>),
  binary:match(element(4, proplists:get_value(queue_name, C)), <<"{exchange}">>) =/= nomatch]
"""


class Operator:
    """Works on one broker; used by the thread that runs the scenario."""

    def __init__(self, broker: RealBroker) -> None:
        self.broker = broker

    def evaluate(self, erlang: str) -> str:
        """Run an expression on the node and return what it printed."""
        return self.broker.rabbitmqctl("eval", erlang + ".").strip()

    def boot_stamp(self) -> str:
        """Return when the node was started, by its own clock: it tells one life of the broker from the next."""
        return self.evaluate("erlang:system_info(start_time) + erlang:time_offset()")

    def alarms(self) -> str:
        """Return the alarms that are on."""
        return self.evaluate("rabbit_alarm:get_alarms()")

    def lasting_connections(self) -> frozenset[str]:
        """Return the connections of publishers and consumers; those that declare and look come and go."""
        lines = self.broker.rabbitmqctl("list_connections", "pid", "client_properties").splitlines()
        return frozenset(line for line in lines if ':publisher"}' in line or ':consumer"}' in line)

    def close_connections(self) -> None:
        """Close every connection, with a word to the client."""
        self.broker.rabbitmqctl("close_all_connections", "the chaos suite closes all connections")

    def take_consumers_away(self, exchange: str) -> int:
        """Cancel all consumers at the broker without a word to the clients; return how many."""
        return self._to_consumers(
            exchange, "fun(P, T) -> rabbit_channel:do(P, {'basic.cancel', T, true}), cancelled end"
        )

    def cancel_consumers(self, exchange: str) -> int:
        """The same, and tell the clients with ``basic.cancel``."""
        return self._to_consumers(
            exchange,
            "fun(P, T) -> rabbit_channel:do(P, {'basic.cancel', T, true}),"
            " rabbit_channel:send_command(P, {'basic.cancel', T, true}), cancelled end",
        )

    def break_channels(self, exchange: str) -> int:
        """Have the broker close each consumer's channel with 406; return how many.

        It sees an acknowledgement of a delivery that it never made, as if the client had lost count.
        """
        return self._to_consumers(
            exchange, "fun(P, _) -> rabbit_channel:do(P, {'basic.ack', 999999999, false}), cancelled end"
        )

    def _to_consumers(self, exchange: str, function: str) -> int:
        told = self.evaluate(f"F = {function}, {_ALL_CONSUMERS.replace('{exchange}', exchange).strip()}")
        return told.count("cancelled")

    def delete_queue(self, queue: str) -> int:
        """Delete a queue; return how many messages were ready in it.  One that is not there: 0."""
        with self.channel() as channel:
            return int(channel.queue_delete(queue) or 0)

    def unbind(self, queue: str, exchange: str, routing_key: str = ALL_EVENTS) -> None:
        """Remove a binding."""
        with self.channel() as channel:
            channel.queue_unbind(queue, exchange, routing_key)

    def consumers(self, queue: str) -> int | None:
        """Return how many consumers a queue has; None if there is no such queue."""
        state = self.queue_state(queue)
        return None if state is None else state[1]

    def queue_state(self, queue: str) -> tuple[int, int] | None:
        """Return ready messages and consumers of a queue; None if there is no such queue."""
        with self.channel() as channel:
            try:
                _, ready, consumers = channel.queue_declare(queue, passive=True)
            except amqp.exceptions.NotFound:
                return None
            return ready, consumers

    def bodies(self, queue: str) -> list[bytes]:
        """Return what lies in a queue, and leave it there."""
        found: list[bytes] = []
        state = self.queue_state(queue)
        if state is None or not state[0]:
            return []
        with self.channel() as channel:  # whose end gives it all back
            channel.auto_decode = False
            channel.basic_qos(0, min(state[0], 65535), False)  # a quorum queue takes "no bound" for 2,000
            channel.basic_consume(queue, callback=lambda message: found.append(bytes(message.body)))
            while len(found) < state[0]:
                channel.connection.drain_events(timeout=_ANSWER_SECONDS)
        return found

    def publish_raw(self, exchange: str, routing_key: str, body: bytes, count: int) -> None:
        """Publish the same bytes many times, as a foreign program would, the last one confirmed."""
        with self.channel() as channel:
            channel.confirm_select()
            for _ in range(count - 1):
                channel.basic_publish(amqp.Message(body, delivery_mode=2), exchange, routing_key)
            channel.basic_publish_confirm(amqp.Message(body, delivery_mode=2), exchange, routing_key)

    def clear(self, queues: list[str], exchanges: list[str]) -> None:
        """Delete what a scenario has left: idle quorum queues would slow the next start of the broker."""
        with self.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)
            for exchange in exchanges:
                channel.exchange_delete(exchange)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of a connection of its own."""
        parts = urlsplit(self.broker.url)
        connection = amqp.Connection(
            f"{parts.hostname}:{parts.port or 5672}",
            userid=parts.username,
            password=parts.password,
            connect_timeout=10,
        )
        connection.connect()
        try:
            yield connection.channel()
        finally:
            with contextlib.suppress(OSError, amqp.AMQPError):  # the broker may have closed it
                connection.close()
