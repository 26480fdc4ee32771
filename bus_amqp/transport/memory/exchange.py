"""``MemoryExchange``: which queues a routing key leads to.  Guarded by the broker's lock.

Topic bindings without ``#`` are looked up and not compared one by one: those that have their ``*`` at the same
places share one dictionary, so a key costs one look-up for each such shape however many subscriptions there are.
"""

from __future__ import annotations

from collections.abc import Mapping

from bus_amqp.topic import words_match
from bus_amqp.transport.memory.queue import MemoryQueue

KINDS = ("topic", "direct", "fanout")
_CACHED_KEYS = 10_000  # keys carry uuids: without a bound the cache would remember every resource there ever was

_Shape = tuple[int, tuple[int, ...]]  # how many words, and the positions of those that are no '*'
_Queues = dict[MemoryQueue, None]  # a set that keeps its order


class MemoryExchange:
    """Bindings of one exchange."""

    def __init__(self, name: str, kind: str, arguments: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.kind = kind
        self.arguments = dict(arguments or {})
        self._bindings: dict[tuple[str, MemoryQueue], None] = {}
        self._by_shape: dict[_Shape, dict[tuple[str, ...], _Queues]] = {}
        self._open_ended: list[tuple[tuple[str, ...], MemoryQueue]] = []  # with '#'
        self._cache: dict[str, tuple[MemoryQueue, ...]] = {}

    def __repr__(self) -> str:
        return f"<MemoryExchange {self.name!r} {self.kind}, {len(self._bindings)} bindings>"

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what no binding takes."""
        return self.arguments.get("alternate-exchange")

    def bind(self, queue: MemoryQueue, key: str) -> None:
        """Add a binding; one that is there already stays one."""
        if (key, queue) in self._bindings:
            return
        self._bindings[key, queue] = None
        self._index(key, queue)
        self._cache.clear()

    def unbind_all(self, queue: MemoryQueue) -> None:
        """Forget a queue that is gone."""
        self._bindings = {binding: None for binding in self._bindings if binding[1] is not queue}
        self._by_shape.clear()
        self._open_ended.clear()
        self._cache.clear()
        for key, bound in self._bindings:
            self._index(key, bound)

    def bindings(self) -> list[tuple[str, str]]:
        """Return key and queue name of each binding."""
        return [(key, queue.name) for key, queue in self._bindings]

    def queues_for(self, routing_key: str) -> tuple[MemoryQueue, ...]:
        """Return the queues that get a message with this key, each once however many bindings match."""
        queues = self._cache.get(routing_key)
        if queues is None:
            if len(self._cache) >= _CACHED_KEYS:
                self._cache.clear()
            queues = self._cache[routing_key] = tuple(self._match(routing_key))
        return queues

    def _index(self, key: str, queue: MemoryQueue) -> None:
        if self.kind != "topic":
            return
        words = _words(key)
        if "#" in words:
            self._open_ended.append((words, queue))
            return
        fixed = tuple(position for position, word in enumerate(words) if word != "*")
        by_words = self._by_shape.setdefault((len(words), fixed), {})
        by_words.setdefault(tuple(words[position] for position in fixed), {})[queue] = None

    def _match(self, routing_key: str) -> _Queues:
        if self.kind == "fanout":
            return {queue: None for _, queue in self._bindings}
        if self.kind == "direct":
            return {queue: None for key, queue in self._bindings if key == routing_key}
        words = _words(routing_key)
        found: _Queues = {}
        for (length, fixed), by_words in self._by_shape.items():
            if length == len(words):
                found.update(by_words.get(tuple(words[position] for position in fixed), {}))
        for pattern, queue in self._open_ended:
            if words_match(pattern, words):
                found[queue] = None
        return found


def _words(key: str) -> tuple[str, ...]:
    # The empty key has no words, and str.split would make one empty word of it.
    return tuple(key.split(".")) if key else ()
