"""``bus_amqp.transport.amqp.dialing``: every wait on the way to a connection is bounded, and ends when told to."""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

import pytest

from bus_amqp.errors import ConnectionLostError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp import connection as connection_module
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.amqp.dialing import LookUp, look_up_here
from tests.unit.fakes import Running, wait_until
from tests.unit.transport.amqp.fake_broker import FakeBroker

LONG = 30.0


def a_connector(url: str, timeout_seconds: float, look_up: LookUp = look_up_here) -> AmqpConnector:
    return AmqpConnector(
        url,
        ConnectionSettings(connect_timeout_seconds=timeout_seconds),
        client_name="test",
        max_body_bytes=1000,
        exchange="e",
        look_up=look_up,
    )


def full_backlog(stack: ExitStack) -> int:
    """Return a port whose listener takes no more connections: a connect hangs as into a black hole."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    port = listener.getsockname()[1]
    while True:
        sock = stack.enter_context(socket.socket())
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        if not poll.poll(100):
            return int(port)


def test_an_address_that_swallows_everything_is_given_up_in_time():
    """A firewall that drops: the kernel alone would try for two minutes."""
    with ExitStack() as stack:
        connector = a_connector(f"amqp://127.0.0.1:{full_backlog(stack)}/", 0.3)
        started = time.monotonic()
        with pytest.raises(ConnectionLostError, match="no answer in time"):
            connector.connect("publisher")

    assert time.monotonic() - started < 2


def test_a_silent_name_server_is_given_up_in_time():
    """``getaddrinfo`` takes no deadline: it must not be waited for."""
    connector = a_connector("amqp://broker.example/", 0.3, lambda host, port: Future())
    started = time.monotonic()

    with pytest.raises(ConnectionLostError, match=r"name service for 'broker\.example'"):
        connector.connect("publisher")

    assert time.monotonic() - started < 2


def test_an_answer_that_comes_while_it_is_awaited_is_used():
    """The look-up's own thread wakes the one that waits."""
    asked: list[tuple[str, int, Future[list[Any]]]] = []

    def look_up(host: str, port: int) -> Future[list[Any]]:
        asked.append((host, port, Future()))
        return asked[-1][2]

    with FakeBroker(lambda peer: (peer.let_in(), peer.hear_goodbye())) as broker:
        connector = a_connector(f"amqp://me:s3cret@broker.example:{broker.port}/", LONG, look_up)
        call = Running(lambda: connector.connect("publisher").close())
        wait_until(lambda: asked)
        asked[0][2].set_result(socket.getaddrinfo("127.0.0.1", broker.port, type=socket.SOCK_STREAM))
        call.result()

    assert asked[0][:2] == ("broker.example", broker.port)


def test_an_address_that_refuses_is_followed_by_the_next_one():
    """A name with two addresses, of which one is dead: IPv6 on a host without it."""
    with FakeBroker(lambda peer: (peer.let_in(), peer.hear_goodbye())) as broker, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        def both(host: str, port: int) -> Future[list[Any]]:
            future: Future[list[Any]] = Future()
            dead, alive = ("127.0.0.1", unused.getsockname()[1]), ("127.0.0.1", broker.port)
            future.set_result([(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in (dead, alive)])
            return future

        a_connector("amqp://me:s3cret@broker.example/", LONG, both).connect("publisher").close()


def hanging_name(stack: ExitStack) -> AmqpConnector:
    return a_connector("amqp://broker.example/", LONG, lambda host, port: Future())


def hanging_connect(stack: ExitStack) -> AmqpConnector:
    return a_connector(f"amqp://127.0.0.1:{full_backlog(stack)}/", LONG)


def hanging_tls(stack: ExitStack) -> AmqpConnector:
    broker = stack.enter_context(FakeBroker(lambda peer: peer.hear_end()))
    return a_connector(f"amqps://127.0.0.1:{broker.port}/", LONG)


def hanging_login(stack: ExitStack) -> AmqpConnector:
    broker = stack.enter_context(FakeBroker(lambda peer: peer.hear_end()))
    return a_connector(f"amqp://127.0.0.1:{broker.port}/", LONG)


@pytest.mark.parametrize("hanging", [hanging_name, hanging_connect, hanging_tls, hanging_login])
def test_a_connect_that_hangs_ends_when_it_is_aborted(hanging: Callable[[ExitStack], AmqpConnector]):
    """P8: ``close(timeout)`` must not stand behind a peer that never answers; and the next try must not begin."""
    with ExitStack() as stack:
        connector = hanging(stack)
        call = Running(lambda: connector.connect("publisher"))
        wait_until(lambda: in_poll(call.thread), "the connect waiting")

        connector.abort("publisher")

        with pytest.raises(ConnectionLostError, match="the bus is closing"):
            call.result()
        with pytest.raises(ConnectionLostError, match="the bus is closing"):
            connector.connect("publisher")


def test_a_request_that_hangs_ends_when_it_is_aborted(monkeypatch: pytest.MonkeyPatch):
    """The same for a broker that falls silent after the login; the other roles of the node go on."""
    monkeypatch.setattr(connection_module, "GOODBYE_SECONDS", LONG)
    with ExitStack() as stack:
        broker = stack.enter_context(FakeBroker(lambda peer: (peer.let_in(), peer.hear_end())))
        connector = a_connector(f"amqp://me:s3cret@127.0.0.1:{broker.port}/", LONG)
        made: list[Any] = []

        def request() -> None:
            made.append(connector.connect("control"))
            made[0].queue_state("q")

        call = Running(request)
        wait_until(lambda: made and in_poll(call.thread), "the request waiting")
        connector.abort("publisher")
        assert call.thread.is_alive()

        connector.abort("control")

        with pytest.raises(ConnectionLostError, match="the bus is closing"):
            call.result()
        started = time.monotonic()
        made[0].close()
        assert time.monotonic() - started < 2


def in_poll(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name in ("wait", "exchange")
