"""``Catalogue``: the known event types, and the type of resource that each is about.

Known does not mean allowed: any type may be published.  The catalogue completes what is typed on a command line,
fills in the resource type where only a uuid is given, and tells once of a type that is probably mistyped.  The types
are those of Apache CloudStack (``event_types.json``; ``EventType`` and ``AlertType`` have them as constants), and what
installed packages add by the entry-point group ``bus_amqp.event_types``.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from typing import Any

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.likeness import SIGNS, nearest, slip_ratio
from bus_amqp.topic import words_match

logger = logging.getLogger("bus_amqp.source")

ENTRY_POINT_GROUP = "bus_amqp.event_types"
_UNKNOWN_LOOKED_AT = 256  # a program that makes its types up must not fill the memory, nor search for each of them


class Catalogue:
    """Event types with their resource types.  Any thread; grows, and never forgets a type."""

    def __init__(self, resource_types: Mapping[str, str] | None = None) -> None:
        self._resource_types: dict[str, str] = {}
        self._looked_at: set[str] = set()  # the known types, and the unknown ones that were told or let pass
        self._looks_left = _UNKNOWN_LOOKED_AT
        self.update(resource_types or {})

    def __repr__(self) -> str:
        return f"<Catalogue {len(self)} event types>"

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._resource_types

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._resource_types))

    def __len__(self) -> int:
        return len(self._resource_types)

    def add(self, event_type: str, resource_type: str = "") -> None:
        """Make a type known.  Raises ``InvalidArgumentError`` for what cannot be one."""
        self.update({event_type: resource_type})

    def update(self, additions: Mapping[str, str] | Iterable[str]) -> None:
        """Make types known, with their resource types if the additions name them; all or, if one is wrong, none."""
        if isinstance(additions, str | bytes):  # whose letters are no event types
            raise InvalidArgumentError(f"event types must be several, not one text: write [{additions!r}]")
        added = dict(additions) if isinstance(additions, Mapping) else dict.fromkeys(additions, "")
        for event_type, resource_type in added.items():
            _check(event_type, resource_type)
        self._resource_types.update(added)
        self._looked_at.update(added)

    def resource_type(self, event_type: str) -> str:
        """Return the type of resource that such events are about; "" if there is none, or it is not known."""
        return self._resource_types.get(event_type, "")

    def suggest(self, event_type: str) -> str | None:
        """Return the known type that was probably meant; None for a known type and for one that resembles none."""
        return None if event_type in self else nearest(event_type, self)

    def suggest_pattern(self, pattern: str) -> str | None:
        """Return the pattern of a topic with its mistyped words put right, if it then matches a known type."""
        words = tuple(pattern.split("."))
        if SIGNS.isdisjoint(words):
            return self.suggest(pattern)
        if self._matches(words):
            return None
        known = {word for event_type in self for word in event_type.split(".")}
        righted = tuple(word if word in SIGNS or word in known else _likest(word, known) for word in words)
        return ".".join(righted) if self._matches(righted) else None

    def _matches(self, pattern: tuple[str, ...]) -> bool:
        return any(words_match(pattern, tuple(event_type.split("."))) for event_type in self)

    def look_at(self, event_type: str) -> None:
        """Log, once for each type, that it is probably mistyped.  Costs a look into a set for all that is known."""
        if event_type in self._looked_at or self._looks_left <= 0:
            return
        self._looks_left -= 1
        self._looked_at.add(event_type)
        if meant := self.suggest(event_type):
            logger.warning("unknown event type %s: did you mean %s? It is published as it is", event_type, meant)


def _check(event_type: str, resource_type: str) -> None:
    if not isinstance(event_type, str) or not all(event_type.split(".")) or not SIGNS.isdisjoint(event_type):
        raise InvalidArgumentError(f"event type {event_type!r}: write words with single dots between, and no * or #")
    if not isinstance(resource_type, str):
        raise InvalidArgumentError(f"resource type of {event_type}: {resource_type!r} is no string")


def _likest(word: str, known: Iterable[str]) -> str:
    best = max(known, key=lambda other: (slip_ratio(word.upper(), other), other), default=word)
    return best if slip_ratio(word.upper(), best) or word.upper() == best else word


@cache
def known_event_types() -> Catalogue:
    """Return the catalogue of this process: our own types, alerts among them, and those of installed packages.

    Read once.  An entry point names a mapping of event types to resource types, a list of event types, or a function
    that returns one of these.  One that cannot be read is logged and left out: nobody must be kept from publishing.
    """
    catalogue = Catalogue()
    own = own_event_types()
    for resource_type, event_types in own["eventTypes"].items():
        catalogue.update(dict.fromkeys(event_types, resource_type))
    catalogue.update(own["alertTypes"])
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        _add_from(entry_point, catalogue)
    return catalogue


def own_event_types() -> dict[str, Any]:
    """Return the data file of this package: ``eventTypes`` by resource type, and ``alertTypes``."""
    text = files("bus_amqp.source").joinpath("event_types.json").read_text(encoding="utf-8")
    own: dict[str, Any] = json.loads(text)
    return own


def _add_from(entry_point: EntryPoint, catalogue: Catalogue) -> None:
    try:
        found = entry_point.load()
        catalogue.update(found() if callable(found) else found)
    except (Exception, SystemExit):  # somebody else's package, which may do anything; ours has to go on
        logger.exception("event types of entry point %s (%s) are left out", entry_point.name, entry_point.value)
