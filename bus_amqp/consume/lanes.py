"""Which delivery may be worked on now: one at a time for each resource, in queue order.

A pure state machine: no lock, no thread, no clock; ``Dispatcher`` puts those around it.  Rules: never two of
one lane in hand at once, not even across sessions; within a lane, queue order; a new session forgets what
was not started, because the broker delivers it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence

from bus_amqp.consume.handled import key_of
from bus_amqp.consume.second_chance import original_key
from bus_amqp.wire.key_words import ABSENT
from bus_amqp.wire.message import Delivery

KEY_WORDS = 5


LaneOfKey = Callable[[str], str | None]


def resource_of(key: str) -> str | None:
    """Return what orders messages with this routing key of ours, None: nothing does.

    The key's fourth word stands for the uuid one to one, so equal words are equal resources; that is all
    that is read from a key.  A key of another shape is ordered with its own kind.
    """
    words = key.split(".")
    if len(words) != KEY_WORDS:
        return key
    return None if words[3] == ABSENT else words[3]


def lane_of(delivery: Delivery, return_exchange: str = "", lane_of_key: LaneOfKey = resource_of) -> str | None:
    """Return what orders this delivery, None: nothing does.

    What returns from a wait, or is put back by an operator (through the default exchange), has its queue's name for a
    key; only such a delivery pays for having its headers parsed.
    """
    is_direct = delivery.exchange in ("", return_exchange)
    return lane_of_key(original_key(delivery) if is_direct else delivery.routing_key)


class Lanes:
    """Deliveries that wait, and the lanes that are busy.

    ``is_keyed`` False: a single worker takes everything in queue order, and needs no lanes to keep it.
    """

    is_patient = False  # whether what failed is kept here until its next attempt
    why_still = ""

    def __init__(self, *, is_keyed: bool, return_exchange: str = "", lane_of_key: LaneOfKey = resource_of) -> None:
        self._is_keyed = is_keyed
        self._lane_of_key = lane_of_key
        self._return_exchange = return_exchange
        self._ready: deque[Delivery] = deque()
        self._behind: dict[Hashable, deque[Delivery]] = {}  # lanes with one ready or in hand: what waits behind it
        self._lanes_in_hand: dict[int, Hashable] = {}  # id() of the delivery -> its lane; empty without keys
        self._in_hand = 0
        self._free_in_hand: dict[int, Delivery] = {}  # those without a lane, by their id()
        # Keys of those that were in hand when a session ended: each is a lane of its own until it is done.
        self._outliving: set[Hashable] = set()

    def __len__(self) -> int:
        """Return how many wait, ready or behind another."""
        return len(self._ready) + sum(map(len, self._behind.values()))

    def __repr__(self) -> str:
        return f"<Lanes {len(self._ready)} ready, {self._in_hand} in hand, {len(self._behind)} lanes busy>"

    @property
    def in_hand(self) -> int:
        """How many deliveries workers have taken and not finished."""
        return self._in_hand

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` would return something."""
        return bool(self._ready)

    def add(self, deliveries: Iterable[Delivery]) -> None:
        """Queue deliveries, in the order in which the broker sent them."""
        if not self._is_keyed:
            self._ready.extend(deliveries)
            return
        for delivery in deliveries:
            lane = self._lane(delivery)
            if lane is None:
                self._ready.append(delivery)
            elif (behind := self._behind.get(lane)) is not None:
                behind.append(delivery)
            else:
                self._behind[lane] = deque()
                self._ready.append(delivery)

    def take(self, limit: int) -> list[Delivery]:
        """Hand out up to ``limit`` deliveries; with lanes, no two of one lane."""
        ready = self._ready
        taken = [ready.popleft() for _ in range(min(limit, len(ready)))]
        self._in_hand += len(taken)
        if self._is_keyed:
            for delivery in taken:
                self._lanes_in_hand[id(delivery)] = lane = self._lane(delivery)
                if lane is None:
                    self._free_in_hand[id(delivery)] = delivery
        return taken

    def _lane(self, delivery: Delivery) -> Hashable:
        lane = lane_of(delivery, self._return_exchange, self._lane_of_key)
        if lane is None and self._outliving and delivery.redelivered and (key := key_of(delivery)) in self._outliving:
            return key
        return lane

    def seconds_until_due(self) -> float | None:
        """Return when there will be more to take without anybody doing anything.  None: never."""
        return None

    def done(self, deliveries: Sequence[Delivery], kept: Sequence[tuple[Delivery, float]] = ()) -> None:
        """Take back deliveries that were handed out: the next of their lanes may start.  Keeps none of them."""
        self._in_hand -= len(deliveries)
        if not self._is_keyed:
            return
        for delivery in deliveries:
            lane = self._lanes_in_hand.pop(id(delivery))
            if lane is None:
                self._free_in_hand.pop(id(delivery), None)
                continue
            behind = self._behind[lane]
            if behind:
                self._ready.append(behind.popleft())
            else:
                del self._behind[lane]
                self._outliving.discard(lane)

    def forget_waiting(self) -> None:
        """Drop what was not started; lanes in hand stay busy until they are done.

        The broker delivers again what is in hand: an event without a lane must wait behind its own handler, too.
        """
        self._ready.clear()
        for number, delivery in list(self._free_in_hand.items()):
            if (key := key_of(delivery)) is not None and key not in self._outliving:
                self._lanes_in_hand[number] = key
                self._outliving.add(key)
                del self._free_in_hand[number]
        self._outliving.intersection_update(self._lanes_in_hand.values())
        self._behind = {lane: deque() for lane in self._lanes_in_hand.values() if lane is not None}
