"""``read_rules``: what a rule file may say, and how it is told what it may not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus_amqp import Event, EventTopic, InvalidArgumentError, RetryPolicy, SettingsError
from bus_amqp.extension.notify.field import parse_field
from bus_amqp.extension.notify.message import NotWrittenError, Severity
from bus_amqp.extension.notify.rule_file import RuleFile, read_rules
from bus_amqp.extension.notify.throttle import Limit

EXAMPLE = Path(__file__).parents[4] / "docs/examples/notify.toml"
HEAD = '[channel.mail]\nurl = "mailto://bus:s3cret@example.org"\n'  # two lines
RULE = HEAD + '[rule.a]\nchannels = ["mail"]\n'  # four lines


def read(tmp_path: Path, text: str) -> RuleFile:
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    return read_rules(file)


def test_the_example_of_the_guide_is_a_rule_file() -> None:
    """Who starts from the example must not start with a fault."""
    alerts, failed, storage = read_rules(EXAMPLE).rules

    assert alerts.topics == (EventTopic(event_category="AlertEvent"),)
    assert alerts.limit_per == (parse_field("event_type"), parse_field("resource_uuid"))
    assert [topic.event_type for topic in failed.topics] == ["VM.START", "VM.MIGRATE.#"]
    assert failed.severity is Severity.FAILURE
    assert failed.limit == Limit(3, 900)
    assert failed.retry == RetryPolicy(6, (5, 30, 120, 600, 3600), no_retry_on=(NotWrittenError,))
    assert failed.max_age_seconds == 7200
    event = Event(
        event_category="ActionEvent",
        event_type="VM.START",
        event_source="management-server",
        resource_uuid="6f2d",
        description="no capacity",
        details={"status": "Failed", "account": "billing", "error": "InsufficientCapacity"},
    )
    assert failed.condition.holds(event)
    message = failed.message_for(event, held_back=2)
    assert message.subject == "VM.START failed: 6f2d"
    assert message.body.splitlines()[-2:] == ["Error    InsufficientCapacity", "2 more like this were held back."]
    assert storage.group_of("operations") == "notify-storage-fills-up--operations"


def test_a_rule_needs_no_more_than_its_channels(tmp_path: Path) -> None:
    """Every event, a subject and a body that say what happened, no throttling, the bus's own retry."""
    file = read(tmp_path, RULE)

    [rule] = file.rules
    assert rule.topics == (EventTopic(),)
    assert rule.condition.in_words() == "always"
    assert (rule.limit, rule.limit_per, rule.max_age_seconds) == (None, (), None)
    assert rule.retry == RetryPolicy(no_retry_on=(NotWrittenError,))
    event = Event(event_category="A", event_type="B.C", event_source="D", event_time=datetime(2026, 3, 1, tzinfo=UTC))
    message = rule.message_for(event)
    assert (message.subject, message.body) == ("B.C", "B.C\n\n2026-03-01 00:00:00 UTC, A from D")
    assert file.rule("a") is rule
    assert file.place_of(rule) == f"{tmp_path}/rules.toml:3"
    assert "s3cret" not in repr(file)
    with pytest.raises(InvalidArgumentError, match="has no rule b: "):
        file.rule("b")


