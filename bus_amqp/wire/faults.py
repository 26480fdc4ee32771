"""What pydantic found wrong, in words that may go to logs and headers: the place and the fault, not the value.

A value could be a megabyte or a secret.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic import ValidationError
from pydantic_core.core_schema import ErrorType

MAX_FAULTS = 5
SHORTEST_SECRET = 4  # characters: what is shorter stands in any text
# Faults whose text does not quote the value; that of somebody's validator may, and one of pydantic's quotes a tag.
_SILENT = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error", "union_tag_invalid"}


def told(error: ValidationError, *, within: str = "", values: object = None) -> str:
    """Return ``place: fault; place: fault``.

    ``within``: the place of what was validated.  ``values``: what it was, and must not be quoted.
    """
    faults = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_FAULTS]:
        place = ".".join(map(str, (within, *fault["loc"]) if within else fault["loc"])) or "body"
        says = fault["msg"]
        if fault["type"] not in _SILENT:
            says = _without(values, says)
        faults.append(f"{place}: {says}")
    return "; ".join(faults)


def _without(values: object, text: str) -> str:
    quoted = {leaf for leaf in _leaves(values) if len(leaf) >= SHORTEST_SECRET and leaf in text}
    for leaf in sorted(quoted, key=len, reverse=True):  # one may be part of another
        text = text.replace(leaf, "***")
    return text


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
