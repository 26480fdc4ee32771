"""Make a plan true on the broker, and look at queues.  Every channel here is thrown away after use.

A full declare comes first, because only it compares arguments.  Where the user may not declare, a passive one
decides: what exists is accepted, so a publisher needs no configure right.  That order gives the same outcome as
passive first with half the round trips.  Errors are py-amqp's here; the connection translates them.
"""

from __future__ import annotations

from collections.abc import Callable

from amqp.exceptions import AccessRefused, NotFound

from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.amqp.driver import DriverChannel
from bus_amqp.transport.base import QueueState


class Declarer:
    """Declares one plan.  The channel is opened when needed and again after an error has closed it."""

    def __init__(self, open_channel: Callable[[], DriverChannel]) -> None:
        self._open_channel = open_channel
        self._channel: DriverChannel | None = None

    def declare(self, plan: Plan) -> None:
        """Declare exchanges, then queues, then bindings."""
        for exchange in plan.exchanges:
            self._declare_exchange(exchange)
        for queue in plan.queues:
            self._declare_queue(queue)
        self._bind(plan.bindings)
        if self._channel is not None:
            self._channel.close()

    def _use(self) -> DriverChannel:
        if self._channel is None or self._channel.connection is None:
            self._channel = self._open_channel()
        return self._channel

    def _declare_exchange(self, exchange: Exchange) -> None:
        try:
            self._use().exchange_declare(
                exchange.name, exchange.kind, durable=True, auto_delete=False, arguments=dict(exchange.arguments)
            )
        except AccessRefused as refused:
            try:
                self._use().exchange_declare(exchange.name, exchange.kind, passive=True)
            except NotFound:
                raise refused from None  # the missing right is what to tell, with the exchange's name

    def _declare_queue(self, queue: Queue) -> None:
        try:
            self._use().queue_declare(
                queue.name,
                durable=not queue.is_exclusive,
                exclusive=queue.is_exclusive,
                auto_delete=queue.is_exclusive,  # else it would fill on behind a channel that has ended
                arguments=dict(queue.arguments),
            )
        except AccessRefused as refused:
            try:
                self._use().queue_declare(queue.name, passive=True)
            except NotFound:
                raise refused from None  # the missing right is what to tell, with the queue's name

    def _bind(self, bindings: tuple[Binding, ...]) -> None:
        for binding in bindings[:-1]:
            # The broker works in order: the answer to the last speaks for all.
            self._use().queue_bind(binding.queue, binding.exchange, binding.key, nowait=True)
        for binding in bindings[-1:]:
            self._use().queue_bind(binding.queue, binding.exchange, binding.key)


def delete_queue(open_channel: Callable[[], DriverChannel], queue: str) -> None:
    """Delete a queue, if it is there."""
    channel = open_channel()
    try:
        channel.queue_delete(queue)
    except NotFound:  # RabbitMQ 3.10 to 4 answer "deleted"; the node of a classic queue may be down
        return
    channel.close()


def delete_exchange(open_channel: Callable[[], DriverChannel], exchange: str) -> None:
    """Delete an exchange, if it is there."""
    channel = open_channel()
    channel.exchange_delete(exchange)  # RabbitMQ 3.10 to 4 answer "deleted" in any case
    channel.close()


def queue_state(open_channel: Callable[[], DriverChannel], queue: str) -> QueueState | None:
    """Count what is in a queue and who consumes.  None: not there."""
    channel = open_channel()
    try:
        found = channel.queue_declare(queue, passive=True)
    except NotFound:
        return None
    channel.close()
    return QueueState(ready=found.message_count, consumers=found.consumer_count)
