"""TLS verifies the chain and the host name by default (P9)."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from bus_amqp.errors import BrokerRefusedError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.connection import AmqpConnector
from bus_amqp.transport.amqp.writing import SocketStream
from bus_amqp.transport.signals import Blocked
from tests.unit.transport.amqp.fake_broker import FakeBroker, Peer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signed itself, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "broker.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=broker "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {path} -out {path}.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def a_connector(broker: FakeBroker, host: str = "127.0.0.1") -> AmqpConnector:
    url = f"amqps://me:s3cret@{host}:{broker.port}/"
    return AmqpConnector(url, ConnectionSettings(), client_name="test", max_body_bytes=1000, exchange="e")


def test_a_trusted_broker_is_talked_to(certificate, server_context, monkeypatch):
    """The whole way over TLS, with more bytes in one piece than a TLS record holds."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    reason = "x" * 250

    def script(peer: Peer) -> None:
        peer.let_in()
        for _ in range(500):
            peer.say((10, 60), "s", (reason,))
        peer.hear_goodbye()

    signals = []
    with FakeBroker(script, tls=server_context) as broker:
        connection = a_connector(broker).connect("publisher")
        while len(signals) < 500:
            signals += connection.turn(3)
        connection.close()

    assert signals == [Blocked(reason)] * 500


def test_an_unknown_authority_is_refused(server_context):
    """Who can sit in between must not get the password."""
    heard = []
    with (
        FakeBroker(heard.append, tls=server_context) as broker,
        pytest.raises(BrokerRefusedError, match="certificate") as caught,
    ):
        a_connector(broker).connect("publisher")

    assert heard == []
    assert "s3cret" not in str(caught.value)


def test_another_host_name_is_refused(certificate, server_context, monkeypatch):
    """A certificate of another host is no proof: py-amqp alone would take it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    heard = []
    with (
        FakeBroker(heard.append, tls=server_context) as broker,
        pytest.raises(BrokerRefusedError, match="localhost"),
    ):
        a_connector(broker, "localhost").connect("publisher")

    assert heard == []


def test_what_tls_does_not_take_at_once_arrives_whole(server_context):
    """TLS repeats a write with the same bytes or fails: what is kept must only ever grow at its end."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    pieces = [bytes([number]) * (40_000 + number * 1000) for number in range(60)]
    expected = b"".join(pieces)
    read = bytearray()

    def serve() -> None:
        with server_context.wrap_socket(theirs, server_side=True) as peer:
            while len(read) < len(expected):
                read.extend(peer.recv(5000))

    reader = threading.Thread(target=serve)
    reader.start()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    client = trusting.wrap_socket(ours)
    client.setblocking(False)
    stream = SocketStream(client)
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    kept = 0
    for piece in pieces:
        stream.write(piece)
        kept = max(kept, stream.unsent_bytes)
    while stream.unsent_bytes:
        assert poll.poll(5000), "the socket takes nothing any more"
        stream.is_full = False
        stream.flush()
    reader.join(5)
    stream.close()

    assert kept > 0
    assert read == expected
