"""CloudStack's times: ``yyyy-MM-dd HH:mm:ss Z`` in the server's zone, to the second.  Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_FORM = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?) ?(Z|UTC|GMT|[+-]\d\d:?\d\d)", re.ASCII)


def moment_of(value: object) -> datetime | None:
    """Return the moment in UTC; None for what says none.

    A time without its zone says none either: whose local time it is nobody here can know.
    """
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    day, clock, zone = found.groups()
    try:
        return datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=_zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; the year 1 east of Greenwich
        return None


def text_of(moment: datetime) -> str:
    """Return the moment as a server that runs in UTC would write it."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} +0000".rjust(25, "0")  # %Y of a year below 1000 has no zeros


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if text[0] == "-" else shift)
