"""``Notifier``: when it sends, when it is silent, and what it says of its silence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bus_amqp import Discard, Event
from bus_amqp.extension.notify import notifier
from bus_amqp.extension.notify.channel import Channel
from bus_amqp.extension.notify.message import Message, NotSentError, NotWrittenError
from bus_amqp.extension.notify.notifier import Notifier
from bus_amqp.extension.notify.rule_file import read_rules

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class FakeChannel(Channel):
    """Takes messages, unless it is told to fail."""

    def __init__(self) -> None:
        super().__init__("chat", "json://127.0.0.1:1")
        self.sent: list[Message] = []
        self.is_failing = False

    def send(self, message: Message) -> None:
        if self.is_failing:
            raise NotSentError("no")
        self.sent.append(message)

    @property
    def bodies(self) -> list[str]:
        return [message.body for message in self.sent]


class Desk:
    """A notifier of one rule, its channel, and the time."""

    def __init__(self, tmp_path: Path, keys: str) -> None:
        file = tmp_path / "rules.toml"
        file.write_text(
            "[channel.chat]\nurl = 'json://127.0.0.1:1'\n"
            f"[rule.a]\nchannels = ['chat']\nbody = '{{{{ details.n }}}}'\n{keys}\n"
        )
        self.channel = FakeChannel()
        self.seconds = 0.0
        [rule] = read_rules(file).rules
        self.notifier = Notifier(rule, self.channel, clock=lambda: self.seconds, now=lambda: NOW)

    def hear(self, n: int, resource: str = "", at: datetime = NOW) -> Event:
        event = Event(
            event_category="A",
            event_type="B",
            event_source="C",
            resource_uuid=resource,
            details={"n": n},
            event_time=at,
        )
        self.notifier.on_event(event)
        return event


def test_an_event_that_the_condition_is_not_for_is_passed_over(tmp_path: Path) -> None:
    """It is acknowledged without a word: it is no failure and nothing to be counted."""
    desk = Desk(tmp_path, "when = { field = 'details.n', above = 3 }")

    for number in range(6):
        desk.hear(number)

    assert desk.channel.bodies == ["4", "5"]


def test_a_second_delivery_sends_no_second_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least once is the bus's promise; twice is what nobody wants of a telephone.  The memory is bounded."""
    monkeypatch.setattr(notifier, "REMEMBERED", 2)
    desk = Desk(tmp_path, "")
    first = desk.hear(1)

    desk.notifier.on_event(first)
    assert desk.channel.bodies == ["1"]

    desk.hear(2)
    desk.hear(3)
    desk.notifier.on_event(first)
    assert desk.channel.bodies == ["1", "2", "3", "1"]


def test_a_message_that_was_not_taken_is_sent_when_the_event_comes_again(tmp_path: Path) -> None:
    """The error reaches the bus, which tries again; the failure is remembered as neither sent nor counted."""
    desk = Desk(tmp_path, "throttle = { messages = 1, window_seconds = 10 }")
    desk.channel.is_failing = True
    event = Event(event_category="A", event_type="B", event_source="C", details={"n": 1})
    for _ in range(3):
        with pytest.raises(NotSentError):
            desk.notifier.on_event(event)

    desk.channel.is_failing = False
    desk.notifier.on_event(event)

    assert desk.channel.bodies == ["1"]


def test_what_is_held_back_is_told_in_the_next_message(tmp_path: Path) -> None:
    """Once, and by a message that was taken; a second delivery of one that was held back counts once."""
    desk = Desk(tmp_path, "throttle = { messages = 1, window_seconds = 10, per = ['resource_uuid'] }")
    desk.hear(1, "x")
    held = desk.hear(2, "x")
    desk.notifier.on_event(held)
    desk.hear(3, "x")
    desk.hear(4, "y")
    assert desk.notifier.held_back == 2

    desk.seconds = 11
    desk.channel.is_failing = True
    with pytest.raises(NotSentError):
        desk.hear(5, "x")
    desk.channel.is_failing = False
    desk.hear(6, "x")
    desk.seconds = 22
    desk.hear(7, "x")

    assert desk.channel.bodies == [
        "1",
        "4",
        "6\n\n(2 more before this one were held back: at most 1 in 10 s)",
        "7",
    ]
    assert desk.notifier.held_back == 0
    assert repr(desk.notifier) == (
        "<Notifier of rule a to chat (JSON, 127.0.0.1:1), <Throttle at most 1 in 10 s, 0 held back>>"
    )


def test_a_template_may_tell_the_number_itself(tmp_path: Path) -> None:
    """Then it is not told twice."""
    desk = Desk(
        tmp_path, "subject = '{{ rule }}: {{ held_back }} more'\nthrottle = { messages = 1, window_seconds = 10 }"
    )
    desk.hear(1)
    desk.hear(2)
    desk.seconds = 11
    desk.hear(3)

    assert [(message.subject, message.body) for message in desk.channel.sent] == [
        ("a: 0 more", "1"),
        ("a: 1 more", "3"),
    ]


def test_an_old_event_is_discarded_with_the_reason(tmp_path: Path) -> None:
    """After a weekend without the process, Saturday's alerts help nobody; the bus counts and logs what is discarded."""
    desk = Desk(tmp_path, "max_age_seconds = 60")
    desk.hear(1, at=NOW - timedelta(seconds=60))

    with pytest.raises(Discard, match="rule a: 61 s old, and 60 s are the limit"):
        desk.hear(2, at=NOW - timedelta(seconds=61))

    assert desk.channel.bodies == ["1"]


def test_a_subject_is_one_line(tmp_path: Path) -> None:
    """What follows a line feed in a subject would be a header of the mail, written by whoever wrote the event."""
    desk = Desk(tmp_path, "subject = 'failed: {{ resource_uuid }}'")

    desk.hear(1, "x\r\nBcc: everybody@example.org")

    assert desk.channel.sent[0].subject == "failed: x Bcc: everybody@example.org"


def test_an_empty_body_is_no_message(tmp_path: Path) -> None:
    """Services refuse it with words that help nobody; here the rule and the event are named."""
    desk = Desk(tmp_path, "")
    object.__setattr__(desk.notifier.rule, "body", type(desk.notifier.rule.body)("{{ description }}"))

    with pytest.raises(NotWrittenError, match="rule a: the body is empty for event "):
        desk.hear(1)
