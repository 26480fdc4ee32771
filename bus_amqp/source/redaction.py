"""Withhold secrets by their name, at any depth, JSON inside of strings included.

    redacted({"cmdInfo": '{"sessionkey":"abc","id":"7"}'})   ->   {"cmdInfo": '{"sessionkey": "[redacted]", "id": "7"}'}

Pure: returns a copy that JSON can carry, whatever it was given, and raises for nothing it was given.  By name: it
cannot tell a secret that stands under an innocent name, nor one that was encoded otherwise than as JSON.  Looked at
are names in objects, ``{"name": "password", "value": ...}``, ``["--password", ...]``, ``name=value`` and
``--password value`` in text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Final

from pydantic import BaseModel, JsonValue

from bus_amqp.event import MAX_INTEGER_BITS
from bus_amqp.source.secret_names import SECRET_NAMES, SecretNames, checked_names, secret_names
from bus_amqp.source.secret_text import REDACTED, ends_in_secret_name, without_secrets

MAX_DEPTH: Final = 48  # levels; an event's details may have 64
MAX_STRINGS_IN_STRINGS: Final = 8
MAX_VALUES: Final = 100_000  # in all: a list that holds itself twice must not keep us for ever
WITHHELD: Final = "[withheld: nested too deep or too large to look through]"

_MAY_HOLD_A_PAIR = re.compile(r"[{\[=:]|(?<![\w\-])-|\\u|PRIVATE KEY")
_JSON_BEGINS = re.compile(r"\{(?=\s*[\"}])|(?<!\w)\[(?=\s*[\[{\"])|(?<![\w\\])\"(?=\s*[{\[\\])")
_MAX_IN_VAIN = 16  # beginnings in one text that are none: each may be read to the end of it
_NAME_KEYS, _VALUE_KEYS = ("name", "key", "parameter"), frozenset({"value", "values"})
_LONGEST_BARE_NAME = 64


def _all_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object in which a key that comes twice hides nothing: both values are looked at."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for number, (key, value) in enumerate(pairs):
            if found[key] is not value:
                found[f"{key} ({number})"] = value
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_all_pairs)


def redacted(value: object, *, names: Iterable[str] = SECRET_NAMES) -> JsonValue:
    """Return a copy of ``value`` with what stands under a secret name replaced by ``[redacted]``.

    ``names``: ``SECRET_NAMES | {"licence"}`` adds one.  None, True, False and "" stay: they are no secrets.  What JSON
    does not know becomes text (times, uuids, bytes), an object (models, dataclasses, mappings) or a list (sets).
    Raises ``InvalidArgumentError`` for names that are none, and nothing else.
    """
    return _Redaction(secret_names(names if type(names) is frozenset else checked_names(names)))._of(value, 1, 0)


class _Redaction:
    """One call of ``redacted``.  ``depth``: of objects and lists; ``layers``: of JSON in strings."""

    __slots__ = ("_left", "_names")

    def __init__(self, names: SecretNames) -> None:
        self._names = names
        self._left = MAX_VALUES

    def _of(self, value: object, depth: int, layers: int) -> JsonValue:
        self._left -= 1
        kind = type(value)
        if kind is str:
            return self._text(value, depth, layers)  # type: ignore[arg-type]  # it is one: narrowed by kind
        if value is None or value is True or value is False:
            return value
        if kind is int:
            return value if value.bit_length() <= MAX_INTEGER_BITS else WITHHELD  # type: ignore[attr-defined,return-value]  # the same
        if kind is float:
            return value if math.isfinite(value) else str(value)  # type: ignore[arg-type,return-value]  # the same
        if depth > MAX_DEPTH or self._left < 0:
            return WITHHELD
        if kind is dict:
            return self._object(value, depth, layers)  # type: ignore[arg-type]  # the same
        if kind is list or kind is tuple:
            return self._list(value, depth, layers)  # type: ignore[arg-type]  # the same
        return self._foreign(value, depth, layers)

    def _object(self, items: Mapping[object, object], depth: int, layers: int) -> dict[str, JsonValue]:
        told: dict[str, JsonValue] = {}
        known, may_hold_a_pair = self._names.known, _MAY_HOLD_A_PAIR.search
        for key, item in items.items():
            if type(key) is str and known.get(key) is False:
                is_plain = type(item) is str and item.isascii() and may_hold_a_pair(item) is None  # the usual case
                told[key] = item if is_plain else self._of(item, depth + 1, layers)  # type: ignore[assignment]  # a str
            else:
                name = self._key(key)
                is_secret = self._names.has(key if type(key) is str else name)
                told[name] = _withheld(item) if is_secret else self._of(item, depth + 1, layers)
            if self._left < 0:
                told["..."] = WITHHELD
                break
        if not _VALUE_KEYS.isdisjoint(told):
            self._withhold_named_value(told)
        return told

    def _key(self, key: object) -> str:
        if type(key) is str and key.isascii() and _MAY_HOLD_A_PAIR.search(key) is None:
            return key
        return str(self._of(key, MAX_DEPTH, MAX_STRINGS_IN_STRINGS))  # {"https://host/?token=x": ...}

    def _withhold_named_value(self, told: dict[str, JsonValue]) -> None:
        """Withhold in place the value of ``{"name": "password", "value": "..."}``."""
        if any(isinstance(name := told.get(key), str) and self._names.has(name) for key in _NAME_KEYS):
            for key in _VALUE_KEYS & told.keys():
                told[key] = _withheld(told[key])

    def _list(self, items: Iterable[object], depth: int, layers: int) -> list[JsonValue]:
        told: list[JsonValue] = []
        is_secret = False
        for item in items:
            told.append(_withheld(item) if is_secret else self._of(item, depth + 1, layers))
            is_secret = isinstance(item, str) and self._is_bare_name(item)
            if self._left < 0:
                told.append(WITHHELD)
                break
        return told

    def _is_bare_name(self, text: str) -> bool:
        """Return whether a text in a list says that the next one is a secret: ``["--password", "x"]``."""
        return len(text) <= _LONGEST_BARE_NAME and " " not in text and "=" not in text and self._names.has(text)

    def _text(self, text: str, depth: int, layers: int) -> str:
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text
        if _MAY_HOLD_A_PAIR.search(text) is None:
            return text
        told: list[str] = []
        position = search_from = in_vain = 0
        while begins := _JSON_BEGINS.search(text, search_from):
            if in_vain == _MAX_IN_VAIN or layers == MAX_STRINGS_IN_STRINGS or self._left < 0:
                return "".join([*told, without_secrets(text[position : begins.start()], self._names), WITHHELD])
            piece, search_from = self._json(text, begins.start(), depth, layers + 1)
            if piece is None:
                in_vain += 1
                continue
            before = text[position : begins.start()]
            is_secret = ends_in_secret_name(before, self._names)
            told += without_secrets(before, self._names), REDACTED if is_secret else piece
            position = search_from
        return "".join([*told, without_secrets(text[position:], self._names)])

    def _json(self, text: str, start: int, depth: int, layers: int) -> tuple[str | None, int]:
        """Return the JSON that begins there without its secrets, and where it ends.  None: it is not JSON."""
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # not JSON; a number of too many digits; nested as deep as a stack
            return None, start + 1
        told = self._of(value, depth + 1, layers)
        return (text[start:end] if told == value else json.dumps(told, ensure_ascii=False)), end  # as it was written

    def _foreign(self, value: object, depth: int, layers: int) -> JsonValue:
        """What JSON does not know, as what comes nearest."""
        try:
            if isinstance(value, Enum):
                return self._of(value.value, depth + 1, layers)
            if isinstance(value, str):
                return self._text(str.__str__(value), depth, layers)
            if isinstance(value, int | float):
                return self._of(int(value) if isinstance(value, int) else float(value), depth, layers)
            if isinstance(value, bytes | bytearray | memoryview):
                return self._text(bytes(value).decode("utf-8", "replace"), depth, layers)
            if (items := _items_of(value)) is not None:
                return self._object(items, depth, layers)
            if isinstance(value, Collection):
                return self._list(value, depth, layers)
            return self._text(str(value), depth, layers)
        except Exception:  # noqa: BLE001 -- methods of a caller's object run here: no reason to lose the event
            return f"<{type(value).__name__}>"


def _items_of(value: object) -> Mapping[object, object] | None:
    """Return the names and values of what has them, or None."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return None


def _withheld(value: object) -> JsonValue:
    return value if value is None or value is True or value is False or value == "" else REDACTED
