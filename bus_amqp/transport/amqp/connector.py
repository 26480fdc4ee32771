"""``AmqpConnector``: knows one broker node and how to get in; each ``connect`` opens an ``AmqpConnection``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bus_amqp.errors import AccessRefusedError, ConnectionLostError, SettingsError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import Address, parse_address
from bus_amqp.transport.amqp.connection import AmqpConnection
from bus_amqp.transport.amqp.dialing import LookUp, look_up_here
from bus_amqp.transport.amqp.errors import FOREIGN, translate_connecting
from bus_amqp.transport.amqp.frames import FrameParser
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.opening import open_driver
from bus_amqp.transport.amqp.tls import client_context

MAX_USER_ID_BYTES = 255  # an AMQP short string


class AmqpConnector:
    """One node and the way in.  May be used from any thread.

    ``exchange``: where messages go that name none.  Larger bodies than ``max_body_bytes`` are not delivered.
    ``current_url``: asked at each connect for the url with the password of now.  ``look_up``: see ``dialing``.
    ``set_user_id``: messages say which user they are from.
    The lock makes "is that role aborted" and "its link is this one" one step.
    """

    def __init__(
        self, url: str, settings: ConnectionSettings, *, client_name: str, max_body_bytes: int, exchange: str,
        current_url: Callable[[], str] | None = None, look_up: LookUp = look_up_here, set_user_id: bool = False,
    ) -> None:  # fmt: skip
        self._address = parse_address(url)
        self._current_url = current_url  # None: ``url`` holds for ever
        self._settings = settings
        self._client_name = client_name
        self._max_body_bytes = max_body_bytes
        self._exchange = exchange
        self._look_up = look_up
        self._set_user_id = set_user_id
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}  # the latest of each role; guarded by _lock
        self._aborted: set[str] = set()  # roles; guarded by _lock
        self._check_tls()
        if set_user_id and settings.login == "external" and "@" not in url:
            raise SettingsError("publisher.set_user_id: write the user that the certificate stands for into the url")
        if set_user_id and len(self._address.user.encode()) > MAX_USER_ID_BYTES:
            raise SettingsError(f"publisher.set_user_id: a user's name of {MAX_USER_ID_BYTES} bytes is the longest")

    def __repr__(self) -> str:
        return f"<AmqpConnector {self._address}>"

    def _check_tls(self) -> None:
        """Find out now what would be refused at each connect.  Raises ``SettingsError``."""
        settings = self._settings
        if self._address.is_tls:
            client_context(settings)
            return
        for name in ("ca_file", "certificate_file"):
            if getattr(settings, name) is not None:
                raise SettingsError(
                    f"connection.{name} is set, but {self._address} is spoken to without TLS: write amqps://"
                )

    @property
    def address(self) -> str:
        """Host and port."""
        return str(self._address)

    def connect(self, role: str) -> AmqpConnection:
        """Connect and log in within the connect timeout.

        Raises ``ConnectionLostError``, ``AccessRefusedError``, ``BrokerRefusedError`` (a certificate).
        """
        settings, address = self._settings, self._now()
        link = Link(FrameParser(self._max_body_bytes, is_native=settings.use_bulk_frames))
        link.deadline = time.monotonic() + settings.connect_timeout_seconds
        self._register(role, link)
        inbox = Inbox()
        try:
            driver = open_driver(address, settings, f"{self._client_name}:{role}", link, inbox, self._look_up)
        except (*FOREIGN, ConnectionLostError) as exc:
            link.close()
            raise translate_connecting(exc, address, settings, link.parser.unfinished) from exc
        except SettingsError as exc:  # a certificate file that is gone: the operator's move, and tried again
            link.close()
            raise AccessRefusedError(f"{address}: {exc}") from exc
        except BaseException:  # whatever ends it: nobody else knows of the socket
            link.close()
            raise
        return AmqpConnection(
            driver, inbox, address, settings, max_body_bytes=self._max_body_bytes, exchange=self._exchange,
            user_id=address.user if self._set_user_id else "",
        )  # fmt: skip

    def _register(self, role: str, link: Link) -> None:
        with self._lock:
            self._links[role] = link
            if role in self._aborted:
                link.abort()

    def abort(self, role: str) -> None:
        """End the connect or the request of that role that goes on, and all that follow.  From any thread."""
        with self._lock:
            self._aborted.add(role)
            link = self._links.get(role)
        if link is not None:
            link.abort()

    def _now(self) -> Address:
        if self._current_url is None:
            return self._address
        try:
            return parse_address(self._current_url())
        except SettingsError as exc:  # a password file that is gone: the operator's move, and tried again
            raise AccessRefusedError(f"{self._address}: {exc}") from exc
