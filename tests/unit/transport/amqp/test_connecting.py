"""Brokers that refuse, stay silent or talk nonsense: what a connection makes of them, and in what time."""

from __future__ import annotations

import gc
import threading
import time
import traceback
import warnings
from pathlib import Path

import pytest
from amqp import spec

from bus_amqp.errors import AccessRefusedError, BrokerRefusedError, ConnectionLostError, TransportError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp import connection as connection_module
from bus_amqp.transport.amqp.connection import AmqpConnection
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.signals import Blocked, Unblocked
from tests.patience import TIMEOUT_SECONDS
from tests.unit.transport.amqp.fake_broker import FakeBroker, Peer

PASSWORD = "s3cret"
QUICK_HEARTBEAT_SECONDS = 0.2


def a_connector(url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, heartbeat_seconds: int = 10) -> AmqpConnector:
    settings = ConnectionSettings(connect_timeout_seconds=timeout_seconds, heartbeat_seconds=heartbeat_seconds)
    return AmqpConnector(url, settings, client_name="test", max_body_bytes=1000, exchange="bus.events")


def failure_of(connector: AmqpConnector) -> TransportError:
    with pytest.raises(TransportError) as caught:
        connector.connect("publisher")
    error = caught.value
    assert PASSWORD not in "".join(traceback.format_exception(error)), "a password in a log is a password lost"
    return error


def quickened(connection: AmqpConnection) -> AmqpConnection:
    """Let time pass faster once the heartbeat is negotiated: AMQP counts whole seconds, and tests need not wait so."""
    assert connection._link.heartbeat_seconds == 1
    connection._link.heartbeat_seconds = QUICK_HEARTBEAT_SECONDS
    return connection


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def no_descriptor_is_left():
    """P8: a connection that failed half way must not leave its socket to the garbage collector."""
    gc.collect()
    before = open_descriptors()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        yield
        gc.collect()

    assert open_descriptors() == before


@pytest.mark.usefixtures("no_descriptor_is_left")
class TestRefused:
    """The operator's move: said at once, by name, and not tried again every 100 ms."""

    def test_a_wrong_password(self):
        """The login's end must not read like a network fault."""

        def script(peer: Peer) -> None:
            peer.greet(authentication_failure_close=True)
            peer.say(spec.Connection.Close, "BsBB", (403, "ACCESS_REFUSED - Login was refused", 0, 0))
            assert peer.hear() == spec.Connection.CloseOk

        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url))

        assert isinstance(error, AccessRefusedError)
        assert "'me'" in str(error)

    def test_a_broker_that_hangs_up_instead_of_saying_so(self):
        """Brokers without that capability close the socket, as AMQP 0-9-1 says."""
        with FakeBroker(lambda peer: peer.greet()) as broker:
            error = failure_of(a_connector(broker.url))

        assert isinstance(error, AccessRefusedError)

    def test_an_absent_virtual_host(self):
        """530 is the code for the virtual host; the text names it."""

        def script(peer: Peer) -> None:
            peer.greet(authentication_failure_close=True)
            peer.say(spec.Connection.Tune, "BlB", (2047, 131072, 60))
            assert (peer.hear(), peer.hear()) == (spec.Connection.TuneOk, spec.Connection.Open)
            peer.say(spec.Connection.Close, "BsBB", (530, "NOT_ALLOWED - vhost nowhere not found", 10, 40))
            peer.hear_end()

        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url + "nowhere"))

        assert isinstance(error, AccessRefusedError)
        assert "'nowhere'" in str(error)


@pytest.mark.usefixtures("no_descriptor_is_left")
class TestNotReached:
    """Transient: the loop tries again, and the next node first."""

    def test_nobody_listens(self):
        """The commonest outage of all."""
        with FakeBroker(lambda peer: None) as broker:
            url = broker.url
        error = failure_of(a_connector(url))

        assert isinstance(error, ConnectionLostError)
        assert "127.0.0.1" in str(error)

    @pytest.mark.parametrize("dribble", [False, True], ids=["silent", "dribbling"])
    def test_a_peer_that_never_finishes(self, dribble):
        """The whole connect has one deadline: a peer that sends a byte now and then must not extend it."""
        is_over = threading.Event()
        sent: list[int] = []

        def script(peer: Peer) -> None:
            while not is_over.wait(0.02):
                if dribble:
                    peer.sock.sendall(b"\x01\x00\x00\x00\x01\x00\x00" if not sent else b"x")
                    sent.append(1)

        started = time.monotonic()
        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url, timeout_seconds=0.4))
            took_seconds = time.monotonic() - started
            is_over.set()

        assert isinstance(error, ConnectionLostError)
        assert took_seconds < 1.5

    def test_a_peer_that_never_finishes_tls(self):
        """The same while TLS shakes hands."""
        with FakeBroker(lambda peer: peer.hear_end()) as broker:
            error = failure_of(a_connector(broker.url.replace("amqp:", "amqps:"), timeout_seconds=0.4))

        assert isinstance(error, ConnectionLostError)

    @pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x00\x09\x01"])
    def test_a_peer_that_is_no_broker(self, greeting):
        """A wrong port: the error names the place."""

        def script(peer: Peer) -> None:
            peer.sock.sendall(greeting)

        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url))

        assert isinstance(error, ConnectionLostError)
        assert str(broker.port) in str(error)

    def test_a_port_that_speaks_tls(self):
        """The commonest mistake of all: amqp:// for an amqps port; the operator's move, and he is told which."""

        def script(peer: Peer) -> None:
            peer.sock.recv(8)
            peer.sock.sendall(b"\x15\x03\x03\x00\x02\x02\x46")

        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url))

        assert isinstance(error, BrokerRefusedError)
        assert "amqps://" in str(error)

    def test_a_payload_that_py_amqp_cannot_read(self):
        """No struct.error comes out of py-amqp's depths."""

        def script(peer: Peer) -> None:
            peer.say(spec.Connection.Start, "o", (9,))
            peer.hear_end()

        with FakeBroker(script) as broker:
            error = failure_of(a_connector(broker.url))

        assert isinstance(error, ConnectionLostError)


