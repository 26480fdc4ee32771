"""``read_rules``: a rule file as checked rules.  It is refused as a whole, with the line of the first fault.

What a table may hold is in the models below; ``docs/guide/notify.md`` tells it for users.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from bus_amqp import EventTopic, InvalidArgumentError, RetryPolicy
from bus_amqp.extension.notify.channel import Channel
from bus_amqp.extension.notify.condition import AllOf, Condition
from bus_amqp.extension.notify.condition_table import condition_from
from bus_amqp.extension.notify.field import FieldPath, parse_field
from bus_amqp.extension.notify.message import NotWrittenError, Severity
from bus_amqp.extension.notify.rule import Rule, group_of
from bus_amqp.extension.notify.template import Template, TemplateFault
from bus_amqp.extension.notify.throttle import Limit
from bus_amqp.extension.suggestion import suggestion
from bus_amqp.extension.toml_file import Place, TomlFile, read_toml

SUBJECT: Final = "{{ event_type }} {{ resource_type }} {{ resource_uuid }}"
BODY: Final = "{{ description or event_type }}\n\n{{ event_time }}, {{ event_category }} from {{ event_source }}"
_NAME = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*", re.ASCII)
_LONGEST_GROUP = 64  # the bus's own limit


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _FileTables(_Table):
    channel: dict[str, Any] = Field(min_length=1)
    rule: dict[str, Any] = Field(min_length=1)


class _ChannelTable(_Table):
    url: str | None = None
    url_file: str | None = None
    pause_seconds: float | None = Field(default=None, ge=0, le=60)


class _RuleTable(_Table):
    topic: Any = None  # one table, or a list of them; absent: every event
    when: Any = None
    channels: list[str] = Field(min_length=1)
    subject: str = SUBJECT
    body: str = Field(default=BODY, min_length=1)
    severity: str = Severity.INFO
    throttle: Any = None
    retry: Any = None
    max_age_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class _ThrottleTable(_Table):
    messages: int = Field(ge=1, le=100_000)
    window_seconds: float = Field(gt=0, allow_inf_nan=False)
    per: list[str] = []


class _RetryTable(_Table):
    attempts: int = RetryPolicy().attempts
    delays_seconds: list[float] = list(RetryPolicy().delays_seconds)


@dataclass(frozen=True, slots=True)
class _ChannelDefinition:
    url: str = field(repr=False)  # secret
    pause_seconds: float | None


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file that was read and checked; every url in it is one that Apprise can use."""

    path: Path
    rules: tuple[Rule, ...]
    _channels: Mapping[str, _ChannelDefinition]
    _file: TomlFile = field(repr=False)

    def open_channel(self, name: str) -> Channel:
        """Return a channel of one's own: two threads do not share one."""
        return Channel(name, self._channels[name].url, self._channels[name].pause_seconds)

    def place_of(self, rule: Rule) -> str:
        """Return where a rule begins: ``rules.toml:12``."""
        return f"{self.path}:{self._file.line_of(('rule', rule.name))}"

    def check_connections(self) -> None:
        """Connect to each channel's address that can be told.  Raises ``SettingsError`` with the channel's line."""
        for name in self._channels:
            try:
                self.open_channel(name).check_connection()
            except InvalidArgumentError as exc:
                raise self._file.fault(f"channel {name}: {exc}", ("channel", name)) from exc

    def rule(self, name: str) -> Rule:
        """Return a rule by its name.  Raises ``InvalidArgumentError``."""
        for rule in self.rules:
            if rule.name == name:
                return rule
        names = [rule.name for rule in self.rules]
        raise InvalidArgumentError(f"{self.path} has no rule {name}: {suggestion(name, names)}")


def read_rules(path: Path | str) -> RuleFile:
    """Return the rules.  Raises ``SettingsError``: ``rules.toml:12: unknown key chanel: did you mean channel?``."""
    file = read_toml(Path(path))
    tables = file.checked(_FileTables, file.data)
    channels = {name: _channel(file, name, table) for name, table in tables.channel.items()}
    rules = tuple(_rule(file, name, table, channels) for name, table in tables.rule.items())
    return RuleFile(file.path, rules, channels, file)


def _channel(file: TomlFile, name: str, value: Any) -> _ChannelDefinition:
    place: Place = ("channel", name)
    _check_name(file, "channel", name)
    table = file.checked(_ChannelTable, value, place)
    if (table.url is None) is (table.url_file is None):
        raise file.fault(f"channel {name} needs either url or url_file", place)
    key = "url" if table.url is not None else "url_file"
    url = table.url if table.url is not None else _read_secret(file, table.url_file or "", (*place, key))
    try:
        Channel(name, url)
    except InvalidArgumentError as exc:
        raise file.fault(f"channel {name}: {exc}", (*place, key)) from exc
    return _ChannelDefinition(url, table.pause_seconds)


