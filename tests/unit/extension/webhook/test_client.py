"""``Client`` against real servers: what is sent, what is not, and that nothing lasts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from bus_amqp.extension.webhook.address import AddressPolicy
from bus_amqp.extension.webhook.client import EXCERPT_BYTES, Client
from bus_amqp.extension.webhook.target import parse_url
from tests.receiver import Receiver, Reply, bare_server

LOCAL = AddressPolicy(allow=(ip_network("127.0.0.0/8"),))


def a_client(url: str, *, timeout_seconds: float = 10, policy: AddressPolicy = LOCAL, **options: object) -> Client:
    target = parse_url(url, allow_http=True)
    return Client(target, policy, timeout_seconds=timeout_seconds, **options)  # type: ignore[arg-type]  # as given


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_the_body_and_the_headers_arrive_as_they_were_given(receiver: Receiver) -> None:
    """The signature is over these bytes: nobody on the way may change them."""
    client = a_client(f"http://127.0.0.1:{receiver.port}/a?b=c%20d")

    answer = client.post({"Host": "hooks.example", "X-One": "1"}, b"\x00\xffbody")
    client.close()

    (request,) = receiver.received
    assert (request.method, request.path, request.body) == ("POST", "/a?b=c%20d", b"\x00\xffbody")
    assert request.headers == {"Host": "hooks.example", "X-One": "1", "Content-Length": "6"}
    assert (answer.status, answer.excerpt, answer.error, answer.address) == (200, "thank you", None, "127.0.0.1")
    assert 0 < answer.duration_seconds < 10


def test_a_connection_is_used_again(receiver: Receiver) -> None:
    """A handshake for each event would be most of its cost."""
    client = a_client(receiver.url)
    for _ in range(3):
        assert client.post({"Host": "h"}, b"{}").address == "127.0.0.1"
    client.close()

    assert len({request.connection for request in receiver.received}) == 1


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """Where it leads was never checked; it is how a public receiver makes a request to a private one."""
    receiver.reply(Reply(302, {"Location": f"http://127.0.0.1:{receiver.port}/secret"}), Reply())
    client = a_client(receiver.url)

    answer = client.post({"Host": "h"}, b"{}")
    client.close()

    assert answer.status == 302
    assert len(receiver.received) == 1


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy connects for us, to addresses that nobody has checked."""
    with Receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        client = a_client(receiver.url)
        answer = client.post({"Host": "h"}, b"{}")
        client.close()

        assert answer.status == 200
        assert proxy.received == []


def test_loopback_is_refused_without_a_setting(receiver: Receiver) -> None:
    """The default of the whole thing."""
    client = a_client(receiver.url, policy=AddressPolicy())

    answer = client.post({"Host": "h"}, b"{}")
    client.close()

    assert answer.is_forbidden
    assert (answer.status, answer.error) == (None, "127.0.0.1 is refused (loopback): see `allow` of [network]")
    assert receiver.received == []


def test_the_beginning_of_a_long_answer_is_kept_and_the_rest_is_not_read(receiver: Receiver) -> None:
    """A receiver must not fill the memory of the sender, nor its disk."""
    receiver.reply(Reply(200, body=b"x" * 10_000_000))
    client = a_client(receiver.url)

    answer = client.post({"Host": "h"}, b"{}")
    client.close()

    assert answer.is_success
    assert answer.excerpt == "x" * EXCERPT_BYTES
    assert answer.error == "an answer of more than 65536 bytes"


