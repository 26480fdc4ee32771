"""``Rule``: which events make which message, for which channels.  A value; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bus_amqp import Event, EventTopic, RetryPolicy
from bus_amqp.extension.notify.condition import Condition
from bus_amqp.extension.notify.field import MISSING, FieldPath
from bus_amqp.extension.notify.message import Message, NotWrittenError, Severity
from bus_amqp.extension.notify.template import HELD_BACK, Template
from bus_amqp.extension.notify.throttle import Limit

_LONGEST_KEY: Final = 200
# Signs; a mail server refuses a message with a line of more than 998 bytes, and a word without blanks is one line.
LONGEST_SUBJECT: Final = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """One table ``[rule.<name>]`` of a rule file, checked."""

    name: str
    topics: tuple[EventTopic, ...]
    condition: Condition
    channels: tuple[str, ...]
    subject: Template
    body: Template
    severity: Severity
    limit: Limit | None
    limit_per: tuple[FieldPath, ...]
    retry: RetryPolicy
    max_age_seconds: float | None

    def group_of(self, channel: str) -> str:
        """Return the group that sends this rule's messages to the channel.

        A group for each pair: a channel that fails has its events come back to itself alone, and those that have
        taken the message do not get it again.
        """
        return group_of(self.name, channel)

    def key_of(self, event: Event) -> str:
        """Return what the throttling counts by: the values of its fields in this event."""
        values = [path.value_of(event) for path in self.limit_per]
        key = "\0".join("" if value is MISSING else str(value) for value in values)
        # Ten thousand keys are remembered, and a value may be as long as an event.
        return key if len(key) <= _LONGEST_KEY else sha256(key.encode(errors="surrogatepass")).hexdigest()

    def message_for(self, event: Event, held_back: int = 0) -> Message:
        """Return the message.  Raises ``NotWrittenError``."""
        values = {name: getattr(event, name) for name in type(event).model_fields}
        values |= {"rule": self.name, HELD_BACK: held_back}
        # A subject is one line, whatever the event says: what follows a line feed would be a header of the mail.
        subject = _header(" ".join(self.subject.write(values).split()))
        body = self.body.write(values).strip()
        if not body:
            raise NotWrittenError(f"rule {self.name}: the body is empty for event {event.event_id}")
        if held_back and HELD_BACK not in self.subject.variables | self.body.variables:
            body += f"\n\n({held_back} more before this one were held back: {self.limit})"
        return Message(subject, body, self.severity)

    def in_words(self) -> Iterator[str]:
        """Yield lines that tell an operator what it does."""
        yield "hears    " + "; or ".join(map(_told, self.topics))
        yield f"when     {self.condition.in_words()}"
        if self.limit is not None:
            per = ", ".join(map(str, self.limit_per))
            yield f"limit    {self.limit}{f' for each {per}' if per else ''}"
        if self.max_age_seconds is not None:
            yield f"age      {self.max_age_seconds:g} s at most"
        delays = ", ".join(f"{delay:g}" for delay in self.retry.delays_seconds)
        yield f"tries    {self.retry.attempts}" + (f", after {delays} s" if self.retry.attempts > 1 else "")


def group_of(rule: str, channel: str) -> str:
    """Return the group's name.  Names have no double hyphen, so no two pairs share one."""
    return f"notify-{rule}--{channel}"


def _header(text: str) -> str:
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= LONGEST_SUBJECT else f"{shown[: LONGEST_SUBJECT - 3]}..."


def _told(topic: EventTopic) -> str:
    asked = topic.model_dump(exclude_none=True)
    return ", ".join(f"{name} = {value!r}" for name, value in asked.items()) or "every event"
