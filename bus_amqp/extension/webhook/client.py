"""``Client``: one webhook's way out: a POST, its answer, within a time.  Never raises for what a receiver does.

httpcore alone, not a library above it: no redirects, no cookies, no proxies from the environment, no unpacking of
answers.  Connections are kept for the next event, a little shorter than receivers usually do.  Any of the webhook's
worker threads may call ``post``.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import httpcore2

from bus_amqp import SettingsError
from bus_amqp.extension.webhook.address import AddressPolicy
from bus_amqp.extension.webhook.answer import Answer
from bus_amqp.extension.webhook.errors import ForbiddenAddressError
from bus_amqp.extension.webhook.lookup import Resolve, resolve
from bus_amqp.extension.webhook.pinned import Attempt, PinnedBackend, attempting
from bus_amqp.extension.webhook.target import Target

EXCERPT_BYTES = 2048
READ_BYTES = 65536  # of a longer answer nobody needs the rest, and its connection is closed
LONGEST_REASON = 200  # characters
KEEP_SECONDS = 4.0  # many servers close after 5; a request on a connection that is being closed is lost


class Client:
    """Owns the connections to one target."""

    def __init__(
        self,
        target: Target,
        policy: AddressPolicy,
        *,
        timeout_seconds: float,
        connections: int = 1,
        ca_file: Path | None = None,
        resolve: Resolve = resolve,
        connect: httpcore2.NetworkBackend | None = None,
    ) -> None:
        self._target = target
        self._timeout_seconds = timeout_seconds
        self._url = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        self._pool = httpcore2.ConnectionPool(
            ssl_context=trusting(ca_file) if target.scheme == "https" else None,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=KEEP_SECONDS,
            network_backend=PinnedBackend(policy, resolve=resolve, connect=connect),
        )

    def __repr__(self) -> str:
        return f"<Client {self._target.origin}>"

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send the body and return what came of it, at the latest when the time is over."""
        started = time.monotonic()
        attempt = Attempt(started + self._timeout_seconds)
        try:
            with attempting(attempt):
                answer = self._exchange(headers, body, attempt)
        except ForbiddenAddressError as exc:
            answer = Answer(None, error=str(exc), is_forbidden=True)
        except httpcore2.TimeoutException:
            answer = Answer(None, error=f"no answer within {self._timeout_seconds:g} s")
        except httpcore2.LocalProtocolError as exc:
            answer = Answer(None, error=f"cannot be sent: {exc}")
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as exc:
            answer = Answer(None, error=_reason(exc))
        return Answer(
            answer.status,
            answer.excerpt,
            answer.retry_after,
            answer.error,
            answer.is_forbidden,
            attempt.address,
            time.monotonic() - started,
        )

    def close(self) -> None:
        """Close the connections.  When no ``post`` is under way."""
        self._pool.close()

    def _exchange(self, headers: Mapping[str, str], body: bytes, attempt: Attempt) -> Answer:
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_seconds)
        with self._pool.stream(
            "POST", self._url, headers=given, content=body, extensions={"timeout": timeouts}
        ) as response:
            attempt.address = attempt.address or _peer(response.extensions["network_stream"])
            text, fault = _read(response)
        return Answer(response.status, text, _header(response, b"retry-after"), fault)


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies receivers: by the system's authorities, or by those of the file.  Never not at all.

    Raises ``SettingsError`` for a file that holds no certificate.
    """
    try:
        return _context(ca_file, None if ca_file is None else ca_file.stat().st_mtime_ns)
    except OSError as exc:  # SSLError is one
        raise SettingsError(f"ca_file {ca_file}: {exc.strerror or exc}") from exc


@lru_cache(maxsize=16)
def _context(ca_file: Path | None, written_at: int | None) -> ssl.SSLContext:
    # Shared: the system's authorities are a hundred certificates, to be read and kept for each webhook.
    return httpcore2.default_ssl_context() if ca_file is None else ssl.create_default_context(cafile=str(ca_file))


def _read(response: httpcore2.Response) -> tuple[str, str | None]:
    """Return the beginning of the body.  The status counts once it is here, whatever becomes of the rest."""
    parts, size, fault = [], 0, None
    try:
        for part in response.iter_stream():
            parts.append(part[: max(0, EXCERPT_BYTES - size)])
            size += len(part)
            if size > READ_BYTES:
                fault = f"an answer of more than {READ_BYTES} bytes"
                break
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        fault = "the answer's body was cut off"
    return b"".join(parts).decode(errors="replace"), fault


def _header(response: httpcore2.Response, wanted: bytes) -> str | None:
    for name, value in response.headers:
        if name.lower() == wanted:
            return bytes(value).decode("latin-1")
    return None


def _peer(stream: httpcore2.NetworkStream) -> str | None:
    try:
        return str(stream.get_extra_info("server_addr")[0])
    except (OSError, TypeError):  # closed meanwhile, or no socket
        return None


def _reason(exc: Exception) -> str:
    cause = exc.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}"
    # h11 shows the line that it could not read: up to 100 KiB of whatever the receiver chose to write.
    text = str(exc).partition(": bytearray(")[0]
    return f"{type(exc).__name__}: {text[:LONGEST_REASON]}"
