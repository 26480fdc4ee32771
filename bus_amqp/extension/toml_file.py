"""``TomlFile``: a definitions file whose faults are told by file and line, as a compiler tells them.

Pure but for reading the file.  Python's own parser gives values without their places, so a place is looked for when
something is wrong with it, and only then: it is where the shortest part of the file that can be parsed and has the
value begins to have it.  That holds for every spelling of a key, and for text that only looks like one.
"""

from __future__ import annotations

import difflib
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bus_amqp import SettingsError

Place = tuple[str | int, ...]  # the keys and indexes that lead to a value
_ModelT = TypeVar("_ModelT", bound=BaseModel)
_PARSER_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_CLASS_OF_OURS = re.compile(r" or instance of \w+$")
_NOT_THERE = object()
# What ends lists that are still open, and the inline tables around them, three deep: their items have lines too.
_CLOSINGS = ("", *("\n" + "".join(ends) for depth in (1, 2, 3) for ends in product(("]", "]}"), repeat=depth)))


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file that could be parsed.  ``data``: its tables as plain values."""

    path: Path
    text: str = field(repr=False)  # it may hold secrets
    data: Mapping[str, Any] = field(repr=False)

    def fault(self, message: str, place: Place = ()) -> SettingsError:
        """Return the error that tells what is wrong, and where: ``rules.toml:12: ...``."""
        return SettingsError(f"{self.path}:{self.line_of(place)}: {message}")

    def line_of(self, place: Place) -> int:
        """Return the line in which the value begins; of a value that is not there, the line of what should hold it."""
        while place and _value_at(self.data, place) is _NOT_THERE:
            place = place[:-1]
        if not place:
            return 1
        lines = self.text.split("\n")
        before, last = _bounds(lines, place)
        for count in range(before + 1, last):
            data = _parsed(lines[:count], _CLOSINGS)
            if data is None:  # cut in the middle of a value
                continue
            if _value_at(data, place) is not _NOT_THERE:
                break
            before = count
        return before + 1

    def fault_below(self, message: str, place: Place, line: int) -> SettingsError:
        """Return the error for one line (from 1) of a text that may stand over several lines of the file."""
        first = self.line_of(place)
        opening = self.text.split("\n")[first - 1].rstrip()
        # A line feed right after the opening marks is no part of the text.
        begins_below = opening.endswith(('"""', "'''")) and opening.count(opening[-3:]) == 1
        offset = line if begins_below else line - 1
        return SettingsError(f"{self.path}:{first + offset}: {message}")

    def checked(self, model: type[_ModelT], value: object, place: Place = ()) -> _ModelT:
        """Return the value as the model.  Raises ``SettingsError`` for the first fault, with its line."""
        try:
            return model.model_validate(value)
        except ValidationError as exc:
            # One fault is enough to act on, and `from None`: pydantic's own text shows the input, secrets and all.
            fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        where = place_in_file(value, fault["loc"])
        raise self.fault(_told(model, where, fault["type"], fault["msg"]), (*place, *where))


def read_toml(path: Path) -> TomlFile:
    """Return the parsed file.  Raises ``SettingsError`` with the line of what is no TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path}: not UTF-8 at byte {exc.start}") from exc
    text = text.replace("\r\n", "\n")
    try:
        return TomlFile(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        found = _PARSER_LINE.search(str(exc))
        line = found[1] if found and found[1] else str(text.rstrip("\n").count("\n") + 1)
        raise SettingsError(f"{path}:{line}: {_PARSER_LINE.sub('', str(exc))}") from exc
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{path}:{_line_beyond(text)}: {_beyond(exc)}") from exc


def _beyond(exc: Exception) -> str:
    """Return in our words which bound of Python's the file has met: its parser lets these errors through."""
    if isinstance(exc, RecursionError):
        return "lists or tables within each other, too deep"
    return f"a number of more than {sys.get_int_max_str_digits()} digits"


def _line_beyond(text: str) -> int:
    """Return the first line with which the file cannot be parsed for another reason than being cut there."""
    lines = text.split("\n")
    for count in range(1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        except (ValueError, RecursionError):
            return count
    return 1


def _bounds(lines: Sequence[str], place: Place) -> tuple[int, int]:
    """Return how many lines are whole without the value, and how many are with it: between them is its statement."""
    before, last = 0, len(lines)
    while last - before > 1:
        middle = (before + last) // 2
        for count in (*range(middle, last), *range(middle - 1, before, -1)):
            if (data := _parsed(lines[:count])) is not None:
                break
        else:
            break  # the lines between are one statement
        if _value_at(data, place) is _NOT_THERE:
            before = count
        else:
            last = count
    return before, last


def _parsed(lines: Sequence[str], closings: Sequence[str] = ("",)) -> Mapping[str, Any] | None:
    """Return what the first lines of a file say, if they end between two values, or do so with one of the closings."""
    text = "\n".join(lines)
    for closing in closings:
        try:
            return tomllib.loads(text + closing)
        except tomllib.TOMLDecodeError:
            continue
    return None


def place_in_file(value: object, place: Sequence[str | int]) -> Place:
    """Return pydantic's place without its own words (of unions, say), which stand in no file.

    Nor does the index of a value that a model has put into a list because it may be one.
    """
    found: list[str | int] = []
    for key in place:
        if isinstance(key, int) and not isinstance(value, list | tuple):
            continue
        following = _value_at(value, (key,))
        if following is _NOT_THERE:
            return (*found, key) if isinstance(value, Mapping) and key == place[-1] else tuple(found)
        found.append(key)
        value = following
    return tuple(found)


def _told(model: type[BaseModel], place: Place, kind: str, message: str) -> str:
    name = ".".join(map(str, place))
    text = _CLASS_OF_OURS.sub("", message.removeprefix("Value error, "))
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()] if len(place) == 1 else []
        near = difflib.get_close_matches(str(place[-1]), known, n=1, cutoff=0.5)
        hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(known)}" if known else ""
        return f"unknown key {name}{hint}"
    if kind == "missing":
        return f"{name} is missing"
    return f"{name}: {text}" if name else text


def _value_at(data: object, place: Sequence[str | int]) -> object:
    for key in place:
        try:
            if isinstance(data, Mapping) or (isinstance(data, list) and isinstance(key, int)):
                data = data[key]  # type: ignore[index]  # a mapping of any keys, or a list and a number
            else:
                return _NOT_THERE
        except LookupError:
            return _NOT_THERE
    return data