def test_a_url_may_be_in_a_file_beside_the_rules(tmp_path: Path) -> None:
    """Rules go into version control, secrets do not."""
    (tmp_path / "mail.url").write_text("mailto://bus:s3cret@example.org\n")

    file = read(tmp_path, RULE.replace('url = "mailto://bus:s3cret@example.org"', 'url_file = "mail.url"'))

    assert str(file.open_channel("mail")) == "mail (E-Mail, example.org:25)"


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("[channel.mail\n", 1, "Expected ']'"),
        (HEAD + "a = 1\na = 2\n", 4, "Cannot overwrite a value"),
        ("", 1, "channel is missing"),
        (HEAD, 1, "rule is missing"),
        (RULE + "[rules.b]\n", 5, "unknown key rules: did you mean rule?"),
        (HEAD + '[rule.a]\nchanels = ["mail"]\n', 3, "channels is missing"),
        (RULE + 'chanel = "x"\n', 5, "unknown key chanel: did you mean channels?"),
        (RULE + "[rule.b]\nchannels = []\n", 6, "channels: List should have at least 1 item"),
        (RULE + '[rule.b]\nchannels = ["mail",\n  "mial"]\n', 7, "there is no channel mial: did you mean mail?"),
        (RULE + '[rule.b]\nchannels = ["mail", "mail"]\n', 6, "channel 'mail' is named twice"),
        (RULE + '[rule."b c"]\nchannels = ["mail"]\n', 5, "rule 'b c': a name is of letters"),
        (RULE + '[rule.b--c]\nchannels = ["mail"]\n', 5, "single hyphens"),
        (RULE + f'[rule.{"b" * 60}]\nchannels = ["mail"]\n', 6, "has 73 signs, and 64 are the limit"),
        ('[channel.m]\nurl = "mialto://a@b.org"\n[rule.a]\nchannels=["m"]\n', 2, "channel m: Apprise has no service"),
        ("[channel.m]\n[rule.a]\nchannels=['m']\n", 1, "channel m needs either url or url_file"),
        ("[channel.m]\nurl_file='gone'\n[rule.a]\nchannels=['m']\n", 2, "gone: No such file"),
        ('[channel.m]\nurl_file = "a\\u0000b"\n[rule.a]\nchannels = ["m"]\n', 2, "no name of a file"),
        ("[channel.m]\nurl=1\n[rule.a]\nchannels=['m']\n", 2, "url: Input should be a valid string"),
        (HEAD + "pause_seconds = -1\n[rule.a]\nchannels=['mail']\n", 3, "pause_seconds: Input should be greater"),
        (RULE + "topic = { event_typ = 'VM.#' }\n", 5, "unknown key event_typ: did you mean event_type?"),
        (RULE + "topic = [\n  { event_type = 'A' },\n  { event_type = 'VM*' },\n]\n", 7, "stand for whole words"),
        (RULE + "topic = [{ event_category = 1 }]\n", 5, "event_category: Input should be a valid string"),
        (RULE + "topic = 'VM.#'\n", 5, "a topic is a table"),
        (RULE + "topic = []\n", 5, "an empty list hears nothing"),
        (RULE + "when = 'details.x > 3'\n", 5, "a condition is a table"),
        (RULE + "when = {}\n", 5, "a condition needs one of 'field', 'all', 'any', 'not'"),
        (RULE + "when = { field = 'details.x' }\n", 5, "compared by one or more of equals, in, above"),
        (RULE + "[rule.a.when]\nfield = 'details.x'\nabov = 3\n", 7, "unknown key abov: did you mean above?"),
        (RULE + "[rule.a.when]\nfield = 'descripton'\nequals = 3\n", 6, "no field descripton: did you mean"),
        (RULE + "[rule.a.when]\nall = [\n  { field = 'details.x', above = 'a' },\n]\n", 7, "above: a number is needed"),
        (RULE + "when = { field = 'details.x', above = nan }\n", 5, "above: a number is needed"),
        (RULE + "when = { field = 'details.x', equals = inf }\n", 5, "a number that no event can have"),
        (RULE + "when = { field = 'details.x', equals = 2026-01-01 }\n", 5, "a date as text"),
        (RULE + "when = { field = 'details.x', in = 'a' }\n", 5, "in: a list of values is needed"),
        (RULE + "when = { field = 'details.x', exists = 1 }\n", 5, "exists: true or false is needed"),
        (RULE + "when = { field = 'details.x', matches = '(' }\n", 5, "no regular expression: missing )"),
        (RULE + "when = { all = [], any = [] }\n", 5, "'all' stands alone in its table"),
        (RULE + "when = { any = [] }\n", 5, "'any' needs a list of conditions"),
        (RULE + "when = { not = [] }\n", 5, "a condition is a table"),
        (RULE + "when = " + "{ not = " * 21 + "{}" + " }" * 21 + "\n", 5, "more than 20 deep"),
        (RULE + "subject = '{{ event_tpe }}'\n", 5, "subject: unknown variable event_tpe: did you mean event_type?"),
        (RULE + 'body = """\none\n{{ two\n"""\n', 7, "body: unexpected end of template"),
        (RULE + "body = ''\n", 5, "body: String should have at least 1 character"),
        (RULE + "severity = 'bad'\n", 5, "severity: one of info, success, warning, failure is needed"),
        (RULE + "max_age_seconds = 0\n", 5, "max_age_seconds: Input should be greater than 0"),
        (RULE + "throttle = 3\n", 5, "Input should be a valid dictionary"),
        (HEAD + "[[rule.a]]\nchannels = ['mail']\n", 3, "Input should be a valid dictionary"),
        (RULE + "throttle = { messages = 3 }\n", 5, "window_seconds is missing"),
        (RULE + "throttle = { messages = 0, window_seconds = 3 }\n", 5, "messages: Input should be greater"),
        (RULE + "throttle = { messages = 1, window_seconds = 3, per = ['x'] }\n", 5, "per: an event has no field x"),
        (RULE + "retry = { atempts = 3 }\n", 5, "unknown key atempts: did you mean attempts?"),
        (RULE + "[rule.a.retry]\nattempts = 0\n", 5, "attempts must be a whole number from 1"),
        (RULE + "retry = { delays_seconds = [7200] }\n", 5, "longer than the longest wait"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, line: int, fault: str) -> None:
    """A file with one wrong rule is refused as a whole: a rule that is left out silently is missed when it matters."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)

    told = str(caught.value)
    assert told.startswith(f"{tmp_path}/rules.toml:{line}: ")
    assert fault in told
    assert "s3cret" not in told
    assert "Table" not in told, "a name of our code says nothing to who writes rules"


def test_a_channel_that_cannot_be_reached_is_told_with_its_line(tmp_path: Path) -> None:
    """Asked for with --check-connections: the address of a mail server that has moved is found before a mail is."""
    file = read(tmp_path, RULE.replace("example.org", "127.0.0.1:1?from=a@b.org&to=c@d.org"))

    with pytest.raises(SettingsError, match=r"rules.toml:1: channel mail: 127.0.0.1:1 cannot be reached"):
        file.check_connections()