def _read_secret(file: TomlFile, name: str, place: Place) -> str:
    path = file.path.parent / name
    if "\0" in name:
        raise file.fault(f"{name!r} is no name of a file", place)
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise file.fault(f"{path}: {exc.strerror}", place) from exc
    except UnicodeDecodeError as exc:
        raise file.fault(f"{path}: not UTF-8", place) from exc


def _rule(file: TomlFile, name: str, value: Any, channels: Collection[str]) -> Rule:
    place: Place = ("rule", name)
    _check_name(file, "rule", name)
    table = file.checked(_RuleTable, value, place)
    _check_channels(file, name, table.channels, channels)
    limit, per = _limit(file, table.throttle, (*place, "throttle"))
    if table.severity not in list(Severity):
        raise file.fault(f"severity: one of {', '.join(Severity)} is needed", (*place, "severity"))
    return Rule(
        name=name,
        topics=_topics(file, table.topic, (*place, "topic")),
        condition=_condition(file, table.when, (*place, "when")),
        channels=tuple(table.channels),
        subject=_template(file, table.subject, (*place, "subject")),
        body=_template(file, table.body, (*place, "body")),
        severity=Severity(table.severity),
        limit=limit,
        limit_per=per,
        retry=_retry(file, table.retry, (*place, "retry")),
        max_age_seconds=table.max_age_seconds,
    )


def _check_name(file: TomlFile, kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise file.fault(
            f"{kind} {name!r}: a name is of letters, digits, _ and single hyphens between them", (kind, name)
        )


def _check_channels(file: TomlFile, rule: str, channels: list[str], known: Collection[str]) -> None:
    for index, channel in enumerate(channels):
        place: Place = ("rule", rule, "channels", index)
        if channel not in known:
            raise file.fault(f"there is no channel {channel}: {suggestion(channel, known)}", place)
        if channel in channels[:index]:
            raise file.fault(f"channel {channel!r} is named twice", place)
        if (length := len(group_of(rule, channel))) > _LONGEST_GROUP:
            raise file.fault(
                f"group {group_of(rule, channel)!r} has {length} signs, and {_LONGEST_GROUP} are the limit: "
                "shorten the name of the rule or of the channel",
                place,
            )


def _topics(file: TomlFile, value: Any, place: Place) -> tuple[EventTopic, ...]:
    if value is None:
        return (EventTopic(),)
    if not isinstance(value, list):
        return (_topic(file, value, place),)
    if not value:
        raise file.fault("topic: an empty list hears nothing; leave the key away for every event", place)
    return tuple(_topic(file, one, (*place, index)) for index, one in enumerate(value))


def _topic(file: TomlFile, value: Any, place: Place) -> EventTopic:
    fields = list(EventTopic.model_fields)
    if not isinstance(value, Mapping):
        raise file.fault(f"a topic is a table with some of {', '.join(fields)}", place)
    for key, wanted in value.items():
        if key not in fields:
            raise file.fault(f"unknown key {key}: {suggestion(key, fields)}", (*place, key))
        try:
            EventTopic(**{key: wanted})  # one at a time: so its line is known
        except InvalidArgumentError as exc:
            raise file.fault(str(exc).replace("Value error, ", ""), (*place, key)) from exc
    return EventTopic(**value)


def _condition(file: TomlFile, value: Any, place: Place) -> Condition:
    return AllOf(()) if value is None else condition_from(file, value, place)


def _template(file: TomlFile, text: str, place: Place) -> Template:
    try:
        return Template(text)
    except TemplateFault as exc:
        raise file.fault_below(f"{place[-1]}: {exc}", place, exc.line) from exc


def _limit(file: TomlFile, value: Any, place: Place) -> tuple[Limit | None, tuple[FieldPath, ...]]:
    if value is None:
        return None, ()
    table = file.checked(_ThrottleTable, value, place)
    per = []
    for index, name in enumerate(table.per):
        try:
            per.append(parse_field(name))
        except InvalidArgumentError as exc:
            raise file.fault(f"per: {exc}", (*place, "per", index)) from exc
    return Limit(table.messages, table.window_seconds), tuple(per)


def _retry(file: TomlFile, value: Any, place: Place) -> RetryPolicy:
    table = file.checked(_RetryTable, {} if value is None else value, place)
    try:
        # What cannot be written from an event cannot be written from it later either.
        return RetryPolicy(table.attempts, tuple(table.delays_seconds), no_retry_on=(NotWrittenError,))
    except InvalidArgumentError as exc:
        raise file.fault(str(exc), place) from exc
