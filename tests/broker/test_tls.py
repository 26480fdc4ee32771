"""TLS against real brokers: the same promises as in the clear, and refusals that say what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from bus_amqp import EventTopic, Settings, connect
from bus_amqp.errors import AccessRefusedError, BrokerRefusedError, ConnectionLostError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from bus_amqp.testing.tcp_proxy import TcpProxy
from bus_amqp.transport.amqp.connection import AmqpConnection
from bus_amqp.wire.message import Message
from tests.broker.amqp_workbench import WAIT_SECONDS, a_connector, a_plan, receive, turns
from tests.broker.tls_brokers import TlsBroker, start
from tests.certificates import Authority
from tests.promise.subscribers import an_event
from tests.real_brokers import DOCKER, LOCAL

TOPIC = EventTopic(event_category="ResourceStateEvent")


@pytest.fixture(scope="module", params=[LOCAL, DOCKER])
def tls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_broker: Callable[[str], RealBroker]
) -> Iterator[TlsBroker]:
    """A broker that takes client certificates and does not demand them."""
    real_broker(request.param)  # so that a broker which cannot be started here is told and counted as everywhere
    made = start(request.param, tmp_path_factory.mktemp("tls"), hosts=("127.0.0.1",))
    with made.broker:
        yield made


@pytest.fixture(scope="module", params=[LOCAL, DOCKER])
def strict_tls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, real_broker: Callable[[str], RealBroker]
) -> Iterator[TlsBroker]:
    """A broker that demands a client certificate."""
    real_broker(request.param)  # so that a broker which cannot be started here is told and counted as everywhere
    made = start(request.param, tmp_path_factory.mktemp("strict"), hosts=("127.0.0.1",), demands_certificate=True)
    with made.broker:
        yield made


def settings(exchange: str, **options: object) -> Settings:
    return Settings(exchange=exchange, connection=ConnectionSettings(connect_timeout_seconds=WAIT_SECONDS, **options))


def refusal(url: str, exchange: str, **options: object) -> str:
    started = time.monotonic()
    with pytest.raises(BrokerRefusedError) as caught:
        a_connector(url, exchange, connect_timeout_seconds=WAIT_SECONDS, **options).connect("test")
    assert time.monotonic() - started < WAIT_SECONDS / 2, "told only when the time was over"
    return str(caught.value)


def test_events_go_through_tls(tls: TlsBroker, exchange: str):
    """The bus does over TLS what it does in the clear, with many records in one turn."""
    recorder = Recorder()
    with connect(tls.url(), settings=settings(exchange, ca_file=tls.authority.file)) as bus:
        bus.subscribe(TOPIC, recorder)
        bus.publish_many([an_event(n, description="x" * 20_000) for n in range(300)])

        assert recorder.wait_for(300, timeout_seconds=WAIT_SECONDS)


def test_a_broker_of_another_name_or_authority_is_refused(tls: TlsBroker, exchange: str):
    """P9, against brokers as they are."""
    assert "authority is unknown" in refusal(tls.url(), exchange)
    assert "for another host" in refusal(tls.url("localhost"), exchange, ca_file=tls.authority.file)


def test_the_wrong_kind_of_port_is_named(tls: TlsBroker, exchange: str):
    """Both ways round, and at once: the commonest mistakes of all."""
    plain_port = urlsplit(tls.broker.url).port

    assert "does not speak TLS: write amqp://" in refusal(f"amqps://guest:guest@127.0.0.1:{plain_port}/", exchange)
    assert "speaks TLS: write amqps://" in refusal(f"amqp://guest:guest@127.0.0.1:{tls.port}/", exchange)


def test_a_client_certificate_logs_in_without_a_password(tls: TlsBroker, exchange: str):
    """mTLS with EXTERNAL: the broker's user is the certificate's common name."""
    user = f"user-{exchange}"
    ours = tls.authority.issue(user)
    options = {"ca_file": tls.authority.file, "certificate_file": ours.both_file, "login": "external"}
    told = refusal(tls.url(login=""), exchange, **options)
    assert "login by certificate refused" in told

    tls.broker.rabbitmqctl("add_user", user, "never-used")
    tls.broker.rabbitmqctl("set_permissions", user, ".*", ".*", ".*")
    with connect(tls.url(login=""), settings=settings(exchange, **options)) as bus:
        bus.publish(an_event(1)).result(WAIT_SECONDS)
        assert user in tls.broker.rabbitmqctl("list_connections", "user")


def test_a_broker_that_demands_a_certificate_says_so(
    strict_tls: TlsBroker, exchange: str, tmp_path_factory: pytest.TempPathFactory
):
    """Without one, with an expired one and with a stranger's: refused, by name, and not "connection lost" for ever."""
    authority = strict_tls.authority
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger").issue("stranger")
    expired = authority.issue("expired", ends=timedelta(hours=-1))
    good = authority.issue("good")

    assert "demands a client certificate" in refusal(strict_tls.url(), exchange, ca_file=authority.file)
    for bad, told in ((stranger, "authority of our certificate"), (expired, "our certificate has expired")):
        assert told in refusal(strict_tls.url(), exchange, ca_file=authority.file, certificate_file=bad.both_file)
    url = strict_tls.url(login="guest:wrong@")
    with pytest.raises(AccessRefusedError, match="check user and password"):
        a_connector(url, exchange, ca_file=authority.file, certificate_file=good.both_file).connect("test")
    a_connector(strict_tls.url(), exchange, ca_file=authority.file, certificate_file=good.both_file).connect(
        "test"
    ).close()


