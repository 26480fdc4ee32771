"""TLS verifies the chain and the host name by default (P9), and says which of them failed."""

from __future__ import annotations

import re
import select
import socket
import ssl
import threading
import time
import traceback
from datetime import timedelta

import pytest
from amqp.exceptions import AMQPError

from bus_amqp.errors import AccessRefusedError, BrokerRefusedError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import parse_address
from bus_amqp.transport.amqp.connector import AmqpConnector
from bus_amqp.transport.amqp.dialing import look_up_here
from bus_amqp.transport.amqp.errors import translate_connecting
from bus_amqp.transport.amqp.frames import FrameParser
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.opening import open_driver
from bus_amqp.transport.amqp.writing import SocketStream
from bus_amqp.transport.signals import Blocked
from tests.certificates import Authority, Certificate
from tests.unit.transport.amqp.fake_broker import FakeBroker, Peer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who signs for both sides."""
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody has heard of."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    """The broker's."""
    return authority.issue("broker", ["127.0.0.1"])


def a_server(certificate: Certificate, authority: Authority | None = None) -> ssl.SSLContext:
    """With an authority: demands a certificate of it from the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.both_file)
    if authority is not None:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def server_context(certificate: Certificate) -> ssl.SSLContext:
    return a_server(certificate)


def a_connector(broker: FakeBroker, host: str = "127.0.0.1", scheme: str = "amqps", **options: object) -> AmqpConnector:
    url = f"{scheme}://me:s3cret@{host}:{broker.port}/"
    return AmqpConnector(url, ConnectionSettings(**options), client_name="test", max_body_bytes=1000, exchange="e")


def refusal(context: ssl.SSLContext | None, **options: object) -> str:
    """Return what a connect is refused with, before the broker has heard a word of AMQP."""
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        heard.append(peer.sock.recv(1000))

    with FakeBroker(script, tls=context) as broker, pytest.raises(BrokerRefusedError) as caught:
        a_connector(broker, **options).connect("publisher")
    # A client without the certificate that is asked for learns of it after it has sent the protocol's name.
    assert context is None or b"".join(heard) in (b"", b"AMQP\x00\x00\x09\x01")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_trusted_broker_is_talked_to(authority, server_context, monkeypatch):
    """The whole way over TLS, with more bytes in one piece than a TLS record holds."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
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


def test_a_trusted_broker_may_be_named_in_the_settings(authority, server_context):
    """A company's own authority, without touching the machine's list."""
    with FakeBroker(lambda peer: (peer.let_in(), peer.hear_goodbye()), tls=server_context) as broker:
        a_connector(broker, ca_file=authority.file).connect("publisher").close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ends": timedelta(hours=-1)}, "its certificate has expired"),
        ({"begins": timedelta(hours=1)}, "its certificate is not valid yet.*clock"),
        ({"hosts": ["broker.example"]}, "is for another host:.*'?127.0.0.1'?.*: write the name that it bears"),
        ({"signs_itself": True}, r"signed itself: .*connection\.ca_file"),
    ],
    ids=["expired", "not yet valid", "of another host", "signed by itself"],
)
def test_a_bad_certificate_is_refused_and_the_fault_named(authority, options, told):
    """Who can sit in between must not get the password; and "certificate verify failed" tells an operator nothing."""
    certificate = authority.issue("bad", **{"hosts": ["127.0.0.1"], **options})

    assert re.search(told, refusal(a_server(certificate), ca_file=authority.file))


def test_an_unknown_authority_is_refused(server_context, stranger):
    """The system's authorities, or the one that is named, and no other."""
    assert "authority is unknown here" in refusal(server_context)
    assert "authority is unknown here" in refusal(server_context, ca_file=stranger.file)


def test_another_host_name_is_refused(authority, server_context):
    """A certificate of another host is no proof: py-amqp alone would take it."""
    assert "'localhost'" in refusal(server_context, host="localhost", ca_file=authority.file)


def test_each_node_is_verified_by_its_own_name(authority):
    """kombu's own failover verifies the second node by the first one's name: it takes who it should refuse."""
    settings = {"ca_file": authority.file}
    by_name, by_address = authority.issue("by-name", ["localhost"]), authority.issue("by-address", ["127.0.0.1"])

    def let_in(peer: Peer) -> None:
        peer.let_in()
        peer.hear_goodbye()

    with FakeBroker(let_in, tls=a_server(by_name)) as first, FakeBroker(let_in, tls=a_server(by_address)) as second:
        a_connector(first, "localhost", **settings).connect("publisher").close()
        a_connector(second, "127.0.0.1", **settings).connect("publisher").close()
    assert "'127.0.0.1'" in refusal(a_server(by_name), host="127.0.0.1", **settings)
    assert "'localhost'" in refusal(a_server(by_address), host="localhost", **settings)


def test_a_plain_port_is_not_spoken_to_over_tls():
    """amqps:// for port 5672."""

    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.sock.sendall(b"AMQP\x00\x00\x09\x01")

    with (
        FakeBroker(script) as broker,
        pytest.raises(BrokerRefusedError, match="does not speak TLS: write amqp://"),
    ):
        a_connector(broker).connect("publisher")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_broker_that_demands_a_certificate_says_so(authority, stranger, certificate, version):
    """TLS 1.3 tells it only after the client believes itself connected; "connection lost" would be tried for ever."""
    context = a_server(certificate, authority)
    context.minimum_version = context.maximum_version = version
    foreign = stranger.issue("foreign")

    without = refusal(context, ca_file=authority.file)
    with_foreign = refusal(
        context, ca_file=authority.file, certificate_file=foreign.certificate_file, key_file=foreign.key_file
    )

    assert "connection.certificate_file" in without
    assert "demands a client certificate" in without
    assert "authority of our certificate" in with_foreign


def test_our_certificate_is_shown_and_says_who_we_are(authority, certificate):
    """mTLS with EXTERNAL: no password anywhere."""
    ours = authority.issue("billing")
    seen: list[object] = []

    def script(peer: Peer) -> None:
        seen.append(peer.sock.getpeercert())
        peer.let_in()
        seen.append(peer.login)
        peer.hear_goodbye()

    with FakeBroker(script, tls=a_server(certificate, authority)) as broker:
        url = f"amqps://127.0.0.1:{broker.port}/"
        settings = ConnectionSettings(ca_file=authority.file, certificate_file=ours.both_file, login="external")
        AmqpConnector(url, settings, client_name="t", max_body_bytes=1000, exchange="e").connect("publisher").close()

    assert dict(field[0] for field in seen[0]["subject"]) == {"commonName": "billing"}
    assert seen[1] == ("EXTERNAL", "")


def test_a_broker_without_external_login_is_named():
    """The plug-in is not enabled by default: the message says which one."""
    with FakeBroker(lambda peer: peer.greet(), mechanisms="PLAIN") as broker:
        address = parse_address(f"amqp://127.0.0.1:{broker.port}/")
        link = Link(FrameParser(1000))
        link.deadline = time.monotonic() + 5
        settings = ConnectionSettings(login="external", certificate_file="never-read.pem")
        with pytest.raises(AMQPError) as caught:
            open_driver(address, settings, "test", link, Inbox(), look_up_here)
        link.close()

    error = translate_connecting(caught.value, address, settings, b"")
    assert isinstance(error, AccessRefusedError)
    assert "rabbitmq_auth_mechanism_ssl" in str(error)


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
