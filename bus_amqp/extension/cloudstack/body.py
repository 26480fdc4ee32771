"""CloudStack's body: JSON, at times JSON in strings of it, and in strings of those.  Pure.

Opened means: what was text holding JSON is that JSON.  Which text that is, is decided by its looks; what is meant for
people (descriptions, subjects) is left alone.
"""

from __future__ import annotations

import json
import re

from bus_amqp import UndecodableError

MAX_DEPTH = 40  # of the whole, opened: Event.details takes 64, and the translation and the redaction need some
_MAX_WRAPPINGS = 4  # of the body itself, as a string in a string
_RESULT = re.compile(r"(?P<class>[\w.$]+)/(?P<name>[\w.$-]*)/(?P<value>[{\[].*)", re.DOTALL)
_FOR_PEOPLE = frozenset({"description", "subject", "body", "details"})

JsonObject = dict[str, object]


def read_body(body: bytes) -> JsonObject:
    """Return the body as an object, as it was written.  Raises ``UndecodableError`` saying what it is instead."""
    value: object = _text_of(body)
    for _ in range(_MAX_WRAPPINGS):
        if not isinstance(value, str):
            break
        value = _parsed(value)
    if not isinstance(value, dict):
        raise UndecodableError(f"the body is no JSON object but {type(value).__name__}", reason="cloudstack-body")
    return value


def opened(body: JsonObject) -> JsonObject:
    """Return the body with the JSON in its strings opened, as far as ``MAX_DEPTH`` levels of the whole.

    Raises ``UndecodableError`` for one that is deeper as it is.
    """
    if _depth(body) > MAX_DEPTH:
        raise UndecodableError(f"the body is nested deeper than {MAX_DEPTH} levels", reason="cloudstack-body")
    return {name: item if name in _FOR_PEOPLE else _opened(item, MAX_DEPTH - 1) for name, item in body.items()}


def _opened(value: object, levels: int) -> object:
    """Return a JSON value, opened, that has at most so many levels (which it has if nothing is opened)."""
    match value:
        case str():
            return _opened_text(value, levels)
        case dict():
            return {name: _opened(item, levels - 1) for name, item in value.items()}
        case list():
            return [_opened(item, levels - 1) for item in value]
    return value


def _opened_text(text: str, levels: int) -> object:
    """Open ``{...}``, ``[...]``, the same once more quoted, and ``Class/name/{...}``: a job's result before 4.16."""
    trimmed = text.strip()
    if trimmed[:1] in ("{", "[") or trimmed[:2] in ('"{', '"[', '"\\'):
        inner = _json_or_none(trimmed)
        if isinstance(inner, str):
            again = _opened_text(inner, levels)
            return text if again is inner else again
        if isinstance(inner, dict | list) and _depth(inner) <= levels:
            return _opened(inner, levels)
    elif (result := _RESULT.fullmatch(trimmed)) is not None:
        inner = _json_or_none(result["value"])
        if isinstance(inner, dict | list) and _depth(inner) < levels:
            return {"class": result["class"], "name": result["name"], "value": _opened(inner, levels - 1)}
    return text


def _text_of(body: bytes) -> str:
    """Decode the platform's charset, whichever that was: UTF-8, else Latin-1, in which every byte is some letter.

    The JSON around people's words is ASCII in both, so at worst an umlaut is another one.
    """
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise UndecodableError("the body is nested too deep to be read", reason="cloudstack-body") from exc
    except ValueError as exc:  # also a whole number of more than 4,300 digits
        what = exc.msg if isinstance(exc, json.JSONDecodeError) else "a number that no JSON reader takes"
        raise UndecodableError(f"the body is no JSON: {what}", reason="not-json") from exc


def _json_or_none(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested.  No recursion: it may be as deep as a parser goes."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
