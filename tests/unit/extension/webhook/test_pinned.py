"""``PinnedBackend``: no connection to an address that was not checked, and none that outlives its time."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.webhook.address import AddressPolicy
from bus_amqp.extension.webhook.client import Client
from bus_amqp.extension.webhook.errors import ForbiddenAddressError
from bus_amqp.extension.webhook.pinned import Attempt, DeadlineStream, PinnedBackend, attempting
from bus_amqp.extension.webhook.target import parse_url

PUBLIC, OTHER = "8.8.8.8", "2606:4700::1111"


class Connections(httpcore2.NetworkBackend):
    """Makes none, and remembers what it was asked for; those that ``refuse`` names fail."""

    def __init__(self, *, refuse: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self.timeouts: list[float | None] = []
        self._refuse = refuse

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        self.asked.append(host)
        self.timeouts.append(timeout)
        if host in self._refuse:
            raise httpcore2.ConnectTimeout
        return httpcore2.MockStream([b"HTTP/1.1 204 No Content\r\n\r\n"])


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def connect(backend: PinnedBackend, host: str = "hooks.example", seconds: float = 8) -> Attempt:
    clock = Clock()
    attempt = Attempt(clock.now + seconds, clock=clock)
    with attempting(attempt):
        backend.connect_tcp(host, 443)
    return attempt


def test_a_name_is_looked_up_once_and_connected_to_by_its_address() -> None:
    """DNS rebinding: a name server that answers the check with one address and the connection with another."""
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    network = Connections()

    attempt = connect(PinnedBackend(AddressPolicy(), resolve=lambda host, port: next(answers), connect=network))

    assert network.asked == [PUBLIC]
    assert attempt.address == PUBLIC


def test_each_new_connection_is_checked_anew() -> None:
    """A name that was good yesterday may lead anywhere today."""
    answers = iter([[PUBLIC], ["169.254.169.254"]])
    network = Connections()
    backend = PinnedBackend(AddressPolicy(), resolve=lambda host, port: next(answers), connect=network)
    connect(backend)

    with pytest.raises(ForbiddenAddressError, match=r"hooks\.example is at 169\.254\.169\.254, which is refused"):
        connect(backend)

    assert network.asked == [PUBLIC]


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "::1"], ["::ffff:10.0.0.1"]])
def test_one_forbidden_address_among_good_ones_spoils_the_name(answer: list[str]) -> None:
    """Otherwise the good one need only be out of order for the other to be tried."""
    network = Connections(refuse=[PUBLIC])

    with pytest.raises(ForbiddenAddressError):
        connect(PinnedBackend(AddressPolicy(), resolve=lambda host, port: answer, connect=network))

    assert network.asked == []


def test_a_literal_address_asks_no_name_server() -> None:
    """It has been checked as it stands; a lookup could only make something else of it."""

    def no_lookup(host: str, port: int) -> Sequence[str]:
        raise AssertionError(host)

    network = Connections()

    connect(PinnedBackend(AddressPolicy(), resolve=no_lookup, connect=network), PUBLIC)

    assert network.asked == [PUBLIC]


def test_the_next_address_is_tried_and_each_has_a_share_of_the_time() -> None:
    """A first address that never answers must leave the second one time."""
    network = Connections(refuse=[OTHER])

    attempt = connect(PinnedBackend(AddressPolicy(), resolve=lambda host, port: [OTHER, PUBLIC], connect=network))

    assert (network.asked, network.timeouts) == ([OTHER, PUBLIC], [4.0, 8.0])
    assert attempt.address == PUBLIC


@pytest.mark.parametrize("fault", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_looked_up_is_a_fault_of_the_network(fault: Exception) -> None:
    """A name server that is down for a minute: the event is tried again, not dead-lettered."""

    def failing(host: str, port: int) -> Sequence[str]:
        raise fault

    with pytest.raises(httpcore2.ConnectError, match="cannot be looked up"):
        connect(PinnedBackend(AddressPolicy(), resolve=failing, connect=Connections()))


def test_a_name_without_addresses_is_a_fault_of_the_network() -> None:
    """No address is none that could be connected to."""
    with pytest.raises(httpcore2.ConnectError, match="has no address"):
        connect(PinnedBackend(AddressPolicy(), resolve=lambda host, port: [], connect=Connections()))


def test_every_step_gets_what_is_left_of_the_time() -> None:
    """A byte each nine seconds would pass any timeout that begins anew with each byte."""

    class Slow(httpcore2.NetworkStream):
        def __init__(self) -> None:
            self.given: list[float | None] = []

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            self.given.append(timeout)
            clock.now += 3
            return b"x"

    clock, slow = Clock(), Slow()
    with attempting(Attempt(clock.now + 8, clock=clock)):
        stream = DeadlineStream(slow)
        for _ in range(3):
            stream.read(10, timeout=100)

        with pytest.raises(httpcore2.ReadTimeout):
            stream.read(10, timeout=100)

    assert slow.given == [8, 5, 2]


def test_a_connection_whose_time_is_over_before_tls_is_closed() -> None:
    """httpcore closes nothing there: a slow connect would leave an open socket each time."""

    class Stream(httpcore2.NetworkStream):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    stream, clock = Stream(), Clock()
    with attempting(Attempt(clock.now, clock=clock)), pytest.raises(httpcore2.ReadTimeout):
        DeadlineStream(stream).start_tls(ssl.create_default_context(), "hooks.example")

    assert stream.is_closed


addresses = st.ip_addresses().map(str) | st.sampled_from(
    ["127.0.0.1", "10.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fe80::1%lo", PUBLIC, OTHER]
)
hosts = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map("[{}]".format)
    | st.integers(0, 2**33).map(str)
    | st.integers(0, 2**33).map(hex)
    | st.lists(st.integers(0, 300).flatmap(lambda n: st.sampled_from([str(n), hex(n), f"0{n:o}"])), max_size=5).map(
        ".".join
    )
    | st.sampled_from(["hooks.example", "localhost", "a@127.0.0.1", "127.0.0.1:80@b.example", "good.example#@[::1]"])
    | st.text(alphabet="a01.:@[]%#?/\\x", max_size=15)
)


@given(hosts, st.lists(st.lists(addresses, max_size=4), min_size=1, max_size=4))
def test_no_url_and_no_name_server_leads_a_webhook_to_a_forbidden_address(host: str, lookups: list[list[str]]) -> None:
    """The whole way from what is written in the file to the socket: it only ever sees addresses that are let pass."""
    network, answers = Connections(), iter(lookups)
    try:
        target = parse_url(f"https://{host}/", allow_http=True)
    except InvalidArgumentError:
        return
    target = parse_url(f"http://{host}/", allow_http=True)  # the fake connection speaks no TLS
    client = Client(
        target, AddressPolicy(), timeout_seconds=5, resolve=lambda host, port: next(answers, []), connect=network
    )
    for _ in range(3):
        client.post({"Host": target.host_header, "Connection": "close"}, b"{}")
    client.close()

    assert [address for address in network.asked if AddressPolicy().why_refused(ip_address(address))] == []
