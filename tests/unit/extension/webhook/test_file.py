"""The definitions: what they mean, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus_amqp import EventTopic, SettingsError
from bus_amqp.extension.webhook.definition import ORDERED_RETRY, RETRY
from bus_amqp.extension.webhook.errors import ForbiddenAddressError
from bus_amqp.extension.webhook.file import load_definitions, secrets_of
from tests.certificates import Authority

SECRET = 'secret = "0123456789abcdef"'


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "webhooks.toml"
    file.write_text(text, encoding="utf-8")
    return file


def one_hook(lines: str, *, url: str = "https://hooks.example/", above: str = "", secret: str = SECRET) -> str:
    return f'{above}[webhook.crm]\nurl = "{url}"\n{secret}\n{lines}\n'


def test_a_webhook_is_four_lines(tmp_path: Path) -> None:
    """Everything else has a default that does no harm."""
    definitions = load_definitions(written(tmp_path, one_hook("")))

    (webhook,) = definitions.webhooks
    assert (webhook.group, webhook.topics, webhook.enabled) == ("webhook-crm", (EventTopic(),), True)
    assert webhook.scope.is_global
    assert secrets_of(webhook) == ("0123456789abcdef",)
    assert webhook.policy.delays_seconds == RETRY.delays_seconds
    assert webhook.policy.no_retry_on == (ForbiddenAddressError,)
    assert definitions.history_file == tmp_path / "webhooks.history.db"
    assert (definitions.network.allow, definitions.history_deliveries) == ((), 1000)


def test_everything_can_be_said(tmp_path: Path) -> None:
    """The keys of the guide, each with a value that is not its default."""
    Authority(tmp_path, "ca")
    (tmp_path / "crm.secret").write_text("new-secret-0123456789\n\nold-secret-0123456789\n")
    text = one_hook(
        """
