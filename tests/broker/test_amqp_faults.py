"""RabbitMQ that refuses, goes silent, is cut off or blocks: what a connection makes of it, and in what time."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from bus_amqp.errors import AccessRefusedError, ConnectionLostError
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.transport.signals import Blocked, Confirmed, Signal, Unblocked
from bus_amqp.wire.message import Message
from tests.broker.amqp_workbench import (
    WAIT_SECONDS,
    Connect,
    a_connector,
    a_plan,
    receive,
    turns,
    turns_while,
    with_login,
)


@pytest.mark.parametrize(
    ("user", "password", "virtual_host", "word"),
    [
        ("guest", "s3cret", None, "'guest'"),
        ("nobody", "s3cret", None, "'nobody'"),
        ("guest", "guest", "nowhere", "'nowhere'"),
    ],
    ids=["password", "user", "virtual host"],
)
def test_a_login_that_is_refused_is_told_at_once(rabbitmq_url: str, exchange: str, user, password, virtual_host, word):
    """The operator's move, with a name and without a password."""
    started = time.monotonic()
    with pytest.raises(AccessRefusedError, match=word) as caught:
        a_connector(
            with_login(rabbitmq_url, user, password, virtual_host), exchange, connect_timeout_seconds=WAIT_SECONDS
        ).connect("test")

    assert time.monotonic() - started < WAIT_SECONDS / 2
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_forbidden_virtual_host_is_told(rabbitmq: RealBroker, exchange: str):
    """It exists, but not for this user."""
    rabbitmq.rabbitmqctl("add_vhost", exchange)
    rabbitmq.rabbitmqctl("clear_permissions", "-p", exchange, urlsplit(rabbitmq.url).username or "guest")

    with pytest.raises(AccessRefusedError, match=f"'{exchange}'"):
        a_connector(urlunsplit(urlsplit(rabbitmq.url)._replace(path=f"/{exchange}")), exchange).connect("test")

    rabbitmq.rabbitmqctl("delete_vhost", exchange)


def test_the_broker_knows_the_connection_by_name(rabbitmq: RealBroker, connect: Connect, exchange: str):
    """An operator finds out whose connection it is."""
    connect(role := f"role-of-{exchange}")

    assert f"test:{role}" in rabbitmq.rabbitmqctl("list_connections", "client_properties")


def test_a_cut_connection_is_told_at_once(connect: Connect, proxy: TcpProxy, rabbitmq_url: str, exchange: str):
    """A reset needs no heartbeat to be seen."""
    connection = connect(url=proxy.url_through(rabbitmq_url))
    channel = connection.publish_channel()

    proxy.cut()

    with pytest.raises(ConnectionLostError, match=r"127\.0\.0\.1"):
        turns(connection, lambda _: False)
    with pytest.raises(ConnectionLostError):
        channel.send([Message("key", b"")])


def test_a_silent_connection_is_dead_after_two_heartbeats(
    connect: Connect, proxy: TcpProxy, rabbitmq_url: str, exchange: str
):
    """A network that swallows everything: nothing but our own clock tells, and close does not hang on it."""
    connection = connect(url=proxy.url_through(rabbitmq_url), heartbeat_seconds=1, connect_timeout_seconds=1)
    other = connect(url=proxy.url_through(rabbitmq_url), heartbeat_seconds=10, connect_timeout_seconds=1)
    channel = other.publish_channel()

    proxy.blackhole()

    started = time.monotonic()
    with pytest.raises(ConnectionLostError, match="silent"):
        connection.turn(30)
    assert 1 < time.monotonic() - started < 4
    started = time.monotonic()
    channel.send([Message("key", b"x" * 1_000_000)] * 30)
    with pytest.raises(ConnectionLostError, match="declaring"):
        other.declare(a_plan(exchange))
    assert time.monotonic() - started < 3


def test_closing_a_connection_whose_peer_reads_nothing_is_bounded(connect: Connect, proxy: TcpProxy, rabbitmq_url: str):
    """P8: bytes that nobody takes are given up after two seconds."""
    connection = connect(url=proxy.url_through(rabbitmq_url))
    channel = connection.publish_channel()
    proxy.blackhole()
    channel.send([Message("key", b"x" * 1_000_000)] * 30)
    assert channel.unsent_bytes > 0

    started = time.monotonic()
    connection.close()

    assert time.monotonic() - started < 4.5


