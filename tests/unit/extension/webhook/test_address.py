"""Which addresses a webhook may be sent to: the table that keeps it from the operator's own house."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.extension.webhook.address import AddressPolicy, embedded_in
from bus_amqp.extension.webhook.errors import ForbiddenAddressError

NOTHING_ALLOWED = AddressPolicy()
PRIVATE = [
    ip_network(text)
    for text in ("10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "this host"),
        ("0.1.2.3", "this host"),
        ("10.0.0.1", "private"),
        ("10.255.255.255", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.100.100.200", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("168.63.129.16", "metadata"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.170", "protocol"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarks"),
        ("198.19.255.255", "benchmarks"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.9", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "this host"),
        ("::1", "loopback"),
        ("::7f00:1", "no global unicast"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b::8.8.8.8", "NAT64"),
        ("64:ff9b:1::a00:1", "local NAT64"),
        ("100::1", "discard"),
        ("2001::1", "protocol"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "6to4"),
        ("3fff::1", "documentation"),
        ("4000::1", "no global unicast"),
        ("5f00::1", "no global unicast"),
        ("fc00::1", "unique local"),
        ("fd00:ec2::254", "unique local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("2606:4700::5efe:a00:1", "carries 10.0.0.1: private"),
    ],
)
def test_what_is_not_reachable_for_everybody_is_refused(address: str, why: str) -> None:
    """Each of these is something that only this machine, or its neighbours, can reach."""
    assert why in NOTHING_ALLOWED.why_refused(ip_address(address))
    with pytest.raises(ForbiddenAddressError, match="is refused"):
        NOTHING_ALLOWED.check(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "172.32.0.1", "172.15.255.255", "100.128.0.1", "192.0.1.1", "9.255.255.255", "11.0.0.0",
     "169.255.0.0", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1"],
)  # fmt: skip
def test_what_everybody_can_reach_is_let_pass(address: str) -> None:
    """A guard that refuses good receivers is switched off by the first who meets it."""
    NOTHING_ALLOWED.check(ip_address(address))


def test_a_network_is_allowed_and_its_neighbours_are_not() -> None:
    """The operator opens what he names, and nothing beside it."""
    policy = AddressPolicy(allow=(ip_network("10.20.0.0/16"), ip_network("fd00:1::/32")))

    policy.check(ip_address("10.20.3.4"))
    policy.check(ip_address("fd00:1::5"))
    for other in ("10.21.0.1", "127.0.0.1", "fd00:2::5", "::ffff:10.20.3.4"):
        assert policy.why_refused(ip_address(other))


def test_what_is_denied_is_refused_whatever_is_allowed() -> None:
    """One's own public addresses are global, and behind them is the management server."""
    policy = AddressPolicy(
        allow=(ip_network("10.0.0.0/8"),), deny=(ip_network("10.1.0.0/16"), ip_network("8.8.8.0/24"))
    )

    policy.check(ip_address("10.2.0.1"))
    assert policy.why_refused(ip_address("10.1.0.1")) == "denied"
    assert policy.why_refused(ip_address("8.8.8.8")) == "denied"


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("64:ff9b::/96", "64:ff9b::{:x}:{:x}"),
        ("::ffff:0:0/96", "::ffff:{:x}:{:x}"),
        ("2002::/16", "2002:{:x}:{:x}::1"),
        ("2001::/32", "2001:0:{:x}:{:x}::"),
    ],
)
def test_allowing_a_tunnel_does_not_allow_what_is_at_its_end(outer: str, inner: str) -> None:
    """On a network with NAT64 its range has to be allowed; the private addresses behind it must stay closed."""
    policy = AddressPolicy(allow=(ip_network(outer),))

    assert "carries 10.0.0.1: private" in policy.why_refused(ip_address(inner.format(0x0A00, 0x0001)))
    if not outer.startswith("2001"):  # Teredo names two addresses, and a test for both is below
        policy.check(ip_address(inner.format(0x0808, 0x0808)))


def test_both_ends_of_teredo_are_seen() -> None:
    """The client's address stands there inverted."""
    address = IPv6Address("2001:0:808:808::f5ff:fffe")  # ~10.0.0.1

    assert list(embedded_in(address)) == [IPv4Address("8.8.8.8"), IPv4Address("10.0.0.1")]


@given(st.sampled_from(PRIVATE), st.integers(0, 2**32 - 1), st.integers(0, 6))
def test_no_private_address_passes_in_any_disguise(network, number: int, disguise: int) -> None:  # type: ignore[no-untyped-def]
    """Whatever form a name server may give it: mapped, translated, NAT64, 6to4, Teredo, ISATAP."""
    plain = int(network.network_address) + number % network.num_addresses
    forms = [
        IPv4Address(plain),
        IPv6Address(plain),
        IPv6Address(0xFFFF << 32 | plain),
        IPv6Address(0xFFFF << 48 | plain),
        IPv6Address(0x64FF9B << 96 | plain),
        IPv6Address(0x2002 << 112 | plain << 80),
        IPv6Address(0x2606_4700 << 96 | 0x5EFE << 32 | plain),
    ]

    assert NOTHING_ALLOWED.why_refused(forms[disguise])
