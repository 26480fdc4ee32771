"""Where an url leads: one reading, and none for what could have two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.webhook.target import parse_url


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "host_header"),
    [
        ("https://hooks.example", "hooks.example", 443, "/", "hooks.example"),
        ("HTTPS://Hooks.Example:443/a?b=c", "hooks.example", 443, "/a?b=c", "hooks.example"),
        ("https://hooks.example:8443?x", "hooks.example", 8443, "/?x", "hooks.example:8443"),
        ("https://my_host-1.internal/%2e%2e/", "my_host-1.internal", 443, "/%2e%2e/", "my_host-1.internal"),
        ("https://8.8.8.8/x", "8.8.8.8", 443, "/x", "8.8.8.8"),
        ("https://[2606:4700:0:0::1111]:8443/", "2606:4700::1111", 8443, "/", "[2606:4700::1111]:8443"),
        ("https://xn--mnchen-3ya.example/", "xn--mnchen-3ya.example", 443, "/", "xn--mnchen-3ya.example"),
        ("https://a.example/b@c:d", "a.example", 443, "/b@c:d", "a.example"),
        ("https://1.example/", "1.example", 443, "/", "1.example"),
    ],
)
def test_a_plain_url_is_taken_apart(url: str, host: str, port: int, path: str, host_header: str) -> None:
    """What is asked of the name server, of TLS and of the receiver comes from here."""
    target = parse_url(url)

    assert (target.scheme, target.host, target.port, target.path) == ("https", host, port, path)
    assert target.host_header == host_header


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://hooks.example/", "allow_http"),
        ("ftp://hooks.example/", "begins with https://"),
        ("file:///etc/passwd", "begins with https://"),
        ("gopher://127.0.0.1:25/", "begins with https://"),
        ("//hooks.example/", "begins with https://"),
        ("https:hooks.example", "begins with https://"),
        ("hooks.example", "begins with https://"),
        ("", "begins with https://"),
        ("https://", "no host name"),
        ("https:///etc", "no host name"),
        ("https://user:s3cret@hooks.example/", "user or password"),
        ("https://good.example@127.0.0.1/", "user or password"),
        ("https://127.0.0.1:443@good.example/", "user or password"),
        ("https://@127.0.0.1/", "user or password"),
        ("https://good.example\\@127.0.0.1/", "character"),
        ("https://good.example\\.evil.example/", "character"),
        ("https://good.example/\r\nHost: evil.example", "character"),
        ("https://good.example/ x", "character"),
        ("https://good.example\t/", "character"),
        ("https://good.example/\x00", "character"),
        ("https://①②⑦.⓪.⓪.①/", "character"),
        ("https://１２７.0.0.1/", "character"),
        ("https://127。0。0。1/", "character"),
        ("https://münchen.example/", "character"),
        ("https://good.example#@127.0.0.1/", "fragment"),
        ("https://good.example/#x", "fragment"),
        ("https://2130706433/", "ends in a number"),
        ("https://0x7f000001/", "ends in a number"),
        ("https://0x7F.0.0.1/", "ends in a number"),
        ("https://017700000001/", "ends in a number"),
        ("https://0177.0.0.1/", "ends in a number"),
        ("https://127.1/", "ends in a number"),
        ("https://127.0.0.0x1/", "ends in a number"),
        ("https://127.0.0.256/", "ends in a number"),
        ("https://127.0.0.1.1/", "ends in a number"),
        ("https://127.0.0.01/", "ends in a number"),
        ("https://good.example.0x/", "ends in a number"),
        ("https://127.0.0.1./", "no host name"),
        ("https://good.example./", "no host name"),
        ("https://.good.example/", "no host name"),
        ("https://good..example/", "no host name"),
        ("https://good.example%00.evil.example/", "no host name"),
        ("https://%31%32%37.0.0.1/", "no host name"),
        ("https://good.example:443:80/", "no host and port"),
        ("https://good.example:/", "no host and port"),
        ("https://good.example:0/", "no port"),
        ("https://good.example:65536/", "no port"),
        ("https://good.example:+443/", "no host and port"),
        ("https://[::1/", "no host and port"),
        ("https://[::1%25eth0]/", "no host and port"),
        ("https://[fe80::1%eth0]/", "no host and port"),
        ("https://[127.0.0.1]/", "no IPv6 address"),
        ("https://[::1]evil.example/", "no host and port"),
        ("https://::1/", "no host and port"),
        ("https://" + "a" * 64 + ".example/", "no host name"),
        ("https://" + "a." * 130 + "example/", "no host name"),
        ("https://good.example/" + "a" * 2048, "2048 at most"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: str, told: str) -> None:
    """Each of these has led a checked request to an unchecked host somewhere."""
    with pytest.raises(InvalidArgumentError) as caught:
        parse_url(url)

    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_plain_http_is_for_who_asks_for_it() -> None:
    """A receiver on the same machine, say."""
    assert parse_url("http://hooks.example/x", allow_http=True).port == 80


def test_what_is_shown_has_no_query() -> None:
    """Keys of receivers stand there; the path stays, for without it nobody knows which it was."""
    target = parse_url("https://hooks.example/services?key=s3cret")

    assert target.shown == "https://hooks.example/services?***"
    assert target.origin == "https://hooks.example"


@given(st.text(alphabet="htps:/@.[]#?\\%x0127a\r ", max_size=40).map(lambda text: f"https://{text}"))
def test_whatever_is_written_it_is_taken_or_refused(url: str) -> None:
    """No other exception: it would be a traceback at the start of a process, or worse, a delivery."""
    try:
        target = parse_url(url)
    except InvalidArgumentError:
        return
    assert target.host
    assert not set("@/\\#?% \r") & set(target.host)
    assert target.path.startswith("/")
