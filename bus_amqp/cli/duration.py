"""``2h``, ``30m``, ``1h30m``: lengths of time as people type them.  Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from bus_amqp.errors import InvalidArgumentError

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_WHOLE = re.compile(r"(?:\d{1,9}[wdhms])+", re.ASCII)
_PART = re.compile(r"(\d+)([wdhms])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Return the length of time.  Raises ``InvalidArgumentError`` that shows how to write one."""
    given = text.strip().lower()
    parts = _PART.findall(given)
    units = [unit for _, unit in parts]
    if not _WHOLE.fullmatch(given) or len(set(units)) < len(units):
        raise InvalidArgumentError(
            f"{text!r} is no length of time: write whole numbers with w, d, h, m or s, as in 90s, 30m, 2h, 1h30m, 7d"
        )
    try:
        return timedelta(**{_UNITS[unit]: int(number) for number, unit in parts})
    except OverflowError as exc:
        raise InvalidArgumentError(f"{text!r} is longer than anything lasts") from exc


def rough(length: timedelta) -> str:
    """Return a length of time for people, by its largest unit: ``3d``."""
    seconds = max(0, int(length.total_seconds()))
    for unit_seconds, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit_seconds:
            return f"{seconds // unit_seconds}{unit}"
    return f"{seconds}s"
