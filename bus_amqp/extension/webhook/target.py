"""``Target``: where a webhook's url leads, taken apart once and strictly.  Pure.

One parser for the check and for the request: where two read an url differently, the check is passed by one host and
the request goes to another.  What has more than one reading is refused: credentials, backslashes, characters beyond
ASCII, numbers that are addresses in disguise (``2130706433``, ``0x7f.1``, ``0177.0.0.1``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.webhook.address import Address

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?P<fragment>#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_UNSEEN = re.compile(r"[^\x21-\x7e]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"https": 443, "http": 80}
_LONGEST_URL, _LONGEST_NAME = 2048, 253


@dataclass(frozen=True, slots=True)
class Target:
    """``host``: in lower case, an IPv6 address without brackets.  ``path``: with the query; begins with ``/``."""

    scheme: str
    host: str
    port: int
    path: str
    literal: Address | None  # the address that the host is, if it is no name

    @property
    def host_header(self) -> str:
        """The value of ``Host``."""
        host = f"[{self.host}]" if isinstance(self.literal, IPv6Address) else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What may be shown anywhere: paths and queries of webhooks are secrets at times."""
        return f"{self.scheme}://{self.host_header}"

    @property
    def shown(self) -> str:
        """The url without the query."""
        path, question, _ = self.path.partition("?")
        return f"{self.origin}{path}{question}{'***' if question else ''}"


def parse_url(url: str, *, allow_http: bool = False) -> Target:
    """Return the target.  Raises ``InvalidArgumentError`` that does not repeat what may be a secret."""
    if len(url) > _LONGEST_URL:
        raise InvalidArgumentError(f"an url of {len(url)} characters: {_LONGEST_URL} at most")
    if (unseen := _UNSEEN.search(url)) or "\\" in url:
        sign = unseen[0] if unseen else "\\"
        raise InvalidArgumentError(
            f"the url has the character {sign!a}: write names in their ASCII form (xn--...), and all else "
            "that is no printable ASCII in percent form"
        )
    parts = _URL.fullmatch(url)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in _PORTS:
        raise InvalidArgumentError("a webhook's url begins with https://")
    if scheme == "http" and not allow_http:
        raise InvalidArgumentError("http:// sends events in the clear: use https://, or say allow_http = true")
    if "@" in parts["authority"]:
        raise InvalidArgumentError("the url has a user or password in it: give a header instead, or take out the @")
    if parts["fragment"] is not None:
        raise InvalidArgumentError("the url has a fragment (#...), which is never sent: take it out")
    place = _AUTHORITY.fullmatch(parts["authority"])
    if place is None:
        raise InvalidArgumentError("what follows :// is no host and port")
    host, literal = _checked_host(place["host"].lower())
    port = int(place["port"]) if place["port"] is not None else _PORTS[scheme]
    if not 1 <= port <= 65535:
        raise InvalidArgumentError(f"{port} is no port: 1 to 65535")
    rest = parts["rest"]
    return Target(scheme, host, port, rest if rest.startswith("/") else f"/{rest}", literal)


def _checked_host(host: str) -> tuple[str, Address | None]:
    if host.startswith("["):
        try:
            address = IPv6Address(host[1:-1])
        except ValueError as exc:
            raise InvalidArgumentError(f"{host} is no IPv6 address") from exc
        return str(address), address
    labels = host.split(".")
    if len(host) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidArgumentError(f"{host!r} is no host name: labels of letters, digits, - and _, with dots between")
    if not _NUMBER.fullmatch(labels[-1]):
        return host, None
    try:
        return host, IPv4Address(host)
    except ValueError as exc:
        raise InvalidArgumentError(
            f"{host!r} ends in a number and is no IPv4 address of four plain decimal numbers"
        ) from exc
