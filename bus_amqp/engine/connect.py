"""``connect``: the composition root.  Chooses the transport by the url's scheme and builds the bus."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bus_amqp.bus import EventBus
from bus_amqp.engine.brokered_bus import BrokeredBus
from bus_amqp.errors import SettingsError
from bus_amqp.settings import Settings, load_settings, require_url, url_with_password, without_password
from bus_amqp.transport.base import Connector


def connect(
    url: str | Sequence[str] | None = None,
    *,
    exchange: str | None = None,
    client_name: str | None = None,
    require_broker: bool = True,
    settings: Settings | None = None,
) -> EventBus:
    """Connect to a broker and return the bus.

    ``url``: ``amqp://user:password@host:port/vhost``, ``amqps://...``, ``memory://``; several are the nodes of
    one cluster.  Default: ``BUS_AMQP_URL``.  ``client_name`` is what operators see in the broker's list of connections.
    ``require_broker=False`` starts disconnected, accepts events and catches up.

    Raises ``SettingsError``, ``AccessRefusedError`` at once, ``ConnectionLostError`` after ``connect_timeout_seconds``.
    """
    settings = settings or load_settings()
    if exchange is not None:
        settings = settings.model_copy(update={"exchange": exchange})
    urls = [url] if isinstance(url, str) else list(url) if url else _split(require_url(settings))
    name = client_name or f"{Path(sys.argv[0]).name or 'python'}@{socket.gethostname()}:{os.getpid()}"
    connectors, release = _connectors(urls, settings, name)
    bus = BrokeredBus(connectors, settings, release=release)
    bus.start(timeout_seconds=settings.connection.connect_timeout_seconds, require_broker=require_broker)
    return bus


def _split(url: str) -> list[str]:
    """Return the urls of a setting, which names the nodes of a cluster with commas between them."""
    return re.split(r",(?=amqps?://)", url)


def _connectors(urls: Sequence[str], settings: Settings, name: str) -> tuple[list[Connector], Callable[[], None]]:
    """Return one connector for each node, and what gives back what they hold."""
    schemes = {urlsplit(url).scheme for url in urls}
    if schemes == {"memory"} and len(urls) == 1:
        from bus_amqp.transport.memory.connection import MemoryConnector

        memory = MemoryConnector(
            urls[0].partition("://")[2],
            exchange=settings.exchange,
            max_body_bytes=settings.publisher.max_event_bytes,
        )
        return [memory], memory.close
    if schemes <= {"amqp", "amqps"}:
        # Imported here: kombu costs 50 ms, and a bus in memory needs none of it.
        from bus_amqp.transport.amqp.connection import AmqpConnector

        amqp = [
            AmqpConnector(
                url,
                settings.connection,
                client_name=name,
                max_body_bytes=settings.publisher.max_event_bytes,
                exchange=settings.exchange,
                current_url=partial(url_with_password, url, settings),
            )
            for url in urls
        ]
        return list(amqp), _nothing
    raise SettingsError(f"url {', '.join(map(without_password, urls))}: write amqp://, amqps:// or (one) memory://")


def _nothing() -> None:
    """Network connectors hold nothing between connections."""
