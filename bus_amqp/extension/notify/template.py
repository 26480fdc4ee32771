"""``Template``: a subject or a body with places for the fields of an event, in Jinja's language, in its sandbox.

Checked as far as it can be without an event: syntax, filters, and the names of variables.  A detail that the event
lacks is written as ``-`` (``{{ details.x | default("unknown") }}`` says otherwise).  Plain text: nothing is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bus_amqp import InvalidArgumentError, SettingsError
from bus_amqp.extension.notify.field import EVENT_FIELDS
from bus_amqp.extension.notify.message import NotWrittenError
from bus_amqp.extension.suggestion import suggestion

try:
    from jinja2 import ChainableUndefined, TemplateError, TemplateSyntaxError, meta, nodes
    from jinja2.exceptions import SecurityError
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ModuleNotFoundError as exc:
    raise SettingsError(f"notifications need {exc.name}: pip install 'bus-amqp[notify]'") from exc

HELD_BACK: Final = "held_back"  # how many messages before this one were not sent
VARIABLES: Final = (*EVENT_FIELDS, "rule", HELD_BACK)
_LARGEST_BASE, _LARGEST_EXPONENT = 10**18, 100
LONGEST = 10_000  # signs of a written text; details may be of a mebibyte, and nobody reads that on a telephone
_FAULTS_OF_VALUES = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class TemplateFault(InvalidArgumentError):  # noqa: N818 -- it is told with its place in the file, as SettingsError
    """What is wrong with a template.  ``line`` is that of its own text, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Absent(ChainableUndefined):
    def __str__(self) -> str:
        return "-"


class _Environment(ImmutableSandboxedEnvironment):
    # A number in an event must not become a text, or a number, that fills the memory: the process would be killed, and
    # killed again by the same event.
    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> object:
        """Multiply, within bounds.  Jinja asks for each of ``intercepted_binops``, constants too."""
        if operator == "**" and (abs(left) > _LARGEST_BASE or abs(right) > _LARGEST_EXPONENT):
            raise SecurityError(f"{left} ** {right} is too large a number")
        for many, times in ((left, right), (right, left)):
            if isinstance(many, str | list | tuple) and isinstance(times, int) and len(many) * times > LONGEST:
                raise SecurityError(f"{times} times {len(many)} is too much: {LONGEST} at most")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: object, attribute: str) -> object:
        # `details.items` is the detail of that name, if there is one, before it is a method of Python's.
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def _readable(value: object) -> object:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False)
    return value


# Plain text is sent, and Apprise escapes it for services that want HTML.
_environment = _Environment(undefined=_Absent, finalize=_readable, autoescape=False)


class Template:
    """A checked template.  Raises ``TemplateFault``."""

    def __init__(self, text: str) -> None:
        try:
            tree = _environment.parse(text)
            self._template = _environment.from_string(text)
        except TemplateSyntaxError as exc:
            raise TemplateFault(exc.message or "no template", exc.lineno) from exc
        except (RecursionError, SyntaxError) as exc:  # Python's own: a template is compiled to it
            raise TemplateFault("parts within each other, too deep", 1) from exc
        self.variables: frozenset[str] = frozenset(meta.find_undeclared_variables(tree))
        for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise TemplateFault("a template stands by itself: no include, import or extends", node.lineno)
        if unknown := self.variables.difference(VARIABLES):
            name, line = next((at.name, at.lineno) for at in tree.find_all(nodes.Name) if at.name in unknown)
            raise TemplateFault(f"unknown variable {name}: {suggestion(name, VARIABLES)}", line)

    def write(self, values: Mapping[str, object]) -> str:
        """Return the text.  Raises ``NotWrittenError``."""
        try:
            text = self._template.render(values)
        except (TemplateError, *_FAULTS_OF_VALUES) as exc:
            raise NotWrittenError(f"template cannot be filled in: {type(exc).__name__}: {exc}") from exc
        if len(text) <= LONGEST:
            return text
        return f"{text[:LONGEST]}\n(and {len(text) - LONGEST} more characters)"
