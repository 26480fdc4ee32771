"""Notifications from the event to the mail: real servers, on memory and on real brokers."""

import socket
from http import HTTPStatus
from pathlib import Path

import pytest

from bus_amqp import EventBus
from bus_amqp.consume import dead_letter
from bus_amqp.extension.notify.subscribers import subscribers_from
from tests.extension.notify.http_server import HttpServer
from tests.extension.notify.mail_server import MailServer, text_of
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until
from tests.promise.world import World

RULES = """
[channel.mail]
url = "{mail}"
pause_seconds = 0

[channel.chat]
url = "{chat}"

[rule.machines]
topic = {{ event_type = "VM.#" }}
channels = ["mail"]
subject = "{{{{ event_type }}}} of {{{{ resource_uuid }}}}"
body = "{{{{ details.number }}}}: {{{{ description }}}}"
retry = {{ attempts = {attempts}, delays_seconds = [1] }}

[rule.copies]
topic = {{ event_type = "VM.#" }}
channels = ["chat"]
retry = {{ attempts = {attempts}, delays_seconds = [1] }}

[rule.both]
topic = {{ event_type = "VOLUME.#" }}
channels = ["mail", "chat"]
retry = {{ attempts = {attempts}, delays_seconds = [1] }}
"""


@pytest.fixture
def notify(world: World, mail_server: MailServer, http_server: HttpServer, tmp_path: Path) -> EventBus:
    """A bus with the rules above, subscribed."""
    return _subscribed(world, mail_server, http_server, tmp_path, attempts=20)


def _subscribed(
    world: World, mail_server: MailServer, http_server: HttpServer, tmp_path: Path, attempts: int
) -> EventBus:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format(mail=mail_server.url(), chat=http_server.url, attempts=attempts))
    bus = world.connect()
    bus.subscribe_all(subscribers_from(file))
    return bus


def test_an_event_becomes_a_mail_and_a_chat_message(
    notify: EventBus, mail_server: MailServer, http_server: HttpServer
) -> None:
    """The whole way: topic, template, Apprise, SMTP and HTTP; other types of events are nobody's mail."""
    notify.publish(an_event(1, "ü-1", event_type="NETWORK.CREATE"))
    notify.publish(an_event(2, "ü-2", description="started & <well>"))

    [mail] = mail_server.wait_for(1)
    [post] = http_server.wait_for(1)
    assert (mail["from"], mail["to"]) == ("bus@example.org", "operations@example.org")
    assert mail["subject"] == "VM.START of ü-2"
    assert mail.get_content_type() == "text/plain"
    assert text_of(mail).strip() == "2: started & <well>"
    assert (post["title"], post["type"]) == ("VM.START VirtualMachine ü-2", "info")
    assert post["message"].startswith("started & <well>\n\n")


def test_a_server_that_is_down_is_tried_again_and_holds_up_no_other_rule(
    world: World, notify: EventBus, mail_server: MailServer, http_server: HttpServer
) -> None:
    """The bus's own retry carries a message over an outage; who has nothing to do with it does not notice."""
    mail_server.stop()
    notify.publish(an_event(1))
    assert http_server.wait_for(1)
    wait_until(lambda: any(one.retried for one in notify.stats().subscriptions.values()), "a retry")
    assert mail_server.subjects == []

    mail_server.start()

    assert [mail["subject"] for mail in mail_server.wait_for(1)] == ["VM.START of r-0"]
    assert world.dead_letters("notify-machines--mail") == []
    assert http_server.requests == 1


def test_a_channel_that_fails_repeats_nothing_to_the_others_of_its_rule(
    notify: EventBus, mail_server: MailServer, http_server: HttpServer
) -> None:
    """A chat that is down for ten minutes must not send the same mail ten times."""
    http_server.status = HTTPStatus.SERVICE_UNAVAILABLE
    notify.publish(an_event(1, event_type="VOLUME.CREATE"))
    mail_server.wait_for(1)
    wait_until(lambda: http_server.requests >= 3, "three tries")
    assert http_server.posted == []

    http_server.status = HTTPStatus.OK

    assert len(http_server.wait_for(1)) == 1
    assert mail_server.subjects == ["VOLUME.CREATE VirtualMachine r-0"]


def test_a_message_whose_attempts_are_used_up_is_dead_lettered_with_the_reason(
    world: World, mail_server: MailServer, http_server: HttpServer, tmp_path: Path
) -> None:
    """Nothing disappears: the operator finds the event, and why it was not sent, without a token of the url."""
    bus = _subscribed(world, mail_server, http_server, tmp_path, attempts=2)
    mail_server.stop()
    http_server.status = HTTPStatus.NOT_FOUND
    bus.publish(an_event(1))

    [mail_letter] = world.wait_dead_letters(1, "notify-machines--mail")
    [chat_letter] = world.wait_dead_letters(1, "notify-copies--chat")
    assert mail_letter.headers[dead_letter.ATTEMPTS] == 2
    reason = str(mail_letter.headers[dead_letter.EXCEPTION])
    assert f"NotSentError: channel mail (E-Mail, 127.0.0.1:{mail_server.port})" in reason
    assert "Connection refused" in reason
    reason = str(chat_letter.headers[dead_letter.EXCEPTION])
    assert "error=404" in reason
    assert "s3cret" not in reason


def test_a_server_that_hangs_holds_up_no_other_rule(
    world: World, mail_server: MailServer, http_server: HttpServer, tmp_path: Path
) -> None:
    """A connection that is taken and never answered is the worst of faults: it takes all the time that it may."""
    mail_server.stop()
    with socket.create_server(("127.0.0.1", mail_server.port)):
        bus = _subscribed(world, mail_server, http_server, tmp_path, attempts=20)
        bus.publish_many([an_event(number) for number in range(5)])

        assert len(http_server.wait_for(5)) == 5
        wait_until(lambda: any(one.retried for one in bus.stats().subscriptions.values()), "Apprise to give up")
    mail_server.start()

    mail_server.wait_for(5)


def test_two_processes_share_the_messages_of_a_rule(
    world: World, notify: EventBus, mail_server: MailServer, http_server: HttpServer, tmp_path: Path
) -> None:
    """A second process is for availability: it must not double the mail."""
    _subscribed(world, mail_server, http_server, tmp_path, attempts=2)
    notify.publish_many([an_event(number, f"r-{number}") for number in range(10)])

    http_server.wait_for(10)
    mail_server.wait_for(10)
    assert sorted(mail_server.subjects) == sorted(f"VM.START of r-{number}" for number in range(10))
    assert len(http_server.posted) == 10
