"""Look up where a name leads, and refuse it unless every address that it has may be connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from bus_amqp.extension.webhook.address import Address, AddressPolicy

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name.  Raises ``OSError``."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def allowed_addresses(host: str, port: int, policy: AddressPolicy, resolve: Resolve = resolve) -> list[Address]:
    """Return the addresses of the host.  Raises ``ForbiddenAddressError`` if one is refused, and ``OSError``.

    All are checked before any is used: which one is tried first is not ours to say.
    """
    try:
        found = [ip_address(host)]
    except ValueError:  # a name
        try:
            texts = resolve(host, port)
        except UnicodeError as exc:  # a label that the system cannot put into its query
            raise OSError(str(exc)) from exc
        found = [ip_address(text) for text in dict.fromkeys(texts)]
    for address in found:
        policy.check(address, host)
    return found
