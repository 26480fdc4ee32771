"""``bus_amqp.transport.amqp.driver``: what py-amqp is told, and what it must not be asked."""

import socket

from bus_amqp.transport.amqp.driver import DriverTransport
from bus_amqp.transport.amqp.frames import FrameParser
from bus_amqp.transport.amqp.link import Link


def test_a_transport_that_is_being_closed_can_be_looked_at() -> None:
    """A debugger and a log line look from another thread; py-amqp asks the socket for its address, and raises."""
    link = Link(FrameParser(1000))
    transport = DriverTransport("127.0.0.1:5672", link, None, False, {})  # type: ignore[arg-type]
    transport.sock, other = socket.socketpair()
    transport.connected = True
    assert repr(transport) == "<DriverTransport 127.0.0.1>"

    transport.sock.close()
    other.close()
    link.close()

    assert "127.0.0.1" in repr(transport)
