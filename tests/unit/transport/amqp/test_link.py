"""``bus_amqp.transport.amqp.link``: when a silent broker counts as dead."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from bus_amqp.errors import ConnectionLostError
from bus_amqp.transport.amqp.encoding import HEARTBEAT_FRAME
from bus_amqp.transport.amqp.frames import FrameParser
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.writing import SocketStream

HEARTBEAT_SECONDS = 60.0


@pytest.fixture
def link() -> Iterator[Link]:
    with closing(Link(FrameParser(1000))) as link:
        link.heartbeat_seconds = HEARTBEAT_SECONDS
        yield link


def test_a_heartbeat_that_came_while_the_thread_did_not_run_counts(link: Link) -> None:
    """On a full machine seconds may pass between the last look at the socket and the look at the clock."""
    broker, ours = socket.socketpair()
    ours.setblocking(False)
    with broker:
        stream = SocketStream(ours)
        link.attach(stream)
        stream.received_at = time.monotonic() - 2 * HEARTBEAT_SECONDS  # as if it had slept since
        broker.send(HEARTBEAT_FRAME)

        link._beat(stream)
        link.exchange(0.0)

        assert time.monotonic() - stream.received_at < HEARTBEAT_SECONDS
        stream.received_at = time.monotonic() - 2 * HEARTBEAT_SECONDS
        with pytest.raises(ConnectionLostError, match="silent for"):
            link._beat(stream)
