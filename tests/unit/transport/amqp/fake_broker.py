"""A listening socket that says what a test wants it to say, frame by frame, plain or over TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from amqp import spec
from amqp.serialization import dumps, loads

from tests.patience import TIMEOUT_SECONDS

Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection, seen from the broker's side."""

    def __init__(self, sock: socket.socket, mechanisms: str = "PLAIN AMQPLAIN EXTERNAL") -> None:
        self.sock = sock
        self.login: tuple[str, str] | None = None  # mechanism and response, once heard
        self._mechanisms = mechanisms
        self._received = b""

    def say(self, signature: tuple[int, int], form: str = "", values: tuple[object, ...] = ()) -> None:
        """Send one method frame on channel 0."""
        payload = struct.pack(">HH", *signature) + (dumps(form, values) if form else b"")
        self.sock.sendall(struct.pack(">BHI", 1, 0, len(payload)) + payload + b"\xce")

    def hear(self) -> tuple[int, int]:
        """Return the next method that the client sends; heartbeats are left out."""
        return self._hear()[0]

    def _hear(self) -> tuple[tuple[int, int], bytes]:
        while True:
            kind, _, size = struct.unpack(">BHI", self._read(7))
            payload = self._read(size + 1)
            if kind == 1:
                return struct.unpack_from(">HH", payload), payload[4:-1]

    def hear_end(self) -> None:
        """Return when the client has closed the socket."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def _read(self, size: int) -> bytes:
        while len(self._received) < size:
            piece = self.sock.recv(65536)
            if not piece:
                raise ConnectionError("the client closed the socket")
            self._received += piece
        found, self._received = self._received[:size], self._received[size:]
        return found

    def hear_goodbye(self) -> None:
        """Answer the client's close, whatever it says before."""
        while self.hear() != spec.Connection.Close:
            pass
        self.say(spec.Connection.CloseOk)
        self.hear_end()

    def greet(self, **capabilities: bool) -> None:
        """Take the protocol header and begin the login."""
        self._read(8)
        properties = {"product": "Fake", "version": "1.0", "capabilities": capabilities}
        self.say(spec.Connection.Start, "ooFSS", (0, 9, properties, self._mechanisms, "en_US"))
        method, arguments = self._hear()
        assert method == spec.Connection.StartOk
        (_, mechanism, response, _), _ = loads("FsSs", arguments, 0)
        self.login = (mechanism, response)

    def let_in(self, heartbeat_seconds: int = 60) -> None:
        """Accept the login and open the virtual host."""
        self.greet(authentication_failure_close=True)
        self.say(spec.Connection.Tune, "BlB", (2047, 131072, heartbeat_seconds))
        assert self.hear() == spec.Connection.TuneOk
        assert self.hear() == spec.Connection.Open
        self.say(spec.Connection.OpenOk, "s", ("",))


class FakeBroker:
    """Accepts one connection and runs the script with it, on a thread of its own."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, mechanisms: str = "PLAIN AMQPLAIN EXTERNAL"
    ) -> None:
        self._script = script
        self._mechanisms = mechanisms
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_SECONDS)
        self._peer: socket.socket | None = None
        self.error: BaseException | None = None  # of the script
        self.port: int = self._listener.getsockname()[1]
        self.url = f"amqp://me:s3cret@127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._run, name=f"tcp-proxy-fake-{self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends an accept that still waits
        self._listener.close()
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)
        self._thread.join(TIMEOUT_SECONDS)
        if error is None and self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:  # the test was over before the client came
            return
        self._peer = accepted
        accepted.settimeout(TIMEOUT_SECONDS)
        try:
            if self._tls is not None:
                accepted = self._peer = self._tls.wrap_socket(accepted, server_side=True)
            self._script(Peer(accepted, self._mechanisms))
        except OSError:
            pass  # the client has gone, as in most scripts it will
        except BaseException as exc:
            self.error = exc
        finally:
            accepted.close()
