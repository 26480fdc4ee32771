"""``FuzzedConnection``: the real connection over a pair of sockets, past its handshake, with a peer that says anything.

No broker and no thread: everything runs on the test's thread, a turn at a time.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NoReturn

from amqp import spec
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import Address
from bus_amqp.transport.amqp.connection import AmqpConnection
from bus_amqp.transport.amqp.dialing import Dialer
from bus_amqp.transport.amqp.driver import DriverConnection, DriverTransport, forgiving_frame_handler
from bus_amqp.transport.amqp.frames import FrameParser
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.writing import SocketStream
from bus_amqp.transport.signals import Signal

PUBLISHER, CONSUMER = 1, 2  # the numbers of the two open channels
CONSUMER_TAG = "tag"
FRAME_MAX = 4096
MAX_BODY_BYTES = 3 * FRAME_MAX


_ANSWERS = (
    (PUBLISHER, spec.Channel.OpenOk, dumps("S", [""])),
    (PUBLISHER, spec.Confirm.SelectOk, b""),
    (CONSUMER, spec.Channel.OpenOk, dumps("S", [""])),
    (CONSUMER, spec.Basic.QosOk, b""),
    (CONSUMER, spec.Basic.ConsumeOk, dumps("s", [CONSUMER_TAG])),
)


def _method(channel: int, signature: tuple[int, int], arguments: bytes) -> bytes:
    return struct.pack(">BHIHH", 1, channel, 4 + len(arguments), *signature) + arguments + b"\xce"


def _nobody(*_: object) -> NoReturn:
    raise AssertionError("the connection is open: nothing is looked up")


class FuzzedConnection:
    """An open connection with a publish channel and a consume channel.  As a context manager it is freed at the end."""

    def __init__(self, *, is_native: bool) -> None:
        ours, self._peer = socket.socketpair()
        for each in (ours, self._peer):
            each.setblocking(False)
        self.parser = FrameParser(MAX_BODY_BYTES, is_native=is_native)
        self.parser.frame_max = FRAME_MAX
        self._link = link = Link(self.parser)
        link.attach(SocketStream(ours))
        inbox = Inbox()
        dialer = Dialer(link, _nobody)
        driver = DriverConnection(
            link=link, inbox=inbox, dialer=dialer, userid="guest", password="guest", login_method="PLAIN",
            frame_max=FRAME_MAX,
        )  # fmt: skip
        driver._transport = DriverTransport("127.0.0.1", link, dialer, False, {})
        driver._transport.connected = True
        driver._frame_writer = frame_writer(driver, driver._transport)
        driver._on_inbound_frame = forgiving_frame_handler(driver, driver.on_inbound_method)
        self.connection = AmqpConnection(
            driver,
            inbox,
            Address("127.0.0.1", 5672, "guest", "guest", "/", is_tls=False),
            ConnectionSettings(use_bulk_frames=is_native),
            max_body_bytes=MAX_BODY_BYTES,
            exchange="bus.events",
        )
        # The peer's answers lie ready: each is read when the connection has asked.
        self._peer.send(b"".join(_method(*answer) for answer in _ANSWERS))
        self.connection.publish_channel()
        self.connection.consume_channel("queue", 100)

    def hear(self, piece: bytes) -> Sequence[Signal]:
        """Let the peer say these bytes, and take a turn.  Raises what a turn raises."""
        self._peer.send(piece)
        return self.connection.turn(0)

    @property
    def held_bytes(self) -> int:
        """What the parser keeps of messages and frames that have not all arrived."""
        chunks = [len(chunk) for content in self.parser._contents.values() for chunk in content.chunks or ()]
        return self.parser._partial_bytes + sum(chunks) if self.parser._partial else sum(chunks)

    def __enter__(self) -> FuzzedConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()
        self._peer.close()
