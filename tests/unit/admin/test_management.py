"""The management API, as a server on loopback answers that says what a test tells it to."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bus_amqp.admin.management import Management, management_of
from bus_amqp.errors import (
    AccessRefusedError,
    BrokerRefusedError,
    ConnectionLostError,
    EventBusException,
    SettingsError,
)
from bus_amqp.settings import Settings

USER, PASSWORD = "us er", "s3cret/@"


class Api:
    """A server that answers each path with what ``answers`` has for it, and notes what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append((self.path, self.headers.get("Authorization", "")))
                status, body = api.answers.get(self.path, (404, b"{}"))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    """The server; gone at the end."""
    api = Api()
    yield api
    api.close()


@pytest.fixture
def management(api: Api) -> Management:
    """A view of virtual host `/` on that server."""
    return Management(f"{api.url}/", user=USER, password=PASSWORD, virtual_host="/", timeout_seconds=5)


QUEUES = "/api/queues/%2F?columns=name"


def test_queues_and_bindings_are_read(api: Api, management: Management) -> None:
    """One request each, as the user of the bus."""
    api.answers[QUEUES] = (200, json.dumps([{"name": "bus.events.billing"}, {"name": "ü"}, {}]).encode())
    bindings = [
        {"destination": "q", "destination_type": "queue", "routing_key": "b"},
        {"destination": "q", "destination_type": "queue", "routing_key": "a"},
        {"destination": "x", "destination_type": "exchange", "routing_key": "c"},
    ]
    api.answers["/api/exchanges/%2F/bus%2Fevents/bindings/source"] = (200, json.dumps(bindings).encode())

    assert management.queues() == ["bus.events.billing", "ü"]
    assert management.bindings("bus/events") == {"q": ["a", "b"]}

    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert {authorization for _, authorization in api.asked} == {expected}


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (401, b"", AccessRefusedError, "refused the user"),
        (403, b"", AccessRefusedError, "needs the tag"),
        (404, b"", BrokerRefusedError, "status 404"),
        (500, b"", BrokerRefusedError, "status 500"),
        (302, b"", BrokerRefusedError, "status 302"),
        (200, b"<html>", BrokerRefusedError, "no management API of RabbitMQ"),
        (200, b'{"error": 1}', BrokerRefusedError, "no management API of RabbitMQ"),
        (200, b"[1]", BrokerRefusedError, "no management API of RabbitMQ"),
        (200, b"[" * 100_000, BrokerRefusedError, "no management API of RabbitMQ"),
    ],
)
def test_another_answer_is_an_error_without_credentials(
    api: Api, management: Management, status: int, body: bytes, error: type[EventBusException], text: str
) -> None:
    """P9: a redirect is not followed with the password, and no error carries it along in a chain."""
    api.answers[QUEUES] = (status, body)

    with pytest.raises(error, match=text) as caught:
        management.queues()

    assert PASSWORD not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert len(api.asked) == 1
    assert PASSWORD not in repr(management)


def test_no_server_is_told_with_its_place() -> None:
    """The plug-in is not there: the usual case."""
    absent = Management("http://127.0.0.1:1", user=USER, password=PASSWORD, virtual_host="/", timeout_seconds=1)

    with pytest.raises(ConnectionLostError, match=r"no management API at 127\.0\.0\.1:1: Connection refused"):
        absent.queues()


@pytest.mark.parametrize(
    "url", ["ftp://host", "host:15672", "http://", "http://host/?a=b", "http://u:p@h:pw/", "http://["]
)
def test_a_wrong_url_is_refused_without_quoting_it(url: str) -> None:
    """There may be a password in it."""
    with pytest.raises(SettingsError, match="management url must be"):
        Management(url, user=USER, password=PASSWORD, virtual_host="/", timeout_seconds=1)


def test_the_api_is_looked_for_beside_the_broker(api: Api) -> None:
    """An operator knows the bus's url, and need not know another one; a user in the url is used instead."""
    settings = Settings(url="amqps://u:p@[::1]:5671/v")
    assert management_of(settings, settings.url or "", None).place == "::1:15671"
    assert management_of(Settings(), "amqp://u:p@host/v", None).place == "host:15672"

    with_user = api.url.replace("http://", "http://op%40:pa%2Fss@")
    api.answers["/api/queues/v?columns=name"] = (200, b"[]")
    assert management_of(Settings(), "amqp://u:p@host/v", with_user).queues() == []
    assert api.asked[0][1] == "Basic " + base64.b64encode(b"op@:pa/ss").decode()
