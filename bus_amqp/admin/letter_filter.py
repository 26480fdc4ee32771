"""``LetterFilter``: which dead letters an operator means.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bus_amqp.admin.letter import Letter
from bus_amqp.topic import EventTopic

EVERYTHING = EventTopic()


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """All conditions hold at once; the default is every letter.

    ``names``: event ids, one of which it must have.  ``exception``: a part of the explanation, in any case of letters.
    ``failed_before``, ``failed_after``: aware times of the last failure; a letter without one meets neither.  A topic
    other than everything selects events only: what cannot be decoded has no fields.
    """

    topic: EventTopic = EVERYTHING
    reason: str | None = None
    exception: str | None = None
    failed_before: datetime | None = None
    failed_after: datetime | None = None
    names: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether it lets every letter pass."""
        return self == LetterFilter()

    def matches(self, letter: Letter) -> bool:
        """Return whether this letter is meant."""
        if self.names and not any(letter.is_called(name) for name in self.names):
            return False
        if self.reason is not None and letter.reason != self.reason:
            return False
        if self.exception is not None and self.exception.casefold() not in letter.exception.casefold():
            return False
        failed = letter.last_failure
        if self.failed_before is not None and (failed is None or failed > self.failed_before):
            return False
        if self.failed_after is not None and (failed is None or failed < self.failed_after):
            return False
        if self.topic == EVERYTHING:
            return True
        return letter.event is not None and self.topic.matches(letter.event)
