"""The routing key of an event and the binding key of a topic.  Pure; always five words.

One field, one word (``key_words``).  The event travels whole in the body: nobody parses a key back.
"""

from __future__ import annotations

from functools import lru_cache

from bus_amqp.errors import RoutingKeyTooLongError
from bus_amqp.event import Event
from bus_amqp.topic import EventTopic
from bus_amqp.wire.key_words import MAX_KEY_BYTES, plain_word, type_word


@lru_cache(maxsize=4096)  # few combinations; the uuid, which would evict them all, is not among them
def _around_uuid(category: str, event_type: str, resource_type: str, source: str) -> tuple[str, str]:
    before = f"{plain_word(category)}.{type_word(event_type)}.{plain_word(resource_type)}."
    return before, f".{plain_word(source)}"


def routing_key(event: Event[object]) -> str:
    """Return ``category.type.resourceType.uuid.source``.  Raises ``RoutingKeyTooLongError``."""
    before, after = _around_uuid(event.event_category, event.event_type, event.resource_type, event.event_source)
    key = before + plain_word(event.resource_uuid) + after
    if len(key) > MAX_KEY_BYTES or not key.isascii():
        size_bytes = len(key.encode())
        if size_bytes > MAX_KEY_BYTES:
            raise _too_long(event, size_bytes)
    return key


def _too_long(event: Event[object], size_bytes: int) -> RoutingKeyTooLongError:
    words = {
        "event_category": plain_word(event.event_category),
        "event_type": type_word(event.event_type),
        "resource_type": plain_word(event.resource_type),
        "resource_uuid": plain_word(event.resource_uuid),
        "event_source": plain_word(event.event_source),
    }
    longest = max(words, key=lambda name: len(words[name].encode()))
    return RoutingKeyTooLongError(
        f"routing key has {size_bytes} bytes, AMQP allows {MAX_KEY_BYTES}: "
        f"shorten {longest} ({str(getattr(event, longest))[:60]!r}, {len(words[longest].encode())} bytes encoded)"
    )


def binding_key(topic: EventTopic) -> str:
    """Return the coarsest binding that a topic needs: ``*`` for None and for a pattern of types."""
    words = (
        "*" if topic.event_category is None else plain_word(topic.event_category),
        "*" if topic.event_type is None or topic.is_pattern else type_word(topic.event_type),
        "*" if topic.resource_type is None else plain_word(topic.resource_type),
        "*" if topic.resource_uuid is None else plain_word(topic.resource_uuid),
        "*" if topic.event_source is None else plain_word(topic.event_source),
    )
    key = ".".join(words)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise RoutingKeyTooLongError(
            f"binding key has {len(key.encode())} bytes, AMQP allows {MAX_KEY_BYTES}: no event can match {topic!r}"
        )
    return key
