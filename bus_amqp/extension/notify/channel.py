"""``Channel``: one way to people, by an Apprise url.  The only file that knows Apprise.

Nothing of a url is ever told but its scheme and, where it names a host for certain, that host and port: a channel is
known by its name.  What Apprise says while it sends goes into the error that is raised, with the url's secrets
taken out, and not into the process's log.  A channel belongs to one subscription, and is used by one thread at a time.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import Final
from urllib.parse import unquote, urlsplit

from bus_amqp import InvalidArgumentError, SettingsError
from bus_amqp.extension.notify.message import Message, NotSentError
from bus_amqp.extension.notify.own_log import OwnLog, overhearing
from bus_amqp.extension.suggestion import suggestion

try:
    from apprise import Apprise, NotificationManager, NotifyBase, NotifyFormat, NotifyType
    from apprise.exception import AppriseException
except ModuleNotFoundError as exc:
    raise SettingsError(f"notifications need {exc.name}: pip install 'bus-amqp[notify]'") from exc

CONNECT_SECONDS: Final = 5.0
_SHORTEST_SECRET = 3
_LONGEST_REASON = 500
_SCHEME = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a channel's messages go first."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Channel:
    """Owns one service of Apprise's.  Raises ``InvalidArgumentError`` for a url that Apprise cannot use.

    ``pause_seconds``: the least time between two messages; None: what Apprise thinks fit for the service.
    """

    def __init__(self, name: str, url: str, pause_seconds: float | None = None) -> None:
        self.name = name
        self._service = _opened(url)
        if pause_seconds is not None:
            self._service.request_rate_per_sec = pause_seconds  # Apprise's name for seconds per request
        self._log = OwnLog(name)
        self._service.logger = self._log.logger
        self._apprise = Apprise()
        self._apprise.add(self._service)
        self.address = _address_of(self._service)
        self._secrets = _secrets_of(url, self.address)

    def __repr__(self) -> str:
        return f"<Channel {self}>"

    def __str__(self) -> str:
        kind = str(self._service.service_name or "custom")
        return f"{self.name} ({kind}{f', {self.address}' if self.address else ''})"

    @property
    def pause_seconds(self) -> float:
        """The least time between two messages."""
        return float(self._service.request_rate_per_sec)

    def send(self, message: Message) -> None:
        """Send it, and return when the service has taken it.  Raises ``NotSentError`` with Apprise's reason."""
        self._log.clear()
        with overhearing(self._log):
            is_sent = self._apprise.notify(
                title=message.subject,
                body=message.body,
                notify_type=NotifyType(message.severity),
                body_format=NotifyFormat.TEXT,
                interpret_escapes=False,
            )
        if not is_sent:
            raise NotSentError(f"channel {self} did not take the message: {self._reason()}")

    def check_connection(self, timeout_seconds: float = CONNECT_SECONDS) -> None:
        """Open a TCP connection to the channel's address, if it can be told, and close it: nothing is said on it.

        Raises ``InvalidArgumentError``.
        """
        if self.address is None:
            return
        try:
            with socket.create_connection((self.address.host, self.address.port), timeout_seconds):
                pass
        except OSError as exc:
            raise InvalidArgumentError(f"{self.address} cannot be reached: {exc.strerror or exc}") from exc

    def _reason(self) -> str:
        told = _without(self._secrets, " ".join(self._log.told()))
        return told[:_LONGEST_REASON] or "Apprise gave no reason"


def _opened(url: str) -> NotifyBase:
    found = _SCHEME.match(url)
    if found is None:
        raise InvalidArgumentError("the url has no scheme: write it as Apprise does, mailto://... or slack://...")
    scheme = found[1].lower()
    services = NotificationManager()  # type: ignore[no-untyped-call]  # Apprise leaves it untyped
    with _unheard():
        if scheme not in services:
            known = sorted(services.schemas())  # type: ignore[no-untyped-call]  # the same
            raise InvalidArgumentError(f"Apprise has no service {scheme}://: {suggestion(scheme, known)}")
        if not services[scheme].enabled:
            needed = services[scheme].requirements
            told = needed.get("packages_required") or needed.get("details") or "something of this system"
            raise InvalidArgumentError(f"{scheme}:// needs what is not here: {told}")
        try:
            service = Apprise.instantiate(url, suppress_exceptions=False)
        except (AppriseException, TypeError, ValueError, LookupError, AttributeError) as exc:
            told = _without(_secrets_of(url, None), " ".join(str(exc).split()))
            # `from None`: its text may hold the url's secrets.
            raise InvalidArgumentError(f"Apprise cannot use this {scheme}:// url: {told[:_LONGEST_REASON]}") from None
    if service is None:
        raise InvalidArgumentError(f"Apprise cannot read this {scheme}:// url: see its page of that service")
    return service


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep what Apprise says on this thread out of the log: it shows more of a wrong url than it should."""
    thread, logger = get_ident(), logging.getLogger("apprise")

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(is_of_others)
    try:
        yield
    finally:
        logger.removeFilter(is_of_others)


def _address_of(service: NotifyBase) -> Address | None:
    """Return where it connects to; None for services that do not show it (most names of hosts in urls are tokens)."""
    port = getattr(service, "port", None)
    if smtp_host := getattr(service, "smtp_host", ""):
        return Address(smtp_host, int(port or 25))
    if type(service).__module__.startswith("apprise.plugins.custom_"):
        return Address(str(service.host), int(port or (443 if service.secure else 80)))
    fixed = getattr(type(service), "notify_url", None)
    if isinstance(fixed, str) and "{" not in fixed and (place := urlsplit(fixed)).hostname:
        return Address(place.hostname, place.port or (80 if place.scheme == "http" else 443))
    return None


def _secrets_of(url: str, address: Address | None) -> frozenset[str]:
    """Return every part of the url that may be one: tokens stand where others have hosts, users and paths."""
    place, _, query = url.partition("://")[2].partition("?")
    parts = [*re.split(r"[/:@#,]", place), *(pair.partition("=")[2] for pair in re.split(r"[&;]", query))]
    known = str(address) if address else ""
    both = {one for part in parts for spelling in (part, unquote(part)) for one in (spelling, *spelling.split(","))}
    return frozenset(part for part in both if len(part) >= _SHORTEST_SECRET and part not in known)


def _without(secrets: frozenset[str], text: str) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
