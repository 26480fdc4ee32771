"""A real HTTP server on loopback, for tests: it keeps what is posted, and answers as it is told."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.promise.waiting import wait_until

LOOPBACK = "127.0.0.1"


class HttpServer:
    """Owns a server thread.  ``status`` is read for each request."""

    def __init__(self) -> None:
        self.status = HTTPStatus.OK
        self._lock = threading.Lock()
        self._posted: list[dict[str, Any]] = []  # guarded by _lock
        self.requests = 0  # guarded by _lock
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http-server", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The url that Apprise posts JSON to it by; its path is a token that nobody should see."""
        return f"json://{LOOPBACK}:{self._server.server_port}/s3cret-token"

    @property
    def posted(self) -> list[dict[str, Any]]:
        """The bodies that were answered with success."""
        with self._lock:
            return list(self._posted)

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Wait until that many were posted, and return them."""
        wait_until(lambda: len(self.posted) >= count, f"{count} posts")
        return self.posted

    def take(self, body: bytes) -> HTTPStatus:
        """Keep a body, and say how to answer."""
        with self._lock:
            self.requests += 1
            if self.status is HTTPStatus.OK:
                self._posted.append(json.loads(body))
            return self.status

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_for(owner: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(owner.take(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, *about: object) -> None:
            """Say nothing."""

    return Handler