@pytest.fixture(params=[True, False], ids=["tls", "plain"])
def way(request: pytest.FixtureRequest, tls: TlsBroker, exchange: str) -> Iterator[tuple[TcpProxy, object]]:
    """A proxy in front of a listener, TLS or plain, and how to connect through it."""
    url = tls.url() if request.param else tls.broker.url
    options = {"ca_file": tls.authority.file} if request.param else {}
    opened: list[AmqpConnection] = []
    with TcpProxy.to(url) as proxy:

        def open_one(**more: object) -> AmqpConnection:
            connector = a_connector(proxy.url_through(url), exchange, **{**options, **more})
            opened.append(connector.connect("test"))
            return opened[-1]

        yield proxy, open_one
        proxy.cut()
        for connection in opened:
            connection.close()


@pytest.mark.parametrize("fault", ["blackhole", "blackhole up", "blackhole down", "half-open"])
def test_a_dead_peer_is_noticed_and_left_in_time(way, fault: str):
    """Item 13: within two heartbeats by our clock (or the broker's, if only it hears nothing), and left at once."""
    proxy, open_one = way
    connection = open_one(heartbeat_seconds=1, connect_timeout_seconds=WAIT_SECONDS)
    channel = connection.publish_channel()
    channel.send([Message("key", b"x")])
    connection.turn(0.5)

    match fault:
        case "blackhole":
            proxy.blackhole()
        case "blackhole up":
            proxy.blackhole(down=False)
        case "blackhole down":
            proxy.blackhole(up=False)
        case _:
            proxy.half_open()
    started = time.monotonic()
    with pytest.raises(ConnectionLostError):
        turns(connection, lambda _: False)
    noticed_seconds = time.monotonic() - started
    started = time.monotonic()
    connection.close()
    closed_seconds = time.monotonic() - started

    # RabbitMQ looks once per heartbeat and gives up after two empty ones: a third may pass before it tells us.
    assert noticed_seconds < (4.5 if fault == "blackhole up" else 3.5)
    assert closed_seconds < 1, "a connection that is lost is not said goodbye to"


def test_a_request_and_a_goodbye_to_a_silent_peer_are_bounded(way, exchange: str):
    """Before the heartbeats have noticed: the request has the connect timeout, the goodbye three seconds."""
    proxy, open_one = way
    asking = open_one(heartbeat_seconds=60, connect_timeout_seconds=1)
    leaving = open_one(heartbeat_seconds=60)
    full = open_one(heartbeat_seconds=60)
    channel = full.publish_channel()
    proxy.blackhole()
    channel.send([Message("key", b"x" * 1_000_000)] * 30)
    assert channel.unsent_bytes > 0

    started = time.monotonic()
    with pytest.raises(ConnectionLostError, match="declaring"):
        asking.declare(a_plan(exchange))
    assert time.monotonic() - started < 2.5
    for one, seconds in ((asking, 1), (leaving, 2), (full, 4.5)):
        started = time.monotonic()
        one.close()
        assert time.monotonic() - started < seconds


def test_a_connect_through_a_black_hole_is_bounded(way):
    """The proxy takes the connection and nothing answers: TLS and the login share the one deadline."""
    proxy, open_one = way
    proxy.blackhole()
    started = time.monotonic()

    with pytest.raises(ConnectionLostError, match="no answer in time"):
        open_one(connect_timeout_seconds=1)

    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize("is_bulk", [True, False], ids=["bulk", "plain"])
def test_records_in_small_pieces_are_the_same_stream(way, exchange: str, is_bulk: bool):
    """TLS records and frames, cut anywhere."""
    proxy, open_one = way
    proxy.chop(11)
    connection = open_one(use_bulk_frames=is_bulk)
    connection.declare(a_plan(exchange))
    connection.publish_channel().send([Message("k", b"%d" % n) for n in range(100)])
    connection.consume_channel(f"{exchange}.q", 200)

    assert [one.body for one in receive(connection, 100)] == [b"%d" % n for n in range(100)]
