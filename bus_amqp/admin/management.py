"""``Management``: the two questions that AMQP cannot answer, asked of RabbitMQ's management API.

Which queues are there, and what is bound to them.  Read only, each request with a deadline and a bound on its answer;
no proxy and no redirect, since both would be shown the password.  No text made here holds a credential.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from bus_amqp.errors import AccessRefusedError, BrokerRefusedError, ConnectionLostError, SettingsError
from bus_amqp.settings import Settings, url_with_password

MAX_ANSWER_BYTES = 64 * 1024 * 1024
_PORTS = {"amqp": ("http", 15672), "amqps": ("https", 15671)}


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None  # urllib would take the password along to wherever it is sent


class Management:
    """One virtual host, as one user may see it."""

    def __init__(self, base_url: str, *, user: str, password: str, virtual_host: str, timeout_seconds: float) -> None:
        wrong = "the management url must be http://host:15672 or https://host:15671"
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise SettingsError(wrong) from None  # not chained: urllib quotes what it took for the port
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(wrong)
        self._place = f"{parts.hostname}{'' if port is None else f':{port}'}"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._base = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}/api"
        if parts.username is not None:  # a user of its own, with the right to see more
            user, password = unquote(parts.username), unquote(parts.password or "")
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._virtual_host = quote(virtual_host, safe="")
        self._timeout_seconds = timeout_seconds
        self._opener: OpenerDirector = build_opener(ProxyHandler({}), _NoRedirect())

    def __repr__(self) -> str:
        return f"<Management at {self._place}>"

    @property
    def place(self) -> str:
        """Host and port."""
        return self._place

    def queues(self) -> list[str]:
        """Return the names of all queues.  Raises ``TransportError`` of the kind that fits."""
        return [str(one["name"]) for one in self._get(f"queues/{self._virtual_host}?columns=name") if "name" in one]

    def bindings(self, exchange: str) -> dict[str, list[str]]:
        """Return the binding keys of each queue that is bound to the exchange."""
        found: dict[str, list[str]] = {}
        for one in self._get(f"exchanges/{self._virtual_host}/{quote(exchange, safe='')}/bindings/source"):
            if one.get("destination_type") == "queue":
                found.setdefault(str(one.get("destination")), []).append(str(one.get("routing_key")))
        return {queue: sorted(keys) for queue, keys in found.items()}

    def _get(self, path: str) -> list[dict[str, Any]]:
        request = Request(f"{self._base}/{path}", headers={"Authorization": self._authorization})
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as answer:
                body = answer.read(MAX_ANSWER_BYTES + 1)
        except HTTPError as exc:
            with exc:
                raise self._refused(exc.code) from None  # the error has the request in it, and that the password
        except (URLError, http.client.HTTPException, ssl.SSLError, OSError, ValueError) as exc:
            reason = exc.reason if isinstance(exc, URLError) else exc
            raise ConnectionLostError(f"no management API at {self._place}: {_told(reason)}") from None
        try:
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError("too long an answer")
            found = json.loads(body)
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise ValueError("not a list")
        except (ValueError, RecursionError):
            raise BrokerRefusedError(f"what answers at {self._place} is no management API of RabbitMQ") from None
        return cast("list[dict[str, Any]]", found)

    def _refused(self, status: int) -> BrokerRefusedError:
        if status in (401, 403):
            return AccessRefusedError(
                f"the management API at {self._place} refused the user (status {status}): it needs the tag "
                "'monitoring' or 'management', and rights on the virtual host"
            )
        return BrokerRefusedError(f"the management API at {self._place} answered with status {status}")


def management_of(settings: Settings, url: str, management_url: str | None) -> Management:
    """Return the API beside the broker of ``url`` (one node's), or the one at ``management_url``, with the url's user.

    Raises ``SettingsError``.
    """
    from bus_amqp.transport.amqp.address import parse_address

    address = parse_address(url_with_password(url, settings))
    scheme, port = _PORTS["amqps" if address.is_tls else "amqp"]
    host = f"[{address.host}]" if ":" in address.host else address.host
    return Management(
        management_url or f"{scheme}://{host}:{port}",
        user=address.user,
        password=address.password,
        virtual_host=address.virtual_host,
        timeout_seconds=settings.connection.connect_timeout_seconds,
    )


def _told(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