def connected(broker: FakeBroker, **options) -> AmqpConnection:
    return a_connector(broker.url, **options).connect("publisher")


@pytest.mark.usefixtures("no_descriptor_is_left")
class TestOpen:
    """What an open connection makes of its broker."""

    def test_the_reason_of_a_block_is_told(self):
        """An operator looks for "low on memory"; py-amqp throws it away."""

        def script(peer: Peer) -> None:
            peer.let_in()
            peer.say(spec.Connection.Blocked, "s", ("low on memory",))
            peer.say(spec.Connection.Unblocked)
            peer.hear_goodbye()

        signals = []
        with FakeBroker(script) as broker:
            connection = connected(broker)
            while len(signals) < 2:
                signals += connection.turn(TIMEOUT_SECONDS)
            connection.close()

        assert signals == [Blocked("low on memory"), Unblocked()]

    def test_a_silent_broker_is_dead_after_two_heartbeats(self):
        """A half-open connection must not look open; the turn may be longer than the heartbeat."""
        with FakeBroker(lambda peer: (peer.let_in(heartbeat_seconds=1), peer.hear_end())) as broker:
            connection = quickened(connected(broker))
            started = time.monotonic()
            with pytest.raises(ConnectionLostError, match="silent"):
                connection.turn(30)
            took_seconds = time.monotonic() - started
            connection.close()

        assert 1.5 * QUICK_HEARTBEAT_SECONDS < took_seconds < 4

    def test_heartbeats_go_out_while_the_owner_waits(self):
        """A turn without end must not cost the connection."""
        beats: list[bytes] = []

        def script(peer: Peer) -> None:
            peer.let_in(heartbeat_seconds=1)
            while len(beats) < 3:
                beats.append(peer.sock.recv(8))
                peer.sock.sendall(b"\x08\x00\x00\x00\x00\x00\x00\xce")
            peer.say(spec.Connection.Blocked, "s", ("seen",))
            peer.hear_end()

        with FakeBroker(script) as broker:
            connection = quickened(connected(broker))
            assert connection.turn(30) == [Blocked("seen")]
            connection.close()

        assert beats == [b"\x08\x00\x00\x00\x00\x00\x00\xce"] * 3

    def test_the_last_words_of_a_broker_are_told(self):
        """CONNECTION_FORCED and its like say why; and every later call says it again."""

        def script(peer: Peer) -> None:
            peer.let_in()
            peer.say(spec.Connection.Close, "BsBB", (320, "CONNECTION_FORCED - shutdown", 0, 0))
            peer.hear_end()

        with FakeBroker(script) as broker:
            connection = connected(broker)
            for _ in range(2):
                with pytest.raises(ConnectionLostError, match="CONNECTION_FORCED - shutdown"):
                    connection.turn(TIMEOUT_SECONDS)
            with pytest.raises(ConnectionLostError, match="CONNECTION_FORCED - shutdown"):
                connection.publish_channel()
            connection.close()

    def test_a_request_has_a_deadline(self):
        """py-amqp's own requests wait for ever."""
        with FakeBroker(lambda peer: (peer.let_in(), peer.hear_end())) as broker:
            connection = connected(broker, timeout_seconds=0.4)
            started = time.monotonic()
            with pytest.raises(ConnectionLostError, match="opening a publish channel"):
                connection.publish_channel()
            took_seconds = time.monotonic() - started
            connection.close()

        assert took_seconds < 1.5

    def test_closing_does_not_wait_for_a_broker_that_does_not_answer(self, monkeypatch):
        """P8: close is bounded; the goodbye has a second (here less)."""
        assert connection_module.GOODBYE_SECONDS == 1.0
        monkeypatch.setattr(connection_module, "GOODBYE_SECONDS", 0.2)
        with FakeBroker(lambda peer: (peer.let_in(), peer.hear_end())) as broker:
            connection = connected(broker)
            started = time.monotonic()
            connection.close()
            took_seconds = time.monotonic() - started

        assert 0.2 <= took_seconds < 2.5

    def test_no_text_holds_the_password(self):
        """P9, for what is logged about a connection."""
        with FakeBroker(lambda peer: (peer.let_in(), peer.hear_goodbye())) as broker:
            connector = a_connector(broker.url)
            connection = connector.connect("publisher")
            texts = [repr(connector), connector.address, repr(connection), connection.broker]
            connection.close()

        assert PASSWORD not in "".join(texts)
        assert connection.broker == f"Fake 1.0 at 127.0.0.1:{broker.port}"
