"""The network that fails on request: what a test of an outage rests on."""

import contextlib
import select
import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from bus_amqp.testing.proxied_connection import Conditions, ProxiedConnection
from bus_amqp.testing.tcp_proxy import TcpProxy
from tests.patience import TIMEOUT_SECONDS

NOT_SECONDS = 0.15  # how long nothing must arrive


class Pair:
    """A client's socket and the socket that the target got for it through the proxy."""

    def __init__(self, proxy: TcpProxy, listener: socket.socket) -> None:
        self.client = socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS)
        self.target, _ = listener.accept()
        self.target.settimeout(TIMEOUT_SECONDS)

    def close(self) -> None:
        self.client.close()
        self.target.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_SECONDS)
        yield listener


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
        yield proxy


@pytest.fixture
def pair(proxy: TcpProxy, listener: socket.socket) -> Iterator[Pair]:
    with contextlib.closing(Pair(proxy, listener)) as pair:
        yield pair


def receive(end: socket.socket, size: int) -> bytes:
    """Read exactly that many bytes."""
    received = b""
    while len(received) < size:
        chunk = end.recv(size - len(received))
        assert chunk, f"the connection ended after {len(received)} of {size} bytes"
        received += chunk
    return received


def is_silent(end: socket.socket) -> bool:
    """Whether nothing arrives, not even an end, for a while."""
    end.settimeout(NOT_SECONDS)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(TIMEOUT_SECONDS)
    return False


def test_bytes_go_both_ways(pair: Pair):
    """Without a fault the proxy is a wire."""
    pair.client.sendall(b"up")
    pair.target.sendall(b"down")

    assert receive(pair.target, 2) == b"up"
    assert receive(pair.client, 4) == b"down"


def test_more_than_any_buffer_arrives_whole_and_in_order(pair: Pair):
    """A slow reader stalls the writer; not a byte is lost or moved."""
    sent = bytes(range(256)) * 32 * 1024
    pair.client.setblocking(False)

    offset, received = 0, bytearray()
    while len(received) < len(sent):
        with contextlib.suppress(BlockingIOError):
            offset += pair.client.send(sent[offset : offset + 1_000_000])
        if offset > len(received):
            received += pair.target.recv(65_536)

    assert bytes(received) == sent


def test_chopped_bytes_arrive_whole(proxy: TcpProxy, pair: Pair):
    """Pieces of one byte are what a parser must survive; put together they are what was sent."""
    proxy.chop(1)

    pair.target.sendall(b"a frame and another")

    assert receive(pair.client, 19) == b"a frame and another"


def test_a_path_that_is_dribbled_does_not_keep_the_others_waiting(listener: socket.socket):
    """One thread serves all: a large piece that goes out byte by byte must not cost the others their heartbeats."""

    def connected() -> tuple[socket.socket, socket.socket]:
        near = socket.create_connection(listener.getsockname(), timeout=TIMEOUT_SECONDS)
        return near, listener.accept()[0]

    (client, client_end), (target, target_end) = connected(), connected()
    with contextlib.closing(selectors.DefaultSelector()) as selector, client, target:
        connection = ProxiedConnection(client_end, target_end, selector, Conditions(piece_bytes=1))
        target.sendall(bytes(2_000))
        select.select([target_end], [], [], TIMEOUT_SECONDS)
        connection.on_ready(target_end, selectors.EVENT_READ)

        connection.forward(time.monotonic())
        assert 0 < connection.held_bytes < 2_000
        assert connection.due_in(time.monotonic()) == 0
        while connection.held_bytes:
            connection.forward(time.monotonic())

        assert receive(client, 2_000) == bytes(2_000)
        connection.reset()


def test_an_orderly_end_is_passed_on(pair: Pair, proxy: TcpProxy):
    """What was sent before the end arrives before the end."""
    pair.target.sendall(b"last words")
    pair.target.close()

    assert receive(pair.client, 10) == b"last words"
    assert pair.client.recv(1) == b""


def test_cut_resets_both_sides_and_takes_new_connections(proxy: TcpProxy, pair: Pair, listener: socket.socket):
    """The ordinary outage: a reset now, a new connection as soon as the client wants one."""
    proxy.cut()

    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)
    with pytest.raises(ConnectionResetError):
        pair.target.recv(1)
    with contextlib.closing(Pair(proxy, listener)) as another:
        another.client.sendall(b"x")
        assert receive(another.target, 1) == b"x"
    assert proxy.accepted == 2


