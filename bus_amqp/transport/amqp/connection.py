"""``AmqpConnection``: RabbitMQ behind the seam of ``transport.base``; ``connector`` opens it.

A connection belongs to the thread that opened it; only ``wake`` may be called from another one.  Requests (declare,
open a channel) wait for their answer, at most the connect timeout; what else arrives meanwhile is kept for the next
turn.  Once a connection is lost, every call raises ``ConnectionLostError``.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator, Sequence

from amqp.exceptions import ChannelError

from bus_amqp.errors import ConnectionLostError, InvalidArgumentError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.amqp import declare
from bus_amqp.transport.amqp.address import Address
from bus_amqp.transport.amqp.consume_channel import BulkConsumeChannel
from bus_amqp.transport.amqp.driver import DriverChannel, DriverConnection
from bus_amqp.transport.amqp.encoding import PublishEncoder
from bus_amqp.transport.amqp.errors import FOREIGN, channel_error, translate
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.plain_channels import PlainConsumeChannel, PlainPublishChannel
from bus_amqp.transport.amqp.publish_channel import BulkPublishChannel
from bus_amqp.transport.base import QueueState
from bus_amqp.transport.channel import ConsumeChannel, PublishChannel
from bus_amqp.transport.signals import Signal

FLUSH_SECONDS = 2.0  # on close, for bytes that the socket has not taken
GOODBYE_SECONDS = 1.0  # on close, for the broker's answer

_AnyChannel = BulkPublishChannel | BulkConsumeChannel | PlainPublishChannel | PlainConsumeChannel


class AmqpConnection:
    """One open connection.  Owns the link (socket, parser) and py-amqp's connection, its driver."""

    def __init__(
        self, driver: DriverConnection, inbox: Inbox, address: Address, settings: ConnectionSettings, *,
        max_body_bytes: int, exchange: str, user_id: str = "",
    ) -> None:  # fmt: skip
        self._driver = driver
        self._link = driver.link
        self._inbox = inbox
        self._address = address
        self._settings = settings
        self._max_body_bytes = max_body_bytes
        self._exchange = exchange
        self._user_id = user_id  # who its messages say they are from
        self._is_closed = False
        server = driver.server_properties
        self._broker = f"{server.get('product', 'AMQP broker')} {server.get('version', '')} at {address}"

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "lost" if self._link.error else "open"
        return f"<AmqpConnection {state} to {self._broker}, {self._inbox!r}, {self._link!r}>"

    @property
    def broker(self) -> str:
        """What answered, for people."""
        return self._broker

    def declare(self, plan: Plan) -> None:
        """Make sure that the plan's objects and bindings exist."""
        with self._request("declaring"):
            declare.Declarer(self._driver.channel).declare(plan)

    def delete_queue(self, queue: str) -> None:
        """Delete a queue, if it is there."""
        with self._request(f"deleting queue {queue!r}"):
            declare.delete_queue(self._driver.channel, queue)

    def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange, if it is there."""
        with self._request(f"deleting exchange {exchange!r}"):
            declare.delete_exchange(self._driver.channel, exchange)

    def queue_state(self, queue: str) -> QueueState | None:
        """Look at a queue.  None: not there."""
        with self._request(f"looking at queue {queue!r}"):
            return declare.queue_state(self._driver.channel, queue)

    def publish_channel(self) -> PublishChannel:
        """Open a channel in confirm mode."""
        with self._request("opening a publish channel"):
            channel: DriverChannel = self._driver.channel()
            number: int = channel.channel_id
            close = self._closer(channel)
            result: BulkPublishChannel | PlainPublishChannel
            if self._settings.use_bulk_frames:
                encoder = PublishEncoder(number, self._exchange, self._driver.frame_max, self._user_id)
                result = BulkPublishChannel(number, self._link, encoder, close)
            else:
                result = PlainPublishChannel(channel, self._link, self._exchange, self._inbox, close, self._user_id)
            channel.confirm_select()
            self._inbox.add_publisher(number, result)
            channel.on_lost = self._loser(number, result)
            return result

    def consume_channel(self, queue: str, prefetch: int, *, consumer_tag: str = "") -> ConsumeChannel:
        """Open a channel and consume."""
        with self._request(f"consuming from {queue!r}"):
            channel: DriverChannel = self._driver.channel()
            number: int = channel.channel_id
            close, stop = self._closer(channel), self._stopper(channel)
            result: BulkConsumeChannel | PlainConsumeChannel
            on_message: Callable[..., None] | None = None
            if self._settings.use_bulk_frames:
                result = BulkConsumeChannel(number, queue, self._link, close, stop)
            else:
                result = PlainConsumeChannel(channel, queue, self._link, self._inbox, self._max_body_bytes, close, stop)
                on_message = result.on_message
            channel.basic_qos(0, prefetch, a_global=False)  # RabbitMQ 4.3 refuses the global kind
            self._inbox.add_consumer(number, result)  # the first deliveries may come in one piece with the answer
            try:
                channel.basic_consume(
                    queue,
                    consumer_tag=consumer_tag,
                    callback=on_message,
                    on_cancel=lambda _: self._inbox.cancel(number),
                )
            except BaseException:  # whatever ends it: deliveries for nobody must not gather
                self._inbox.forget(number)
                raise
            channel.on_lost = self._loser(number, result)
            return result

    def _closer(self, channel: DriverChannel) -> Callable[[], None]:
        number: int = channel.channel_id

        def close() -> None:
            self._inbox.forget(number)
            if not self._is_closed and self._link.error is None:
                with self._request("closing a channel"):
                    channel.close()

        return close

    def _stopper(self, channel: DriverChannel) -> Callable[[], None]:
        def stop() -> None:
            with self._request("ending a consumer"):
                for tag in tuple(channel.cancel_callbacks):  # none, if the broker has ended it already
                    channel.basic_cancel(tag)

        return stop

    def _loser(self, number: int, channel: _AnyChannel) -> Callable[[ChannelError], None]:
        def lose(error: ChannelError) -> None:
            channel.lost()
            self._inbox.lose(number, channel_error(error))

        return lose

    @contextlib.contextmanager
    def _request(self, doing: str) -> Iterator[None]:
        """Give what is inside the request's deadline, and translate what comes out of it."""
        self._link.stream  # noqa: B018 -- raises if the connection is lost or closed
        self._link.deadline = time.monotonic() + self._settings.connect_timeout_seconds
        try:
            yield
        except ChannelError as exc:
            raise channel_error(exc) from exc
        except (*FOREIGN, ConnectionLostError) as exc:
            lost = self._lost(exc, doing)
            raise lost from lost.__cause__
        except (TypeError, ValueError, struct.error) as exc:  # py-amqp could not write it; nothing was sent
            raise InvalidArgumentError(f"{doing}: a name or an argument cannot be sent over AMQP: {exc}") from exc

    def turn(self, timeout_seconds: float) -> Sequence[Signal]:
        """Wait for signals, a wake or the end of the time; send and receive what is there."""
        deadline = time.monotonic() + timeout_seconds
        link, inbox, driver = self._link, self._inbox, self._driver
        try:
            while True:
                link.exchange(0.0 if inbox else max(0.0, deadline - time.monotonic()))
                while link.items:
                    driver.dispatch_one()
                is_woken = link.take_woken()  # used up by this turn, whatever else ends it
                if inbox or is_woken or time.monotonic() >= deadline:
                    return inbox.take()
        except (*FOREIGN, ConnectionLostError) as exc:
            lost = self._lost(exc, "waiting for signals")
            if inbox:
                return inbox.take()  # what was settled before the end is settled; the next call raises
            raise lost from lost.__cause__

    def _lost(self, exc: BaseException, doing: str) -> ConnectionLostError:
        """Have every call raise what this exception means, from now on."""
        lost = translate(exc, self._address, doing)
        if lost is not exc:
            lost.__cause__ = exc
        self._link.error = lost
        return lost

    def wake(self) -> None:
        """End the current or the next turn early.  From any thread, also after ``close``."""
        self._link.wake()

    def close(self) -> None:
        """Send what is kept, say goodbye, free the socket; never raises."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._link.error is None:
                self._say_goodbye()
        except (*FOREIGN, ConnectionLostError):
            pass  # nobody is left who could do anything about it
        finally:
            self._driver.collect()
            self._link.close()

    def _say_goodbye(self) -> None:
        deadline = time.monotonic() + FLUSH_SECONDS
        self._link.stream.flush()
        while self._link.unsent_bytes and time.monotonic() < deadline:
            self._link.exchange(deadline - time.monotonic())
            self._link.items.clear()  # reading goes on: a broker that cannot write may not read either
        self._link.deadline = time.monotonic() + GOODBYE_SECONDS
        try:
            self._driver.close()
        except ConnectionLostError:  # aborted: said, and not waited for
            self._link.stream.flush()
