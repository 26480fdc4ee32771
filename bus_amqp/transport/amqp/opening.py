"""Open py-amqp's connection through kombu, with our transport and options."""

from __future__ import annotations

import socket
from importlib import metadata

from kombu.connection import Connection as KombuConnection

from bus_amqp.sections import ConnectionSettings
from bus_amqp.transport.amqp.address import Address
from bus_amqp.transport.amqp.dialing import Dialer, LookUp
from bus_amqp.transport.amqp.driver import DriverConnection, DriverKombuTransport, forgiving_frame_handler
from bus_amqp.transport.amqp.inbox import Inbox
from bus_amqp.transport.amqp.link import Link
from bus_amqp.transport.amqp.tls import client_context


def open_driver(
    address: Address, settings: ConnectionSettings, connection_name: str, link: Link, inbox: Inbox, look_up: LookUp
) -> DriverConnection:
    """Connect and log in within the link's deadline.

    Raises foreign exceptions, and ``SettingsError`` for certificate files; then the caller closes the link.
    """
    # One kombu connection for each try: its own failover verifies the second host by the first one's name.
    connection = KombuConnection(
        hostname=f"[{address.host}]" if ":" in address.host else address.host,
        port=address.port,
        userid=address.user,
        password=address.password,
        virtual_host=address.virtual_host,
        ssl=_tls_options(address, settings),
        transport=DriverKombuTransport,
        login_method=settings.login.upper(),
        connect_timeout=settings.connect_timeout_seconds,
        heartbeat=settings.heartbeat_seconds,
        transport_options={
            "link": link,
            "frame_handler": forgiving_frame_handler,
            "inbox": inbox,
            "dialer": Dialer(link, look_up),
            "socket_settings": _socket_settings(),
            "client_properties": {
                "connection_name": connection_name,
                "product": "bus_amqp",
                "product_version": _version(),
            },
        },
    )
    driver: DriverConnection = connection.transport.establish_connection()
    return driver


def _tls_options(address: Address, settings: ConnectionSettings) -> dict[str, object] | bool:
    if not address.is_tls:
        return False
    # Chain and host name are verified; our transport reads these two and nothing else.
    return {"context": client_context(settings), "server_hostname": address.host}


def _socket_settings() -> dict[int, int]:
    # py-amqp sets TCP_USER_TIMEOUT to one second: a broker that stops reading under a memory alarm would be
    # taken for dead.  Heartbeats decide that.
    return {socket.TCP_USER_TIMEOUT: 0} if hasattr(socket, "TCP_USER_TIMEOUT") else {}


def _version() -> str:
    try:
        return metadata.version("bus-amqp")
    except metadata.PackageNotFoundError:  # run from a checkout
        return "0"