def test_an_answer_in_any_encoding_is_text() -> None:
    """It goes into a file and onto a terminal."""

    def talk(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\x00")

    with bare_server(talk) as port:
        client = a_client(f"http://127.0.0.1:{port}/")
        answer = client.post({"Host": "h"}, b"{}")
        client.close()

    assert answer.excerpt == "\ufffd\x00"


def take_request(connection: socket.socket) -> None:
    """Read all of it: to close with something unread is to reset the connection."""
    came = b""
    while not came.endswith(b"{}"):
        came += connection.recv(65536)


def drip(connection: socket.socket, text: bytes) -> None:
    pause = threading.Event()
    for position in range(len(text)):
        connection.sendall(text[position : position + 1])
        pause.wait(0.05)


@pytest.mark.parametrize(
    ("first", "slowly", "status"),
    [
        (b"", b"HTTP/1.1 200 OK\r\n" + b"X-Filler: aaaa\r\n" * 100, None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x" * 5000, 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 500, 200),
    ],
)
def test_a_receiver_that_drips_ends_with_the_time(first: bytes, slowly: bytes, status: int | None) -> None:
    """A byte now and then keeps any timeout for reads from ever running out, and a worker from its other events."""

    def talk(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(first)
        drip(connection, slowly)

    with bare_server(talk) as port:
        client = a_client(f"http://127.0.0.1:{port}/", timeout_seconds=0.5)
        started = time.monotonic()
        answer = client.post({"Host": "h"}, b"{}")
        seconds = time.monotonic() - started
        client.close()

    assert 0.4 < seconds < 10
    assert answer.status == status
    assert answer.error == ("no answer within 0.5 s" if status is None else "the answer's body was cut off")


def test_a_receiver_that_does_not_read_ends_with_the_time() -> None:
    """A large event in a buffer that nobody empties."""
    done = threading.Event()

    with bare_server(lambda connection: done.wait(60) and None) as port:
        client = a_client(f"http://127.0.0.1:{port}/", timeout_seconds=0.5)
        started = time.monotonic()
        answer = client.post({"Host": "h"}, b"x" * 20_000_000)
        seconds = time.monotonic() - started
        client.close()
        done.set()

    assert answer.error == "no answer within 0.5 s"
    assert seconds < 10


def test_a_handshake_that_is_never_finished_ends_with_the_time() -> None:
    """TLS has a time of its own in most clients."""
    done = threading.Event()

    with bare_server(lambda connection: done.wait(60) and None) as port:
        client = a_client(f"https://127.0.0.1:{port}/", timeout_seconds=0.5)
        started = time.monotonic()
        answer = client.post({"Host": "h"}, b"{}")
        seconds = time.monotonic() - started
        client.close()
        done.set()

    assert answer.error == "no answer within 0.5 s"
    assert seconds < 10


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"", "Server disconnected"),
        (b"220 mail.example ESMTP\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200_000 + b"\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n", "RemoteProtocolError"),
    ],
)
def test_what_is_no_http_is_told(reply: bytes, told: str) -> None:
    """A wrong port is a common slip; and no header may be without end."""

    def talk(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(reply)

    with bare_server(talk) as port:
        client = a_client(f"http://127.0.0.1:{port}/")
        answer = client.post({"Host": "h"}, b"{}")
        client.close()

    assert answer.status is None
    assert told in str(answer.error)


@pytest.mark.parametrize("reply", [b"\x1b[31mtoken=s3cret " * 3000, b"HTTP/1.1 200 OK\r\n" + b"token=s3cret " * 3000])
def test_nothing_that_the_receiver_wrote_is_in_the_reason(reply: bytes) -> None:
    """The reason goes into logs and into the dead letter's headers: a stranger must not fill or write those."""

    def talk(connection: socket.socket) -> None:
        take_request(connection)
        connection.sendall(reply + b"\r\n\r\n")

    with bare_server(talk) as port:
        client = a_client(f"http://127.0.0.1:{port}/")
        answer = client.post({"Host": "h"}, b"{}")
        client.close()

    assert answer.told.startswith("RemoteProtocolError: illegal ")
    assert "s3cret" not in answer.told
    assert len(answer.told) < 100


def test_a_server_that_is_not_there_is_told() -> None:
    """The commonest of all faults."""
    with bare_server(lambda connection: None) as port:
        pass
    client = a_client(f"http://127.0.0.1:{port}/")

    answer = client.post({"Host": "h"}, b"{}")
    client.close()

    assert "refused" in str(answer.error)
    assert not answer.is_forbidden


def test_a_header_that_http_cannot_carry_is_told_and_nothing_is_sent(receiver: Receiver) -> None:
    """A line break in a value would be a second header, or a second request."""
    client = a_client(receiver.url)

    answer = client.post({"Host": "h", "X-Bad": "a\r\nX-Evil: b"}, b"{}")
    client.close()

    assert "cannot be sent" in str(answer.error)
    assert receiver.received == []
