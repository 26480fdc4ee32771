"""``connect``: the composition root.  Chooses the transport by the url's scheme and builds the bus."""

from __future__ import annotations

import os
import random
import re
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bus_amqp.bus import EventBus
from bus_amqp.errors import SettingsError
from bus_amqp.foreign import Encode
from bus_amqp.settings import Settings, load_settings, require_url, url_with_password, with_exchange, without_password

if TYPE_CHECKING:
    from bus_amqp.transport.base import Connector

_SPOOL = "spool:"


def connect(
    url: str | Sequence[str] | None = None,
    *,
    exchange: str | None = None,
    client_name: str | None = None,
    require_broker: bool = True,
    settings: Settings | None = None,
    encoder: Encode | None = None,
) -> EventBus:
    """Connect to a broker and return the bus.

    ``url``: ``amqp://user:password@host:port/vhost``, ``amqps://...``, ``memory://``; several are the nodes of
    one cluster; ``spool:DIR`` only publishes, into a directory.  Default: the settings' url, or ``BUS_AMQP_URL``.
    ``client_name`` is what operators see in the broker's list of connections.  ``require_broker=False`` starts
    disconnected, accepts events and catches up.
    ``encoder``: makes the messages of what is published, in somebody else's format; for consumers that are not ours.

    Raises ``SettingsError``, ``AccessRefusedError`` at once, ``ConnectionLostError`` after ``connect_timeout_seconds``.
    """
    if settings is not None and not isinstance(settings, Settings):
        raise SettingsError(f"settings must be a bus_amqp.Settings, not {type(settings).__name__}")
    settings = with_exchange(load_settings() if settings is None else settings, exchange)
    urls = _urls(url, settings)
    if any(one.startswith(_SPOOL) for one in urls):
        return _spool(urls, settings, encoder)
    # Imported here: who only builds events, or asks the command line for help, needs no machinery: a fifth of the time.
    from bus_amqp.engine.brokered_bus import BrokeredBus

    connectors, release = _connectors(urls, settings, client_name)
    in_child = None if _is_memory(urls) else lambda: _connectors(urls, settings, client_name)[0]
    bus = BrokeredBus(connectors, settings, release=release, connectors_in_child=in_child, encoder=encoder)
    bus.start(timeout_seconds=settings.connection.connect_timeout_seconds, require_broker=require_broker)
    return bus


def connectors_of(settings: Settings, *, client_name: str) -> tuple[list[Connector], Callable[[], None]]:
    """Return what connects to each node of the settings' url, and what to call when they are done with.

    For who needs a connection and no bus.  Raises ``SettingsError``.
    """
    return _connectors(_urls(None, settings), settings, client_name)


def first_url(settings: Settings) -> str:
    """Return the url of the first node.  Raises ``SettingsError``."""
    return _urls(None, settings)[0]


def _urls(url: object, settings: Settings) -> list[str]:
    """Return the nodes' urls.  Raises ``SettingsError``, which quotes no url: there may be a password in it."""
    if url is None:
        return _split(require_url(settings if settings.url else load_settings()))
    if isinstance(url, str):
        return _split(url)
    if not isinstance(url, Sequence) or isinstance(url, bytes | bytearray | memoryview):
        raise SettingsError(f"url must be a string or a sequence of them, not {type(url).__name__}")
    for one in url:
        if not isinstance(one, str):
            raise SettingsError(f"each url must be a string, not {type(one).__name__}")
    if not url:
        raise SettingsError("url is an empty sequence: name at least one broker, or leave it out for BUS_AMQP_URL")
    return list(url)


def _split(url: str) -> list[str]:
    """Return the urls of a setting, which names the nodes of a cluster with commas between them."""
    return re.split(r",(?=amqps?://)", url)


def _spool(urls: Sequence[str], settings: Settings, encoder: Encode | None) -> EventBus:
    path = urls[0].removeprefix(_SPOOL)
    if len(urls) > 1 or not path or (path.startswith("//") and not path.startswith("///")):
        raise SettingsError(
            "a spool is one directory and nothing else: write spool:DIR, such as spool:/var/spool/events"
        )
    from bus_amqp.engine.spool_bus import SpoolBus
    from bus_amqp.publish.outbox_directory import OutboxDirectory

    directory = OutboxDirectory(Path(path), settings.exchange, synchronous=settings.publisher.outbox_synchronous)
    return SpoolBus(directory, settings, encoder=encoder)


def _schemes(urls: Sequence[str]) -> set[str]:
    return {url.partition("://")[0].lower() if "://" in url else "" for url in urls}


def _is_memory(urls: Sequence[str]) -> bool:
    return _schemes(urls) == {"memory"} and len(urls) == 1


def _connectors(
    urls: Sequence[str], settings: Settings, client_name: str | None
) -> tuple[list[Connector], Callable[[], None]]:
    """Return one connector for each node, and what gives back what they hold."""
    if _is_memory(urls):
        from bus_amqp.transport.memory.connection import MemoryConnector

        memory = MemoryConnector(
            urls[0].partition("://")[2],
            exchange=settings.exchange,
            max_body_bytes=settings.publisher.max_event_bytes,
        )
        return [memory], memory.close
    if _schemes(urls) <= {"amqp", "amqps"}:
        name = client_name or f"{Path(sys.argv[0]).name or 'python'}@{socket.gethostname()}:{os.getpid()}"
        # Imported here: kombu costs 50 ms, and a bus in memory needs none of it.
        from bus_amqp.ioloop.resolver import Resolver
        from bus_amqp.transport.amqp.connector import AmqpConnector

        resolver = Resolver()
        amqp = [
            AmqpConnector(
                url,
                settings.connection,
                client_name=name,
                max_body_bytes=settings.publisher.max_event_bytes,
                exchange=settings.exchange,
                current_url=_current(url, settings),
                look_up=resolver.look_up,
                set_user_id=settings.publisher.set_user_id,
            )
            for url in urls
        ]
        return _from_anywhere(amqp), _nothing
    raise SettingsError(
        f"url {', '.join(map(without_password, urls))}: write amqp://, amqps://, (one) memory:// or spool:DIR"
    )


def _from_anywhere(nodes: Sequence[Connector], choose: Callable[[int], int] = random.randrange) -> list[Connector]:
    """Return the nodes in their order, beginning with any: else a whole fleet would sit on the first one."""
    first = choose(len(nodes))
    return [*nodes[first:], *nodes[:first]]


def _current(url: str, settings: Settings) -> Callable[[], str]:
    # Not a partial: that shows its arguments, the url with its password among them, to whoever prints it.
    return lambda: url_with_password(url, settings)


def _nothing() -> None:
    """Network connectors hold nothing between connections."""
