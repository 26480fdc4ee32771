"""Urls are read strictly, and no error about them quotes a password."""

from __future__ import annotations

import pytest

from bus_amqp.errors import SettingsError
from bus_amqp.transport.amqp.address import Address, parse_address


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://host", Address("host", 5672, "guest", "guest", "/", is_tls=False)),
        ("amqps://host/", Address("host", 5671, "guest", "guest", "/", is_tls=True)),
        ("amqp://u:p@host:1/v", Address("host", 1, "u", "p", "v", is_tls=False)),
        ("amqp://u%40x:p%2F%23%3A@host/%2F", Address("host", 5672, "u@x", "p/#:", "/", is_tls=False)),
        ("amqp://u:p@host/a%2Fb", Address("host", 5672, "u", "p", "a/b", is_tls=False)),
        ("amqp://u@host", Address("host", 5672, "u", "", "/", is_tls=False)),
        ("amqp://u:p@[::1]:5673/", Address("::1", 5673, "u", "p", "/", is_tls=False)),
        ("amqp://node_1.example:5672", Address("node_1.example", 5672, "guest", "guest", "/", is_tls=False)),
    ],
)
def test_what_a_url_means(url, expected):
    """As AMQP's URI specification says, with "/" as the virtual host that a url leaves out."""
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://u:s3cret@host", "amqp://"),
        ("pyamqp://u:s3cret@host", "amqp://"),
        ("host:5672", "amqp://"),
        ("", "amqp://"),
        ("amqp://u:s3cret@host:70000", "port"),
        ("amqp://u:s3cret@host:0", "port 0"),
        ("amqp://u:s3cret@host:s3cret", "port"),
        ("amqp://u:s3/cret@host", "percent-encode"),
        ("amqp://u:s3#cret@host", "#"),
        ("amqp://u:s3cret@host/?heartbeat=1", "settings"),
        ("amqp://u:s3cret@host/a/b", "%2F"),
        ("amqp://u:s3cret@", "no host"),
        ("amqp:///vhost", "no host"),
        ("amqp://u:s3 cret@host", "space"),
        ("amqp://u:s3cret@a;amqp://u:s3cret@b", "percent-encode|several urls"),
        ("amqp://u:s3cret@a,b", "several urls"),
        ("amqp://u:s3cret@" + "x" * 70, "host"),
        ("amqp://u:s3cret@[::1", "host"),
        ("amqp://u:s3cret@[::1]:p@[::1", "percent-encode"),
        ("amqp://u[:s3cret]@host", "percent-encode"),
    ],
)
def test_what_is_no_url_is_refused_without_a_password(url, words):
    """A typing error is found at the start, not as a mystery at night; and the log stays clean."""
    with pytest.raises(SettingsError, match=words) as caught:
        parse_address(url)

    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_an_address_shows_neither_user_nor_password():
    """It stands in every log line about the connection."""
    address = parse_address("amqp://user:s3cret@[::1]:1/")

    assert str(address) == "[::1]:1"
    assert "s3cret" not in repr(address)