def test_an_idle_connection_lives_through_a_long_turn(connect: Connect, rabbitmq: RealBroker):
    """The turn sends the heartbeats itself, however long its owner lets it wait."""
    connection = connect(heartbeat_seconds=1)

    assert connection.turn(4.5) == []
    assert connection.queue_state("absent") is None


def test_a_stream_in_small_pieces_is_the_same_stream(
    connect: Connect, proxy: TcpProxy, rabbitmq_url: str, exchange: str
):
    """Some networks deliver a few bytes at a time."""
    proxy.chop(7)
    connection = connect(url=proxy.url_through(rabbitmq_url))
    connection.declare(a_plan(exchange))
    connection.publish_channel().send([Message("k", b"%d" % n) for n in range(100)])
    connection.consume_channel(f"{exchange}.q", 200)

    assert [one.body for one in receive(connection, 100)] == [b"%d" % n for n in range(100)]


def test_a_memory_alarm_is_told_with_its_reason_and_costs_no_connection(
    rabbitmq: RealBroker, connect: Connect, exchange: str
):
    """A blocked broker reads nothing: the thread must not hang in a write, nor the connection die of it."""
    connection = connect(heartbeat_seconds=2)
    connection.declare(a_plan(exchange))
    channel = connection.publish_channel()
    signals = turns_while(connection, lambda: rabbitmq.rabbitmqctl("set_vm_memory_high_watermark", "0.000001"))
    try:
        channel.send([Message("key", b"x" * 100_000)] * 200)
        signals += turns(connection, lambda found: any(isinstance(one, Blocked) for one in found))
        (blocked,) = [one for one in signals if isinstance(one, Blocked)]
        assert "memory" in blocked.reason
        started = time.monotonic()
        while time.monotonic() - started < 5:  # longer than two heartbeats
            signals += connection.turn(1)
    finally:
        signals += turns_while(connection, lambda: rabbitmq.rabbitmqctl("set_vm_memory_high_watermark", "0.6"))

    def confirmed(found: Sequence[Signal]) -> int:
        return max((one.sequence for one in found if isinstance(one, Confirmed)), default=0)

    signals += turns(connection, lambda found: confirmed([*signals, *found]) == 200)
    assert any(isinstance(one, Unblocked) for one in signals)


def test_a_connection_that_the_broker_closes_says_why(rabbitmq: RealBroker, connect: Connect):
    """CONNECTION_FORCED and the operator's words, instead of "reset by peer"."""
    connection = connect()

    rabbitmq.rabbitmqctl("close_all_connections", "moving house")

    with pytest.raises(ConnectionLostError, match=r"CONNECTION_FORCED.*moving house"):
        turns(connection, lambda _: False)


def test_a_wake_ends_a_turn_from_another_thread(connect: Connect):
    """Every publish and every settlement depends on it."""
    connection = connect()
    is_turning = threading.Event()

    def wake() -> None:
        is_turning.wait(WAIT_SECONDS)
        connection.wake()

    thread = threading.Thread(target=wake)
    thread.start()
    started = time.monotonic()
    is_turning.set()
    assert connection.turn(WAIT_SECONDS) == []

    assert time.monotonic() - started < 5
    thread.join()


def test_connections_leave_no_descriptor_behind(rabbitmq_url: str, exchange: str, is_bulk: bool):
    """Reconnecting for months must not use up what the process may open."""
    connector = a_connector(rabbitmq_url, exchange, use_bulk_frames=is_bulk)
    refused = a_connector(with_login(rabbitmq_url, "guest", "wrong", "nowhere"), exchange)
    connector.connect("first").close()
    before = len(list(Path("/dev/fd").iterdir()))

    for _ in range(10):
        connection = connector.connect("again")
        connection.publish_channel()
        connection.close()
    with pytest.raises(AccessRefusedError):
        refused.connect("refused")

    assert len(list(Path("/dev/fd").iterdir())) == before
