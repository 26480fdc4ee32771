"""CloudStack's routing key: ``source.category.type.resourceType.uuid``.  Pure.

In each word ``.`` has become ``-``, and what is absent is a literal ``*``.  So a key cannot be read back with
certainty; ``translation`` asks the body too.
"""

from __future__ import annotations

from typing import NamedTuple

from bus_amqp import Event, UndecodableError

ABSENT = "*"
WORDS = 5
MAX_KEY_BYTES = 255  # an AMQP short string


class CloudStackKey(NamedTuple):
    """The five words as they travel; an absent one is empty."""

    source: str
    category: str
    type: str
    resource_type: str
    resource_uuid: str


def word_of(value: str) -> str:
    """Return a value as CloudStack puts it into a key."""
    return value.replace(".", "-") or ABSENT


def read_key(routing_key: str) -> CloudStackKey:
    """Return the words of a key.  Raises ``UndecodableError`` for what is no key of CloudStack's."""
    words = routing_key.split(".")
    if len(words) != WORDS:
        raise UndecodableError(
            f"routing key has {len(words)} words, CloudStack's have {WORDS}: source.category.type.resourceType.uuid",
            reason="cloudstack-key",
        )
    if not routing_key.isascii() and routing_key.encode(errors="replace").decode() != routing_key:
        raise UndecodableError("routing key has half a surrogate pair in it, which is no text", reason="cloudstack-key")
    key = CloudStackKey(*("" if word == ABSENT else word for word in words))
    if not key.category or not key.type:
        raise UndecodableError("routing key names no category or no type of event", reason="cloudstack-key")
    return key


def key_of(event: Event, *, event_type: str, resource_type: str) -> str:
    """Return the key that CloudStack would publish this event with, under its names for the two types."""
    words = (event.event_source, event.event_category, event_type, resource_type, event.resource_uuid)
    return ".".join(map(word_of, words))
