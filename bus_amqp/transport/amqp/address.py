"""``Address``: where a broker is and how to get in, parsed from a url.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from kombu.utils.url import url_to_parts

from bus_amqp.errors import SettingsError

_PORTS = {"amqp": 5672, "amqps": 5671}
_HOST = re.compile(r"[\w.:-]+")  # kombu would read more into ; and ://


@dataclass(frozen=True, slots=True)
class Address:
    """One broker node.  ``str`` is for people: host and port, no credentials."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str
    is_tls: bool

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def _split(url: str) -> tuple[SplitResult, Any] | None:
    """Return urllib's and kombu's view of the url.  None: they can make nothing of it."""
    try:
        parts = url_to_parts(url)
        split = urlsplit(url)
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    if set("[]") & set(split.netloc.rpartition("@")[0]):  # urllib pairs them with those of the host
        return None
    return split, parts


def parse_address(url: str) -> Address:
    """Parse ``amqp://user:password@host:port/vhost`` (``amqps://`` for TLS), percent-encoded as usual.

    No user: ``guest``, as AMQP's URI specification says.  No virtual host: ``/``.  Raises ``SettingsError``,
    which never quotes the url: a password with an unencoded ``/`` or ``#`` could be in any part of it.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in _PORTS:
        raise SettingsError("the broker's url must begin with amqp:// or amqps:// (TLS)")
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        raise SettingsError("the broker's url holds a space or a control character: percent-encode it")
    found = _split(url)
    if found is None:
        # Outside of the `except`: urllib quotes what it took for the port, which may be half a password, and even
        # `from None` would leave its error in the context of this one.
        raise SettingsError(
            "the broker's url has an invalid host or port (1 to 65535);"
            " percent-encode / : @ # ? [ ] in user and password"
        )
    split, parts = found
    port = _PORTS[scheme] if parts.port is None else parts.port
    if not parts.hostname:
        raise SettingsError("the broker's url names no host: amqp://user:password@host:port/vhost")
    if not _HOST.fullmatch(parts.hostname):
        raise SettingsError("the broker's url names a host that cannot be one; several brokers are several urls")
    if not 0 < port < 65536:
        raise SettingsError(f"the broker's url has port {port}: 1 to 65535 are possible")
    if "#" in url or "?" in url:
        raise SettingsError(
            "the broker's url takes no '?' options and no '#': heartbeat, timeouts and the like are settings of "
            "the bus; in a user name or password write %3F and %23"
        )
    if "/" in split.path[1:]:
        raise SettingsError("the broker's url has more than one '/' behind the host: write %2F inside a virtual host")
    has_user = split.username is not None
    return Address(
        host=parts.hostname,
        port=port,
        user=(parts.username or "") if has_user else "guest",
        password=(parts.password or "") if has_user else "guest",
        virtual_host=parts.path or "/",
        is_tls=scheme == "amqps",
    )
