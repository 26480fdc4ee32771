"""``AddressPolicy``: to which addresses a webhook may be sent.  Pure.

Whoever may define a webhook could otherwise have this process speak to what only it can reach: itself, the machines
beside it, the metadata service of its cloud (server-side request forgery).  So everything is refused that the
registries of IANA do not call reachable for everybody, of IPv6 whatever is no global unicast; the operator allows by
network what the webhooks of this process shall reach in his own house.

Python's own ``is_global`` is not asked: its answer differs between the releases that we support.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from bus_amqp.extension.webhook.errors import ForbiddenAddressError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# RFC 6890 and what was registered since; the reason is told.  The order does not matter, no two overlap but by nesting.
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local, where clouds have their metadata service"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, or broadcast"),
        ("::/128", "this host"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/23", "protocol assignments, Teredo among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_LOW_32_EMBEDDED = tuple(
    IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_6TO4, _TEREDO = IPv6Network("2002::/16"), IPv6Network("2001::/32")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: the upper half of the interface's identifier


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """``deny`` is refused whatever else is said; ``allow`` lifts the refusal of what is special.

    An address that carries another one inside (NAT64, 6to4, mapped and so on) needs both allowed: the packet ends at
    the inner one.
    """

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def check(self, address: Address, name: str = "") -> None:
        """Raise ``ForbiddenAddressError`` that says why, if the address may not be connected to."""
        if why := self.why_refused(address):
            of_name = f"{name} is at {address}, which" if name and name != str(address) else str(address)
            raise ForbiddenAddressError(f"{of_name} is refused ({why}): see `allow` of [network]")

    def why_refused(self, address: Address) -> str:
        """Return the reason; empty if the address may be connected to."""
        if _is_in(address, self.deny):
            return "denied"
        if not _is_in(address, self.allow) and (why := _why_special(address)):
            return why
        inner = embedded_in(address) if isinstance(address, IPv6Address) else ()
        for one in inner:
            if why := self.why_refused(one):
                return f"carries {one}: {why}"
        return ""


def embedded_in(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses at which packets for this address may end."""
    value = int(address)
    low = IPv4Address(value & 0xFFFFFFFF)
    if _is_in(address, _LOW_32_EMBEDDED) or (value >> 32 & 0xFFFFFFFF) in _ISATAP:
        yield low
    elif address in _6TO4:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    elif address in _TEREDO:
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)  # the relay
        yield IPv4Address(int(low) ^ 0xFFFFFFFF)  # the client behind it


def _why_special(address: Address) -> str:
    for network, reason in _SPECIAL:
        if address.version == network.version and address in network:
            return reason
    return "" if isinstance(address, IPv4Address) or address in _GLOBAL_UNICAST else "no global unicast"


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
