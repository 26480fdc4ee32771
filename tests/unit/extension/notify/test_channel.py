"""``Channel``: what Apprise can use, what it says, and what is never said."""

import logging
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.notify.channel import Channel
from bus_amqp.extension.notify.message import Message, NotSentError, Severity
from bus_amqp.testing.free_port import free_port
from tests.extension.notify.http_server import HttpServer
from tests.extension.notify.mail_server import MailServer

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/%23ops"


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A server that Apprise posts JSON to."""
    server = HttpServer()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("pager", "has no scheme"),
        ("slak://a/b/c", "no service slak://: did you mean slack?"),
        ("zzzzzzzz://a", "no service zzzzzzzz://: there are "),
        ("growl://127.0.0.1", "growl:// needs what is not here: gntp"),
        ("mailto://", "cannot use this mailto:// url: Invalid ~From~ email"),
        ("slack://T1JJ3T3L2/no-token", "cannot use this slack:// url"),
        ("twilio://AC:s3cret@x", "cannot use this twilio:// url"),
    ],
)
def test_a_url_that_apprise_cannot_use_is_refused(url: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    """At start, with a reason, and without the url: it would be in every log from there on."""
    caplog.set_level(1)

    with pytest.raises(InvalidArgumentError) as caught:
        Channel("chat", url)

    told = f"{caught.value} {caplog.text}"
    assert fault in told
    for secret in ("s3cret", "T1JJ3T3L2", "no-token"):
        assert secret not in told


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mailto://bus:s3cret@example.org", "chat (E-Mail, example.org:25)"),
        ("mailtos://bus:s3cret@example.org", "chat (E-Mail, example.org:587)"),
        ("mailtos://bus:s3cret@gmail.com", "chat (E-Mail, smtp.gmail.com:587)"),
        ("mailtos://bus:s3cret@example.org?smtp=mx.example.org&port=465", "chat (E-Mail, mx.example.org:"),
        ("json://bus:s3cret@example.org/s3cret", "chat (JSON, example.org:80)"),
        ("jsons://bus:s3cret@example.org/s3cret", "chat (JSON, example.org:443)"),
        (SLACK, "chat (Slack"),
    ],
)
def test_a_channel_is_known_by_its_name_and_its_host(url: str, told: str) -> None:
    """Nothing else of a url can be told from a token for certain."""
    channel = Channel("chat", url)

    assert str(channel).startswith(told)
    assert repr(channel) == f"<Channel {channel}>"
    for secret in ("s3cret", "TIiajkdnlazkcOXrIdevi7FQ"):
        assert secret not in repr(channel)


def test_a_message_is_sent_as_it_is(http_server: HttpServer) -> None:
    """Backslashes and signs of other languages of markup are text."""
    body = r"C:\new\table <b>*x*</b> {{ y }} :smile: äöü"

    Channel("chat", http_server.url).send(Message("a subject", body, Severity.FAILURE))

    [posted] = http_server.posted
    assert (posted["title"], posted["message"], posted["type"]) == ("a subject", body, "failure")


def test_a_service_that_wants_html_gets_the_same_text(http_server: HttpServer) -> None:
    """What somebody writes into an event must not become a link in the mail."""
    Channel("chat", f"{http_server.url}?format=html").send(Message("", "<a href='x'>1 & 2</a>"))

    assert http_server.posted[0]["message"].startswith("&lt;a")


def test_the_reason_is_that_of_the_last_message_alone(http_server: HttpServer) -> None:
    """An operator who reads of a failure of yesterday looks for it in vain."""
    channel = Channel("chat", http_server.url)
    reasons = []
    for status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_GATEWAY):
        http_server.status = status
        with pytest.raises(NotSentError) as caught:
            channel.send(Message("", "body"))
        reasons.append(str(caught.value))

    assert "404" in reasons[0]
    assert "502" in reasons[1]
    assert "404" not in reasons[1]


def test_a_pause_between_messages_is_kept(http_server: HttpServer) -> None:
    """A provider that takes one message a second refuses the others; an own server need not be waited for."""
    channel = Channel("chat", http_server.url, pause_seconds=0.2)
    begun = time.monotonic()

    for _ in range(3):
        channel.send(Message("", "body"))

    assert time.monotonic() - begun >= 0.4


def test_the_reason_of_a_failure_is_told_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """Apprise says at DEBUG why a socket failed, and in the same line the token in the path of the url."""
    caplog.set_level(1)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # requests' own words are not ours to hide
    channel = Channel("chat", f"json://bus:pa%20ss@127.0.0.1:{free_port()}/s3cret-token/?-x-key=k3y-value")

    for _ in range(2):
        with pytest.raises(NotSentError) as caught:
            channel.send(Message("", "body"))

        assert str(caught.value).startswith(f"channel chat (JSON, {channel.address}) did not take the message: ")
        assert "Connection refused" in str(caught.value)
        assert str(caught.value).count("Connection error") == 1, "of this message alone"
    for secret in ("s3cret", "pa ss", "pa%20ss", "k3y"):
        assert secret not in str(caught.value) + caplog.text


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_what_a_mail_server_answers_is_the_reason(level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it was a full mailbox or a forbidden relay is what the operator has to know of a dead letter."""
    caplog.set_level(level)
    server = MailServer()
    server.refusal = "552 mailbox of operations@example.org is full"
    server.start()
    try:
        with pytest.raises(NotSentError, match=r"552.*mailbox of \*\*\* is full"):
            Channel("mail", server.url(), pause_seconds=0).send(Message("", "body"))
    finally:
        server.stop()

    said = {record.levelno for record in caplog.records if record.name == "apprise"}
    assert (logging.DEBUG in said) is (level == logging.DEBUG), "as much as the process has asked for"


def test_no_recipient_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Whom a rule writes to is a part of its url; Apprise writes it down where a server knows only some of them."""
    caplog.set_level(logging.INFO)
    server = MailServer()
    server.unknown = ("first@example.org", "copy@example.org")
    server.start()
    url = server.url(to="first@example.org,second@example.org") + "&cc=copy@example.org"
    try:
        with pytest.raises(NotSentError, match="no such user") as caught:
            Channel("mail", url, pause_seconds=0).send(Message("", "body"))
    finally:
        server.stop()

    logged = "".join(record.getMessage() for record in caplog.records if record.name == "apprise")
    for name in ("first", "second", "copy"):
        assert f"{name}@example.org" not in str(caught.value) + logged


def test_a_connection_is_checked_where_the_host_can_be_told() -> None:
    """The one thing that can be known of a server without sending something through it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        Channel("mail", f"mailto://bus@127.0.0.1:{port}?mode=insecure&from=a@b.org&to=c@d.org").check_connection()

    with pytest.raises(InvalidArgumentError, match=f"127.0.0.1:{port} cannot be reached: Connection refused"):
        Channel("mail", f"mailto://bus@127.0.0.1:{port}?mode=insecure&from=a@b.org&to=c@d.org").check_connection()


def test_a_connection_of_an_unknown_host_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host of a chat url is a token: to ask a name server for it would tell the network."""
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("connected"))

    Channel("chat", SLACK).check_connection()
