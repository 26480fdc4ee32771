"""What somebody may have meant who wrote a name that is not known.  Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_NAMED = 20


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean field?``, or where nothing is near the known names themselves."""
    names = list(known)
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f"did you mean {near[0]}?"
    more = len(names) - _MOST_NAMED
    return f"there are {', '.join(names[:_MOST_NAMED])}{f' and {more} others' if more > 0 else ''}"
