"""An event of no consequence that a rule would hear, to try its channels with.  Pure."""

from __future__ import annotations

from dataclasses import replace

from bus_amqp import Event, EventTopic
from bus_amqp.extension.notify.message import Message
from bus_amqp.extension.notify.rule import Rule

_SOURCE = "bus-amqp-notify"


def trial_message(rule: Rule) -> Message:
    """Return the rule's message for the trial event, marked as a test.  Raises ``NotWrittenError``."""
    message = rule.message_for(trial_event(rule.topics[0]))
    return replace(message, subject=f"[test] {message.subject}")


def trial_event(topic: EventTopic) -> Event:
    """Return an event of that topic, without details."""
    words = (topic.event_type or "#").split(".")
    return Event(
        event_category=topic.event_category or "ActionEvent",
        event_type=".".join("TEST" if word in ("*", "#") else word for word in words),
        event_source=topic.event_source or _SOURCE,
        resource_type=topic.resource_type or "",
        resource_uuid=topic.resource_uuid or "",
        description="This is a test of a notification rule. Nothing has happened.",
    )
