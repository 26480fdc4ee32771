"""py-amqp, driven by our own I/O: its transport, connection and channel with the blocking parts replaced.

py-amqp does the handshake and every rare method.  Its bytes go through ``Link``: writes are kept for the next
exchange, reads come out of the parser, and every wait has the deadline of the request.  Used by the connection's
thread only.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable
from typing import Any, cast

import amqp
from amqp import spec
from amqp.exceptions import AccessRefused, AMQPError, ChannelError, FrameSyntaxError, error_for_code
from amqp.exceptions import ConnectionError as AmqpConnectionError
from amqp.method_framing import frame_handler
from amqp.transport import _AbstractTransport
from kombu.transport import pyamqp

from bus_amqp.errors import EventBusException, UndecodableError
from bus_amqp.transport.amqp import inherited_sockets
from bus_amqp.transport.amqp.deliveries import deliver_arguments, parse_properties
from bus_amqp.transport.amqp.dialing import Dialer
from bus_amqp.transport.amqp.frames import HEADER, RawFrame
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.writing import SocketStream
from bus_amqp.transport.signals import Blocked, Unblocked

# What py-amqp's parsing raises over a payload that is no AMQP.
_MALFORMED = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError, struct.error)


def forgiving_frame_handler(connection: Any, callback: Any) -> Callable[[RawFrame], bool]:
    """Return py-amqp's frame handler for the plain channels, unharmed by property lists that it cannot read.

    A foreign message with such a list counts as one without properties; py-amqp would raise, the connection would
    be lost, and the message would come again.
    """
    handle: Callable[[Any], bool] = frame_handler(connection, callback)

    def on_frame(frame: RawFrame) -> bool:
        if frame.kind == HEADER:
            try:
                parse_properties(frame.payload[12:])
            except UndecodableError:
                frame = frame._replace(payload=frame.payload[:12] + b"\x00\x00")
        return handle(frame)

    return on_frame


class DriverTransport(_AbstractTransport):
    """Connects within the link's deadline and hands the socket to the link."""

    sock: Any

    def __init__(self, host: str, link: Link, dialer: Dialer, tls: Any, socket_settings: dict[int, int]) -> None:
        super().__init__(host, socket_settings=socket_settings)
        self._link = link
        self._dialer = dialer
        self._tls = tls  # False, or what wrap_socket takes beside the socket: context and server_hostname

    def __repr__(self) -> str:
        # py-amqp's asks the socket, and raises if another thread is closing it.
        return f"<DriverTransport {self.host}{'' if self.connected else ' disconnected'}>"

    def _connect(self, host: str, port: int, timeout: float | None) -> None:
        self.sock = self._dialer.dial(host, port)

    def _setup_transport(self) -> None:
        self.sock.setblocking(False)  # py-amqp has just made it blocking
        if self._tls:
            context: ssl.SSLContext = self._tls["context"]
            self.sock = context.wrap_socket(
                self.sock, server_hostname=self._tls["server_hostname"], do_handshake_on_connect=False
            )
            inherited_sockets.note(self.sock)
            try:
                self._dialer.shake_hands(self.sock)
            except BaseException:  # also for an abort, which py-amqp does not know as the end of a socket
                self.sock.close()
                raise
        self._link.attach(SocketStream(self.sock))

    def _write(self, data: bytes | memoryview) -> None:
        self._link.stream.append(data)

    def close(self) -> None:
        """Free the socket without a word: py-amqp's own way waits for a TLS goodbye."""
        self._link.close()
        self.sock = None
        self.connected = False


