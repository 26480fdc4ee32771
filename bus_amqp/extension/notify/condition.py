"""What a rule asks of an event: comparisons of its fields, joined by all, any and not.  Pure, and nothing is evaluated.

A comparison of a value that the event lacks is false, whatever it compares; only ``exists = false`` is true then.
Types count: ``equals = 1`` does not hold for ``"1"`` or ``true``.  Orders (``above`` and its kin) are of numbers, and
take a text that is a number for one, because many sources write all values as text.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bus_amqp import Event
from bus_amqp.extension.notify.field import MISSING, FieldPath

LONGEST_SEARCHED = 10_000  # signs of a value that a regular expression gets to see: it runs in the consumer's process
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_LONGEST_NUMBER = 64


class Condition(Protocol):
    """Something that holds for an event, or does not."""

    def holds(self, event: Event) -> bool:
        """Return whether it does."""

    def in_words(self) -> str:
        """Return it as an operator reads it."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when each of its conditions does; without any, always."""

    conditions: tuple[Condition, ...]

    def holds(self, event: Event) -> bool:
        """Return whether each holds."""
        return all(condition.holds(event) for condition in self.conditions)

    def in_words(self) -> str:
        """Return them, joined by "and"."""
        return _joined(" and ", self.conditions) or "always"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one of its conditions does."""

    conditions: tuple[Condition, ...]

    def holds(self, event: Event) -> bool:
        """Return whether one holds."""
        return any(condition.holds(event) for condition in self.conditions)

    def in_words(self) -> str:
        """Return them, joined by "or"."""
        return _joined(" or ", self.conditions)


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when its condition does not."""

    condition: Condition

    def holds(self, event: Event) -> bool:
        """Return whether the other does not hold."""
        return not self.condition.holds(event)

    def in_words(self) -> str:
        """Return it with a "not" before."""
        return f"not ({self.condition.in_words()})"


@dataclass(frozen=True, slots=True)
class FieldTest:
    """Holds when the value of a field passes every comparison: ``{at_least = 80, below = 90}`` is a range."""

    field: FieldPath
    comparisons: Mapping[str, object]  # by the name that the rule file has for it, see COMPARISONS

    def holds(self, event: Event) -> bool:
        """Return whether the event's value passes."""
        value = self.field.value_of(event)
        for name, operand in self.comparisons.items():
            if name == EXISTS:
                if (value is not MISSING) is not operand:
                    return False
            elif value is MISSING or not COMPARISONS[name](value, operand):
                return False
        return True

    def in_words(self) -> str:
        """Return the field and what is asked of it."""
        return " and ".join(f"{self.field} {_told(name, operand)}" for name, operand in self.comparisons.items())


def _same(value: object, operand: object) -> bool:
    # Python takes True for 1; JSON does not.
    return isinstance(value, bool) is isinstance(operand, bool) and value == operand


def _one_of(value: object, operands: object) -> bool:
    assert isinstance(operands, Sequence)  # the rule file was checked
    return any(_same(value, operand) for operand in operands)


def _contains(value: object, operand: object) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(_same(item, operand) for item in value)


def _matches(value: object, pattern: object) -> bool:
    assert isinstance(pattern, re.Pattern)  # the rule file was checked
    return isinstance(value, str) and pattern.search(value[:LONGEST_SEARCHED]) is not None


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object, object], bool]:
    def test(value: object, operand: object) -> bool:
        assert isinstance(operand, int | float)  # the rule file was checked
        number = _number(value)
        return number is not None and compare(number, operand)

    return test


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


EXISTS: Final = "exists"
COMPARISONS: Final[Mapping[str, Callable[[object, object], bool]]] = {
    "equals": _same,
    "in": _one_of,
    "above": _ordered(operator.gt),
    "at_least": _ordered(operator.ge),
    "below": _ordered(operator.lt),
    "at_most": _ordered(operator.le),
    "contains": _contains,
    "matches": _matches,
}


def _joined(word: str, conditions: Sequence[Condition]) -> str:
    told = [condition.in_words() for condition in conditions]
    return told[0] if len(told) == 1 else word.join(f"({one})" for one in told)


def _told(name: str, operand: object) -> str:
    if name == EXISTS:
        return "is there" if operand else "is not there"
    if isinstance(operand, re.Pattern):
        return f"matches /{operand.pattern}/"
    return f"{name.replace('_', ' ')} {json.dumps(operand, ensure_ascii=False)}"
