"""``Receiver``: a real HTTP(S) server on the loopback address that answers as it is told, and remembers what came."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.certificates import Certificate
from tests.promise.waiting import TIMEOUT_SECONDS, wait_until


@dataclass(frozen=True)
class Reply:
    """What is answered.  ``gate``: only once it is set."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"thank you"
    gate: threading.Event | None = None


@dataclass(frozen=True)
class Received:
    """One request as it came.  ``connection``: the port of the other end."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Receiver:
    """Answers with the replies in turn, the last one for ever.  A context manager that ends it."""

    def __init__(
        self, replies: Sequence[Reply] = (Reply(),), *, certificate: Certificate | None = None, port: int = 0
    ) -> None:
        self._lock = threading.Lock()
        self._replies = list(replies)  # guarded by _lock
        self._received: list[Received] = []  # guarded by _lock
        self.server_names: list[str | None] = []  # that TLS clients asked for
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = TIMEOUT_SECONDS
            disable_nagle_algorithm = True  # headers and body are two writes: with it, 40 ms for each answer

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Received(self.command, self.path, dict(self.headers), body, self.client_address[1])
                reply = receiver._note(request)
                if reply.gate is not None:
                    reply.gate.wait(TIMEOUT_SECONDS)
                with suppress(OSError):  # the client has given up
                    self.send_response(reply.status)
                    for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(reply.body)

            def do_GET(self) -> None:  # what a client asks that follows a redirect
                self.do_POST()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that breaks off is what these tests are about."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate_file, certificate.key_file)
            context.sni_callback = lambda _socket, name, _context: self.server_names.append(name)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"

    @property
    def received(self) -> list[Received]:
        with self._lock:
            return list(self._received)

    def reply(self, *replies: Reply) -> None:
        """Answer with these from now on."""
        with self._lock:
            self._replies = list(replies)

    def wait_for(self, count: int, timeout_seconds: float = TIMEOUT_SECONDS) -> list[Received]:
        """Return what came once there are that many."""
        wait_until(lambda: len(self.received) >= count, f"{count} requests", timeout_seconds)
        return self.received

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _note(self, request: Received) -> Reply:
        with self._lock:
            self._received.append(request)
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


@contextmanager
def bare_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server that does with each connection what it is told, however rude."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                talk(connection)

        def accept() -> None:
            with suppress(OSError):  # closed: the end
                while True:
                    connection, _ = listener.accept()
                    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join(TIMEOUT_SECONDS)
