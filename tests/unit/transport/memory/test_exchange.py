"""Routing inside one exchange."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.topic import words_match
from bus_amqp.transport.memory.exchange import _CACHED_KEYS, MemoryExchange
from bus_amqp.transport.memory.queue import MemoryQueue

_words = st.sampled_from(["a", "b", "", "_"])
_keys = st.lists(_words, max_size=6).map(".".join)
_patterns = st.lists(st.sampled_from(["a", "b", "", "*", "#"]), max_size=6).map(".".join)


def _queue(name: str = "q") -> MemoryQueue:
    return MemoryQueue(name, {}, now=0.0)


def _split(key: str) -> tuple[str, ...]:
    return tuple(key.split(".")) if key else ()


@given(patterns=st.lists(_patterns, min_size=1, max_size=8), key=_keys)
def test_the_index_finds_what_comparing_word_by_word_finds(patterns: list[str], key: str) -> None:
    """The look-up by shapes is an optimisation: the rule stays the one that ``EventTopic.matches`` has, too."""
    exchange = MemoryExchange("bus", "topic")
    queues = [_queue(pattern) for pattern in patterns]
    for queue, pattern in zip(queues, patterns, strict=True):
        exchange.bind(queue, pattern)

    found = exchange.queues_for(key)

    wanted = [queue for queue in queues if words_match(_split(queue.name), _split(key))]
    assert set(found) == set(wanted)
    assert len(found) == len(wanted)


def test_a_new_binding_counts_for_keys_that_were_seen_before() -> None:
    """A remembered answer must not outlive the bindings that it was made from."""
    exchange, first, second = MemoryExchange("bus", "topic"), _queue("first"), _queue("second")
    exchange.bind(first, "a.*")
    assert exchange.queues_for("a.b") == (first,)

    exchange.bind(second, "*.b")
    assert set(exchange.queues_for("a.b")) == {first, second}

    exchange.unbind_all(first)
    assert exchange.queues_for("a.b") == (second,)
    assert exchange.bindings() == [("*.b", "second")]


def test_binding_twice_is_one_binding() -> None:
    """Every reconnect binds again."""
    exchange, queue = MemoryExchange("bus", "topic"), _queue()

    exchange.bind(queue, "a.#")
    exchange.bind(queue, "a.#")

    assert exchange.bindings() == [("a.#", "q")]
    assert exchange.queues_for("a.b") == (queue,)


@pytest.mark.parametrize(
    ("kind", "key", "is_taken"),
    [("direct", "a.*", True), ("direct", "a.b", False), ("fanout", "anything", True), ("topic", "a.b", True)],
)
def test_each_type_of_exchange_has_its_own_rule(kind: str, key: str, is_taken: bool) -> None:
    """Dead letters go by the exact key, retries by no key at all."""
    exchange, queue = MemoryExchange("x", kind), _queue()

    exchange.bind(queue, "a.*")

    assert (queue in exchange.queues_for(key)) is is_taken


def test_the_memory_for_keys_is_bounded() -> None:
    """Keys carry uuids: a long run would otherwise remember every resource there ever was."""
    exchange, queue = MemoryExchange("bus", "topic"), _queue()
    exchange.bind(queue, "#")

    for number in range(_CACHED_KEYS + 10):
        exchange.queues_for(f"a.{number}")

    assert len(exchange._cache) <= _CACHED_KEYS
    assert exchange.queues_for("a.0") == (queue,)
