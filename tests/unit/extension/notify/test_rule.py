"""``Rule``: what it counts by, and what it writes."""

from pathlib import Path

import pytest

from bus_amqp import Event
from bus_amqp.extension.notify.rule import LONGEST_SUBJECT
from bus_amqp.extension.notify.rule_file import read_rules


@pytest.mark.parametrize("length", [3, 100_000])
def test_a_key_is_as_good_as_its_values_and_never_as_long(tmp_path: Path, length: int) -> None:
    """Ten thousand keys are remembered: with values of 100 kB that would be a gigabyte in each subscription."""
    file = tmp_path / "rules.toml"
    throttle = "throttle = { messages = 1, window_seconds = 10, per = ['details.a', 'details.b'] }"
    file.write_text(f"[channel.chat]\nurl = 'json://127.0.0.1:1'\n[rule.a]\nchannels = ['chat']\n{throttle}\n")
    [rule] = read_rules(file).rules

    def key(a: str, b: str) -> str:
        return rule.key_of(Event(event_category="A", event_type="B", event_source="C", details={"a": a, "b": b}))

    some, other = "x" * length, "x" * (length - 1) + "y"
    assert key(some, "b") == key(some, "b")
    assert len({key(some, "b"), key(other, "b"), key("b", some), key(some, ""), key("", some)}) == 5
    assert len(key(some, other)) <= 200


@pytest.mark.parametrize(
    ("description", "subject"),
    [
        ("host 7 is short of memory", "host 7 is short of memory"),
        ("a\r\nBcc: evil@example.org", "a Bcc: evil@example.org"),
        ("nul\0 bell\a escape\x1b[31m", "nul? bell? escape?[31m"),
        ("größer \N{GRINNING FACE}", "größer \N{GRINNING FACE}"),
        ("x" * LONGEST_SUBJECT, "x" * LONGEST_SUBJECT),
        ("x" * 9000, "x" * (LONGEST_SUBJECT - 3) + "..."),
    ],
)
def test_a_subject_is_one_line_that_every_mail_server_takes(tmp_path: Path, description: str, subject: str) -> None:
    """A mail with a line of 9,000 bytes is refused at each attempt: the alert would never arrive."""
    file = tmp_path / "rules.toml"
    file.write_text(
        "[channel.chat]\nurl = 'json://127.0.0.1:1'\n[rule.a]\nchannels = ['chat']\nsubject = '{{ description }}'\n"
    )
    [rule] = read_rules(file).rules
    event = Event(event_category="A", event_type="B", event_source="C", description=description)

    message = rule.message_for(event)

    assert message.subject == subject
    assert description.strip() in message.body