topic = [
  { event_category = "UsageEvent", event_type = "VM.#" },
  { resource_type = "Volume", resource_uuid = "u", event_source = "s" },
]
account = "a-1"
domain = "ROOT/acme"
subdomains = false
enabled = false
allow_http = true
headers = { Authorization = "Bearer x" }
ca_file = "ca.pem"
timeout_seconds = 3.5
workers = 2
ordered = true
retry = { attempts = 3, delays_seconds = [1, 2] }
""",
        url="http://10.1.2.3:8080/x",
        secret='secret_file = "crm.secret"',
        above='[network]\nallow = ["10.0.0.0/8", "fd00::/8"]\ndeny = ["10.9.0.0/16"]\nports = [8080]\n'
        '[history]\nfile = "h.db"\ndeliveries = 5\n',
    )

    definitions = load_definitions(str(written(tmp_path, text)))

    webhook = definitions.webhook("crm")
    assert webhook.topics == (
        EventTopic(event_category="UsageEvent", event_type="VM.#"),
        EventTopic(resource_type="Volume", resource_uuid="u", event_source="s"),
    )
    assert (webhook.scope.account, webhook.scope.domain, webhook.scope.subdomains) == ("a-1", "ROOT/acme", False)
    assert secrets_of(webhook) == ("new-secret-0123456789", "old-secret-0123456789")
    assert webhook.ca_file == tmp_path / "ca.pem"
    assert (webhook.policy.attempts, webhook.policy.delays_seconds, webhook.policy.keep_order) == (3, (1, 2), True)
    assert (definitions.history_file, definitions.history_deliveries) == (tmp_path / "h.db", 5)


def test_a_secret_that_is_changed_in_its_file_is_used_at_once(tmp_path: Path) -> None:
    """A restart of the process must not be a part of changing a secret."""
    secret = tmp_path / "crm.secret"
    secret.write_text("the-first-secret-of-all")
    (webhook,) = load_definitions(written(tmp_path, one_hook("", secret='secret_file = "crm.secret"'))).webhooks

    secret.write_text("the-second-secret-of-all\nthe-first-secret-of-all")

    assert secrets_of(webhook) == ("the-second-secret-of-all", "the-first-secret-of-all")


def test_an_ordered_webhook_waits_in_the_process_for_less(tmp_path: Path) -> None:
    """It holds the event while it waits, and RabbitMQ ends a consumer that holds one for half an hour."""
    (webhook,) = load_definitions(written(tmp_path, one_hook("ordered = true"))).webhooks

    assert webhook.policy.delays_seconds == ORDERED_RETRY.delays_seconds
    assert sum(ORDERED_RETRY.delays_seconds) + 2 * ORDERED_RETRY.delays_seconds[-1] <= 1200


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (one_hook('ulr = "x"'), 4, "unknown key ulr: did you mean url?"),
        (one_hook('name = "x"'), 4, "unknown key name: [webhook.crm] is the name"),
        (one_hook("", above="[netwrok]\n"), 1, "unknown key netwrok: did you mean network?"),
        (one_hook("", url="http://hooks.example/"), 2, "allow_http"),
        (one_hook("", url="https://127.0.0.1/"), 2, "127.0.0.1 is refused (loopback)"),
        (one_hook("", url="https://[::ffff:a00:1]/"), 2, "IPv4-mapped"),
        (one_hook("", url="https://2130706433/"), 2, "ends in a number"),
        (one_hook("", url="https://u:s3cret@hooks.example/"), 2, "user or password"),
        (one_hook("", url="https://hooks.example:8443/", above="[network]\nports = [443]\n"), 4, "port 8443"),
        (one_hook("", url="https://8.8.8.8/", above='[network]\ndeny = ["8.8.8.8/32"]\n'), 4, "denied"),
        (one_hook("", above='[network]\nallow = [\n"10.0.0.1/8"]\n'), 2, "has host bits set"),
        (one_hook("", above="[network]\nallow = [10]\n"), 2, "is no network"),
        (one_hook("", above="[network]\nports = [0]\n"), 2, "network.ports.0"),
        (one_hook('topic = { event_type = "VM*" }'), 4, "whole words"),
        (one_hook('topic = [{ event_type = "VM.#" }, { event_typ = "x" }]'), 4, "unknown key topic.1.event_typ"),
        (one_hook("topic = []"), 4, "topic: "),
        (one_hook("[[webhook.crm.topic]]\nevent_type = 'A..B'"), 4, "empty word"),
        (one_hook('domain = "//"'), 4, "a domain is"),
        (one_hook("", secret=""), 1, "how the receiver knows"),
        (one_hook("unsigned = true"), 1, "how the receiver knows"),
        (one_hook("", secret='secret = "short"'), 3, "16 to 1024"),
        (one_hook("", secret='secret = ["0123456789abcdef", "0123456789abcdeg", "0123456789abcdeh"]'), 3, "one secret"),
        (one_hook("", secret='secret_file = "gone"'), 3, "there is no file"),
        (one_hook('ca_file = "gone"'), 4, "there is no file"),
        (one_hook('ca_file = "webhooks.toml"'), 4, "ca_file: "),
        (one_hook('ca_file = "webhooks.toml"\nenabled = false'), 4, "ca_file: "),
        ('[history]\nfile = "a\\u0000b"\n' + one_hook(""), 2, "no name of a file"),
        (one_hook('topic = { event_tipe = "x" }'), 4, "unknown key topic.event_tipe"),
        (one_hook('[webhook.crm.topic]\nevent_type = "x"\nevent_tipe = "x"'), 6, "unknown key topic.event_tipe"),
        (one_hook("topic = { event_type = 1 }"), 4, "topic.event_type: Input should be"),
        (one_hook('headers = { "X-Bus-Event-Id" = "1" }'), 4, "set by the bus"),
        (one_hook('headers = { host = "x" }'), 4, "set by the bus"),
        (one_hook('headers = { "Bad Name" = "x" }'), 4, "no name of a header"),
        (one_hook('headers = { X = "a\\r\\nY: b" }'), 4, "printable ASCII"),
        (one_hook('headers = { X = "a", x = "b" }'), 4, "two values"),
        (one_hook("timeout_seconds = 26"), 4, "less than or equal to 25"),
        (one_hook("workers = 0"), 4, "greater than or equal to 1"),
        (one_hook("retry = { attempts = 0, delays_seconds = [1] }"), 4, "attempts"),
        (one_hook("retry = { attempts = 2, delays_seconds = [7200] }"), 4, "longest wait"),
        (one_hook("ordered = true\nretry = { attempts = 3, delays_seconds = [3600] }"), 1, "ordered: the delays"),
        (one_hook("") + one_hook(""), 5, "Cannot declare"),
        (one_hook("").replace("crm", '"a.b"'), 1, "name: use 1 to 56"),
        ("[history]\ndeliveries = 0\n" + one_hook(""), 2, "history.deliveries"),
        ("[webhook]\n", 1, "webhook"),
        ("", 1, "webhook is missing"),
        ("[webhook\n", 1, "Expected"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    """At the start, where somebody looks; and where he has to look."""
    file = written(tmp_path, text)

    with pytest.raises(SettingsError) as caught:
        load_definitions(file)

    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_name_that_leads_nowhere_yet_does_not_keep_the_process_from_starting(tmp_path: Path) -> None:
    """What a name leads to may change; it is looked up, and checked, for each connection."""
    assert load_definitions(written(tmp_path, one_hook("", url="https://gone.invalid/"))).webhooks


@pytest.mark.parametrize(("content", "told"), [(b"", "one secret"), (b"short", "16 to 1024"), (b"\xff", "not UTF-8")])
def test_a_bad_secret_file_is_refused_at_the_start(tmp_path: Path, content: bytes, told: str) -> None:
    """Not at the first event, in the night."""
    (tmp_path / "s").write_bytes(content)

    with pytest.raises(SettingsError, match=rf"webhooks\.toml:3: secret_file .*{told}"):
        load_definitions(written(tmp_path, one_hook("", secret='secret_file = "s"')))


def test_a_webhook_that_is_not_defined_is_told_with_those_that_are(tmp_path: Path) -> None:
    """A name from the command line is misspelt as easily as a key."""
    with pytest.raises(SettingsError, match=r"no webhook 'cmr': crm"):
        load_definitions(written(tmp_path, one_hook(""))).webhook("cmr")