class DriverChannel(pyamqp.Channel):
    """A channel that, once the broker has closed it, stays closed.

    py-amqp would silently open it again: without its consumer, and not in confirm mode.
    """

    on_lost: Callable[[ChannelError], None] | None = None  # None: the error belongs to the request going on

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        self.send_method(spec.Channel.CloseOk)
        self.connection.link.stream.flush()
        if self.is_closing:
            return  # both sides close at once; the broker still answers ours
        on_lost = self.on_lost
        self.collect()
        error = error_for_code(reply_code, reply_text, (class_id, method_id), ChannelError)
        if on_lost is None:
            raise error
        on_lost(error)

    def dispatch_method(self, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Handle a method; a delivery by our own parsing of it.

        py-amqp raises over a routing key that is not UTF-8: the connection would be lost, and the message would
        come again.
        """
        if method_sig == spec.Basic.Deliver and not self.is_closing:
            self._on_basic_deliver(*deliver_arguments(payload), content)
        else:
            super().dispatch_method(method_sig, payload, content)

    def collect(self) -> None:
        """Forget everything about the channel."""
        connection, number = self.connection, self.channel_id
        super().collect()
        if connection is not None:
            connection.link.parser.forget(number)


class DriverConnection(pyamqp.Connection):
    """py-amqp's connection over a ``Link``; the signals it finds go to the inbox."""

    Channel = DriverChannel
    # py-amqp drops the reason that RabbitMQ gives.
    _METHODS: Any = cast(Any, amqp.Connection)._METHODS | {
        spec.Connection.Blocked: spec.method(spec.Connection.Blocked, "s")
    }

    def __init__(self, *, link: Link, inbox: Inbox, dialer: Dialer, **options: Any) -> None:
        self.link = link
        self.inbox = inbox
        self._dialer = dialer
        self._is_used = False
        self._is_login_open = False  # credentials sent, not yet accepted
        super().__init__(**options)

    def Transport(  # noqa: N802 -- py-amqp's name of the hook
        self, host: str, connect_timeout: float, ssl: Any = False, *_: Any, socket_settings: Any = None, **__: Any
    ) -> DriverTransport:
        """Return the transport; called by ``connect``."""
        return DriverTransport(host, self.link, self._dialer, ssl, socket_settings)

    def connect(self, callback: Any = None) -> None:
        """Connect and shake hands within the link's deadline; once only."""
        # py-amqp opens a second, dumb connection when somebody touches one that is closed.
        if self._is_used:
            raise AmqpConnectionError("the connection is closed")
        self._is_used = True
        try:
            super().connect(callback)
        except ConnectionResetError as exc:
            if self._is_login_open and not self.server_capabilities.get("authentication_failure_close"):
                raise AccessRefused("the broker hung up instead of accepting the login", reply_code=403) from exc
            raise

    def _on_start(self, *arguments: Any, **options: Any) -> None:
        super()._on_start(*arguments, **options)
        self._is_login_open = True

    def _on_tune(self, *arguments: Any, **options: Any) -> None:
        self._is_login_open = False
        super()._on_tune(*arguments, **options)
        self.link.parser.frame_max = self.frame_max
        self.link.heartbeat_seconds = float(self.heartbeat or 0)

    def blocking_read(self, timeout: float | None = None) -> bool:
        """Dispatch one frame, waiting for it until the request's deadline.  Raises ``TimeoutError``."""
        if timeout == 0:  # py-amqp asks before each publish whether the broker has blocked it; the turn hears that
            raise TimeoutError
        link = self.link
        deadline = link.deadline if timeout is None else min(link.deadline, time.monotonic() + timeout)
        while not link.items:
            remaining = min(deadline - time.monotonic(), link.remaining_seconds())
            if remaining <= 0:
                raise TimeoutError("no answer in time")
            link.exchange(remaining)
        return self.dispatch_one()

    def dispatch_one(self) -> bool:
        """Handle the oldest item; return whether py-amqp got a whole method."""
        item = self.link.items.popleft()
        if not isinstance(item, RawFrame):
            self.inbox.add(item)
            return False
        try:
            return bool(self.on_inbound_frame(item))
        except (AMQPError, EventBusException, OSError):
            raise
        except _MALFORMED as exc:
            raise FrameSyntaxError(f"the broker sent a frame that py-amqp cannot read: {exc!r}") from exc

    def on_inbound_method(self, channel_id: int, method_sig: tuple[int, int], payload: bytes, content: Any) -> None:
        """Pass a method on, unless its channel is gone."""
        if self.channels is None or channel_id in self.channels:
            super().on_inbound_method(channel_id, method_sig, payload, content)

    def _on_close(self, reply_code: int, reply_text: str, class_id: int, method_id: int) -> None:
        self.send_method(spec.Connection.CloseOk)
        self.link.stream.flush()
        # error_for_code would give a ChannelError for 403, 404, 406; this ends the connection.
        raise AmqpConnectionError(reply_text, (class_id, method_id), reply_code=reply_code)

    def _on_blocked(self, reason: str) -> None:  # type: ignore[override]  # RabbitMQ gives a reason
        self.inbox.add_signal(Blocked(reason))

    def _on_unblocked(self) -> None:
        self.inbox.add_signal(Unblocked())


class DriverKombuTransport(pyamqp.Transport):
    """kombu's transport with our connection class."""

    Connection: Any = DriverConnection

    @property
    def default_connection_params(self) -> dict[str, Any]:
        """Nothing: kombu would replace an empty password by ``guest``."""
        return {}