def test_refuse_looks_like_a_broker_that_is_gone(proxy: TcpProxy, pair: Pair, listener: socket.socket):
    """Connecting fails at once until it is restored, on the same port."""
    proxy.refuse()

    with pytest.raises(ConnectionResetError):
        pair.client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS)
    proxy.restore()
    Pair(proxy, listener).close()


def test_half_open_ends_the_target_and_tells_the_client_nothing(proxy: TcpProxy, pair: Pair):
    """The client of a half-open connection learns of it from heartbeats or not at all: it can even write."""
    proxy.half_open()

    with pytest.raises(ConnectionResetError):
        pair.target.recv(1)
    pair.client.sendall(b"into the void")
    assert is_silent(pair.client)


@pytest.mark.parametrize("is_up", [True, False], ids=["up", "down"])
def test_a_blackhole_holds_one_direction_until_restored(proxy: TcpProxy, pair: Pair, is_up: bool):
    """Nothing passes, nothing ends, the other direction works, and afterwards not a byte is missing."""
    near, far = (pair.client, pair.target) if is_up else (pair.target, pair.client)
    proxy.blackhole(up=is_up, down=not is_up)

    near.sendall(b"held")
    far.sendall(b"free")

    assert receive(near, 4) == b"free"
    assert is_silent(far)
    proxy.restore()
    assert receive(far, 4) == b"held"


def test_a_blackhole_swallows_new_connections_too(proxy: TcpProxy, listener: socket.socket):
    """A client that connects in the outage gets a connection on which nobody answers."""
    proxy.blackhole()

    with contextlib.closing(Pair(proxy, listener)) as pair:
        pair.target.sendall(b"greeting")

        assert is_silent(pair.client)


def test_a_delay_is_kept(proxy: TcpProxy, pair: Pair):
    """Latency is what makes windows and timeouts visible: not a byte arrives before its time."""
    proxy.delay(0.2)
    started = time.monotonic()

    pair.client.sendall(b"x")

    assert receive(pair.target, 1) == b"x"
    assert time.monotonic() - started >= 0.2


def test_a_target_that_is_down_ends_the_connection(listener: socket.socket, proxy: TcpProxy):
    """With the broker killed behind the proxy, a client's connection ends at once instead of hanging."""
    listener.close()

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS) as client:
        assert client.recv(1) == b""


def test_the_url_through_the_proxy_keeps_the_login(proxy: TcpProxy):
    """Only host and port change: user, password, virtual host and query are the broker's."""
    url = "amqp://user:p%40ss@example.net:5999/vhost?heartbeat=2"

    assert proxy.url_through(url) == f"amqp://user:p%40ss@127.0.0.1:{proxy.port}/vhost?heartbeat=2"


def test_closing_twice_is_harmless_and_a_closed_proxy_is_gone(proxy: TcpProxy):
    """A fixture closes what a test has closed already."""
    proxy.close()
    proxy.close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS)


def test_a_narrow_path_takes_its_time_and_loses_nothing(proxy: TcpProxy, pair: Pair):
    """A slow line is no outage: bytes trickle through in order, and after it the path is as wide as before."""
    proxy.throttle(20_000)
    started = time.monotonic()
    sent = bytes(range(256)) * 20

    pair.client.sendall(sent)

    assert receive(pair.target, len(sent)) == sent
    assert time.monotonic() - started >= 0.9 * len(sent) / 20_000
    proxy.restore()
    pair.client.sendall(sent * 100)
    assert receive(pair.target, 100 * len(sent)) == sent * 100


def test_what_is_held_back_and_what_was_forwarded_is_counted(proxy: TcpProxy, pair: Pair):
    """Who inflicts a fault must be able to prove that it bit."""
    proxy.chop(1)
    before = proxy.pieces
    pair.client.sendall(b"dribble")
    receive(pair.target, 7)
    proxy.blackhole(down=False)
    pair.client.sendall(b"held")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while proxy.held_bytes < 4 and time.monotonic() < deadline:
        pass

    assert proxy.pieces - before == 7
    assert proxy.held_bytes == 4
