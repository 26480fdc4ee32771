"""``bus_amqp.source.secret_text``: secrets in text that no parser reads."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.source.secret_names import SecretNames
from bus_amqp.source.secret_text import REDACTED, ends_in_secret_name, without_secrets

NAMES = SecretNames()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://host/api?apikey=abc%3d&id=7&signature=d+e/f=", "https://host/api?apikey=*&id=7&signature=*"),
        ("amqp://admin:se:cr:et@host:5672/", "amqp://admin:*@host:5672/"),
        ("Authorization: Bearer abc.def", "Authorization: *"),
        ("Job(password='x y', id=1)", "Job(password='*', id=1)"),
        ("{password=a,b, id=1}", "{password=*, id=1}"),
        ("details[0].password=abc&id=1", "details[0].password=*&id=1"),
        ("password[0]=abc", "password[0]=*"),
        ("Reset session key: abc done", "Reset session key: * done"),
        ('{"password": "a\\"b", "id": "1', '{"password": "*", "id": "1'),
        ('{\\"password\\":\\"a\\\\\\"b\\",\\"id\\":7', '{\\"password\\":\\"*\\",\\"id\\":7'),
        ('{"password":"cut off here', '{"password":"*"'),
        ('{"credentials": {"name": "a", "and', '{"credentials": *'),
        ("password\\u003dabc", "password\\u003d*"),
        ("at 12:30 the id=7 of 2026-01-01T00:00:00 is ok", "at 12:30 the id=7 of 2026-01-01T00:00:00 is ok"),
        ("url=https://host/?token=abc", "url=https://host/?token=*"),
        ("password=", "password="),
        ("amqp://admin:se@cr@et@host:5672/", "amqp://admin:*@host:5672/"),
        ("mysqldump --password abc --host h", "mysqldump --password * --host h"),
        ("curl -token 'a b' url", "curl -token '*' url"),
        ("Command '['mysql', '--password', 'a b']' returned 1", "Command '['mysql', '--password', '*']' returned 1"),
        ("re-token a, --no-pager b, --password --force", "re-token a, --no-pager b, --password --force"),
    ],
)
def test_a_secret_in_text_is_withheld(text: str, told: str) -> None:
    """Urls, printed objects and JSON that was cut short stand in descriptions and results of jobs."""
    assert without_secrets(text, NAMES) == told.replace("*", REDACTED)


def test_a_private_key_is_known_by_its_first_line() -> None:
    """It is the one secret that says what it is; half of one is a secret too."""
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"

    assert without_secrets(f"a {key} b {key[:40]}", NAMES) == f"a {REDACTED} b {REDACTED}"


@pytest.mark.parametrize(
    ("text", "answer"), [('"password" : ', True), ("a secret=", True), ("id=", False), ("", False)]
)
def test_a_name_may_stand_before_its_value(text: str, answer: bool) -> None:
    """What follows is read by another parser, which has to be told."""
    assert ends_in_secret_name(text, NAMES) is answer


@given(st.text(st.sampled_from("ab._-[]:=\"'\\ &,;{/@?\u00e9"), max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    """Where nothing has the name of a secret and no url a user, the text comes back as it was."""
    assert without_secrets(text, NAMES) == text or "://" in text


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a=",
        "a:",
        "a ",
        'a="',
        "password",
        "password=",
        "://",
        "\\",
        '"',
        "[",
        "a[b]",
        "-",
        "--a ",
        "--password '",
        "://a:@",
    ],
)
def test_a_long_text_takes_no_time(piece: str) -> None:
    """A result of a job may be a megabyte: read again from each letter it would keep the caller for minutes."""
    text = piece * (500_000 // len(piece))
    began = time.process_time()

    without_secrets(text, NAMES)

    assert time.process_time() - began < 5
