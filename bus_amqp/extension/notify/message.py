"""``Message``: what a rule makes of an event, and a channel sends.  A value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bus_amqp import EventBusException


class Severity(StrEnum):
    """How the receiving service shows it, by colour or sign.  Apprise's words."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Message:
    """Plain text.  ``subject`` is one line; services without a subject put it before the body."""

    subject: str
    body: str
    severity: Severity = Severity.INFO


class NotWrittenError(EventBusException):
    """A template could not be filled in from this event, and never will be: it is dead-lettered at once."""


class NotSentError(EventBusException):
    """A channel did not take a message; the bus tries it again by the rule's policy."""

    is_transient = True
