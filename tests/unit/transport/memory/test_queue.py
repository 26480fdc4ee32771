"""Order, turns and limits of one queue."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.transport.memory.entry import Entry
from bus_amqp.transport.memory.queue import MemoryQueue
from bus_amqp.wire.message import Message


class Holder:
    """A consumer that holds up to ``prefetch`` entries."""

    def __init__(self, prefetch: int = 1000) -> None:
        self.prefetch = prefetch
        self.entries: list[Entry] = []
        self.is_cancelled = False

    @property
    def has_credit(self) -> bool:
        return len(self.entries) < self.prefetch

    def deliver(self, entry: Entry) -> None:
        self.entries.append(entry)

    def cancel(self) -> None:
        self.is_cancelled = True

    @property
    def positions(self) -> list[int]:
        return [entry.position for entry in self.entries]


def _queue(count: int = 0, **arguments: Any) -> MemoryQueue:
    queue = MemoryQueue("q", {name.replace("_", "-"): value for name, value in arguments.items()}, now=0.0)
    for number in range(count):
        queue.put(Message("k", str(number).encode()), "bus")
    return queue


def _attach(queue: MemoryQueue, *holders: Holder) -> None:
    for holder in holders:
        queue.attach(holder)
    queue.dispatch()


def test_consumers_take_turns() -> None:
    """A group shares its work: the first member must not get it all."""
    queue, first, second = _queue(), Holder(), Holder()
    _attach(queue, first, second)
    for number in range(6):
        queue.put(Message("k", b""), str(number))

    queue.dispatch()

    assert (first.positions, second.positions) == ([0, 2, 4], [1, 3, 5])


def test_a_consumer_without_credit_is_passed_over() -> None:
    """A slow member must not hold up what another one could do."""
    queue, full, free = _queue(5), Holder(prefetch=1), Holder()

    _attach(queue, full, free)

    assert (len(full.entries), len(free.entries)) == (1, 4)


@given(order=st.permutations(range(3)), count=st.integers(0, 12))
def test_messages_given_back_by_several_consumers_find_their_old_order(order: list[int], count: int) -> None:
    """P3: whoever goes first, the queue is in publish order again; nothing is lost and nothing doubled."""
    queue = _queue(count)
    holders = [Holder(prefetch=3) for _ in range(3)]
    _attach(queue, *holders)

    for index in order:
        holder = holders[index]
        queue.detach(holder, now=1.0)
        queue.give_back(holder.entries)

    assert queue.bodies() == [str(number).encode() for number in range(count)]
    assert queue.unacked == 0


def test_only_the_first_of_single_active_consumers_gets_messages() -> None:
    """The others stand by, also while the active one has no credit left."""
    queue = _queue(5, x_single_active_consumer=True)
    active, standing_by = Holder(prefetch=2), Holder()

    _attach(queue, active, standing_by)
    assert (active.positions, standing_by.positions) == ([0, 1], [])
    queue.detach(active, now=1.0)
    queue.give_back(active.entries)
    queue.dispatch()

    assert standing_by.positions == [0, 1, 2, 3, 4]


def test_the_delivery_limit_counts_returns() -> None:
    """RabbitMQ's count: a limit of 2 means three deliveries in all."""
    queue = _queue(1, x_delivery_limit=2)

    exhausted: list[Entry] = []
    for _ in range(3):
        assert not exhausted
        holder = Holder()
        _attach(queue, holder)
        queue.detach(holder, now=1.0)
        exhausted = queue.give_back(holder.entries)

    assert [entry.position for entry in exhausted] == [0]
    assert queue.ready == 0


def test_a_queue_expires_only_when_nobody_consumes_for_long_enough() -> None:
    """A temporary subscription that is in use must never expire under it."""
    queue, holder = _queue(x_expires=5000), Holder()
    assert not queue.has_expired(4.9)
    assert queue.has_expired(5.0)

    queue.renew(4.0)
    assert not queue.has_expired(8.9)
    _attach(queue, holder)
    assert not queue.has_expired(1e9)
    queue.detach(holder, now=100.0)
    assert not queue.has_expired(104.9)
    assert queue.has_expired(105.0)


def test_a_queue_without_the_argument_never_expires() -> None:
    """Groups stay until somebody deletes them."""
    assert not _queue().has_expired(1e12)


def test_a_deleted_queue_tells_its_consumers() -> None:
    """P7: a consumer that does not hear of it waits for ever."""
    queue, holder = _queue(3), Holder(prefetch=1)
    _attach(queue, holder)

    queue.delete()

    assert holder.is_cancelled
    assert (queue.ready, queue.consumers) == (0, 0)
