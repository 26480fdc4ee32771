"""Read a condition from a table of a rule file.  Pure; what is wrong is told with its line."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.notify.condition import COMPARISONS, EXISTS, AllOf, AnyOf, Condition, FieldTest, Not
from bus_amqp.extension.notify.field import parse_field
from bus_amqp.extension.suggestion import suggestion
from bus_amqp.extension.toml_file import Place, TomlFile

_JOINTS: Final = ("all", "any", "not")
_KEYS: Final = (*_JOINTS, "field", EXISTS, *COMPARISONS)
DEEPEST = 20


def condition_from(file: TomlFile, value: Any, place: Place, depth: int = 1) -> Condition:
    """Return the condition.  Raises ``SettingsError``.

    ``{field = "details.x", above = 3}``, or ``all``, ``any`` (lists of conditions) or ``not`` (one condition).
    """
    if not isinstance(value, Mapping):
        raise file.fault('a condition is a table, as in { field = "description", contains = "failed" }', place)
    if depth > DEEPEST:
        raise file.fault(f"conditions within conditions, more than {DEEPEST} deep", place)
    for key in value:
        if key not in _KEYS:
            raise file.fault(f"unknown key {key}: {suggestion(key, _KEYS)}", (*place, key))
    joints = [key for key in _JOINTS if key in value]
    if joints and len(value) > 1:
        raise file.fault(f"{joints[0]!r} stands alone in its table: put the others into a list of 'all'", place)
    match joints:
        case ["not"]:
            return Not(condition_from(file, value["not"], (*place, "not"), depth + 1))
        case [joint]:
            parts = _several(file, value[joint], (*place, joint), depth)
            return AllOf(parts) if joint == "all" else AnyOf(parts)
    return _field_test(file, value, place)


def _several(file: TomlFile, value: Any, place: Place, depth: int) -> tuple[Condition, ...]:
    if not isinstance(value, list) or not value:
        raise file.fault(f"{place[-1]!r} needs a list of conditions", place)
    return tuple(condition_from(file, one, (*place, index), depth + 1) for index, one in enumerate(value))


def _field_test(file: TomlFile, value: Mapping[str, Any], place: Place) -> FieldTest:
    if "field" not in value:
        raise file.fault(f"a condition needs one of 'field', {', '.join(map(repr, _JOINTS))}", place)
    try:
        field = parse_field(str(value["field"]))
    except InvalidArgumentError as exc:
        raise file.fault(str(exc), (*place, "field")) from exc
    comparisons = {}
    for name, operand in value.items():
        if name == "field":
            continue
        try:
            comparisons[name] = _OPERANDS[name](operand)
        except InvalidArgumentError as exc:
            raise file.fault(f"{name}: {exc}", (*place, name)) from exc
    if not comparisons:
        raise file.fault(f"a field is compared by one or more of {', '.join((*COMPARISONS, EXISTS))}", place)
    return FieldTest(field, comparisons)


def _scalar(operand: object) -> object:
    if isinstance(operand, float) and not math.isfinite(operand):
        raise InvalidArgumentError("a number that no event can have")
    if not isinstance(operand, str | int | float):  # dates as well: events carry them as text
        raise InvalidArgumentError("a text, a number, true or false is needed (a date as text)")
    return operand


def _scalars(operand: object) -> object:
    if not isinstance(operand, list) or not operand:
        raise InvalidArgumentError("a list of values is needed")
    return [_scalar(one) for one in operand]


def _number(operand: object) -> object:
    if isinstance(operand, bool) or not isinstance(operand, int | float) or not math.isfinite(operand):
        raise InvalidArgumentError("a number is needed")
    return operand


def _pattern(operand: object) -> object:
    if not isinstance(operand, str):
        raise InvalidArgumentError("a regular expression is needed, as text")
    try:
        return re.compile(operand)
    except (re.error, OverflowError, RecursionError) as exc:
        raise InvalidArgumentError(f"no regular expression: {exc}") from exc


def _truth(operand: object) -> object:
    if not isinstance(operand, bool):
        raise InvalidArgumentError("true or false is needed")
    return operand


_OPERANDS: Final[Mapping[str, Callable[[object], object]]] = {
    EXISTS: _truth,
    "equals": _scalar,
    "in": _scalars,
    "above": _number,
    "at_least": _number,
    "below": _number,
    "at_most": _number,
    "contains": _scalar,
    "matches": _pattern,
}
