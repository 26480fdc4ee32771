"""``bus_amqp.consume.lanes``: which delivery may be worked on now, against a plain model."""

from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus_amqp.consume.dead_letter import ROUTING_KEY
from bus_amqp.consume.lanes import Lanes, lane_of
from bus_amqp.wire.message import Delivery, Properties
from tests.unit.fakes import FakeDelivery

# What orders each key, written out: two resources, none, and a key of another shape.
LANES = {
    "ActionEvent.VM-START.VirtualMachine.vm-1.ms": "vm-1",
    "UsageEvent.VM-STOP.VirtualMachine.vm-1.agent": "vm-1",
    "ActionEvent.VM-START.VirtualMachine.vm-2.ms": "vm-2",
    "ActionEvent.LOGIN._._.ms": None,
    "a.key.of.another.shape.altogether": "a.key.of.another.shape.altogether",
}


@pytest.mark.parametrize(("key", "lane"), [*LANES.items(), ("a.b.c.%5F.e", "%5F"), ("", ""), ("a.b.c.d", "a.b.c.d")])
def test_the_resource_orders_and_events_without_one_are_free(key: str, lane: str | None) -> None:
    """P3: events of one uuid keep their order; a key of another shape is ordered with its own kind."""
    assert lane_of(FakeDelivery(routing_key=key)) == lane


def test_what_returns_from_a_wait_is_ordered_by_its_original_key() -> None:
    """P3: its own key is the queue's name: all that returns would be one lane, and its resource another."""
    headers = {ROUTING_KEY: "ActionEvent.VM-START.VirtualMachine.vm-1.ms"}
    delivery = FakeDelivery(routing_key="bus.events.billing", properties=Properties(headers=headers))
    assert lane_of(delivery, "bus.events.return") == "bus.events.billing", "anybody may write headers"

    for exchange in ("", "bus.events.return"):  # the first is how an operator puts a dead letter back
        delivery.exchange = exchange

        assert lane_of(delivery, "bus.events.return") == "vm-1"
    lanes = Lanes(is_keyed=True, return_exchange="bus.events.return")
    lanes.add([FakeDelivery(2, routing_key=headers[ROUTING_KEY]), delivery])
    assert len(lanes.take(5)) == 1


class LanesAgainstAList(RuleBasedStateMachine):
    """Lanes beside one list of what waits, in queue order."""

    is_keyed = True

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes(is_keyed=self.is_keyed)
        self.tags = 0
        self.waiting: list[Delivery] = []
        self.in_hand: list[list[Delivery]] = []  # batches, as workers hold them
        self.submitted: list[Delivery] = []  # of this session
        self.started: list[Delivery] = []  # of this session

    def busy(self) -> list[str]:
        lanes = [LANES[delivery.routing_key] for batch in self.in_hand for delivery in batch]
        return [lane for lane in lanes if lane is not None] if self.is_keyed else []

    @rule(keys=st.lists(st.sampled_from(list(LANES)), max_size=5))
    def add(self, keys: list[str]) -> None:
        deliveries = [FakeDelivery(self.tags + n, routing_key=key) for n, key in enumerate(keys)]
        self.tags += len(keys)
        self.lanes.add(deliveries)
        self.waiting += deliveries
        self.submitted += deliveries

    @precondition(lambda self: self.is_keyed or not self.in_hand)
    @rule(limit=st.integers(1, 4))
    def take(self, limit: int) -> None:
        taken = self.lanes.take(limit)

        assert len(taken) <= limit
        for delivery in taken:
            lane = LANES[delivery.routing_key]
            same = [one for one in self.waiting if not self.is_keyed or LANES[one.routing_key] == lane]
            if lane is not None or not self.is_keyed:
                assert delivery is same[0], "queue order within a lane"
            assert delivery in self.waiting, "handed out twice"
            self.waiting.remove(delivery)
        if taken:
            self.in_hand.append(taken)
        self.started += taken

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        batch = self.in_hand.pop(data.draw(st.integers(0, len(self.in_hand) - 1)))
        self.lanes.done(batch)

    @rule()
    def begin_session(self) -> None:
        self.lanes.forget_waiting()
        self.waiting, self.submitted, self.started = [], [], []

    @invariant()
    def never_two_of_a_lane_in_hand(self) -> None:
        busy = self.busy()
        assert len(busy) == len(set(busy))

    @invariant()
    def counts_what_waits_and_what_is_in_hand(self) -> None:
        assert len(self.lanes) == len(self.waiting)
        assert self.lanes.in_hand == sum(map(len, self.in_hand))

    @invariant()
    def offers_work_exactly_when_a_lane_is_free(self) -> None:
        busy = self.busy()
        free = [one for one in self.waiting if not self.is_keyed or LANES[one.routing_key] not in busy]
        assert self.lanes.has_ready == bool(free)

    def teardown(self) -> None:
        """Nothing is lost within a session: worked off to the end, everything was started exactly once."""
        while self.in_hand or self.waiting:
            while self.in_hand:
                self.lanes.done(self.in_hand.pop())
            self.take(3)
        assert sorted(one.tag for one in self.started) == [one.tag for one in self.submitted]
        assert len(self.lanes._behind) == 0, "a lane that is empty costs nothing"


class OneWorkerNeedsNoLanes(LanesAgainstAList):
    """Without keys, a single worker takes everything in queue order."""

    is_keyed = False


TestLanesAgainstAList = LanesAgainstAList.TestCase
TestLanesAgainstAList.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestOneWorkerNeedsNoLanes = OneWorkerNeedsNoLanes.TestCase
TestOneWorkerNeedsNoLanes.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


def test_a_lane_that_is_busy_stays_busy_in_a_new_session() -> None:
    """P3: after a reconnect the broker delivers again while the old handler still runs."""
    lanes = Lanes(is_keyed=True)
    key = "ActionEvent.VM-START.VirtualMachine.vm-1.ms"
    lanes.add([FakeDelivery(1, routing_key=key), FakeDelivery(2, routing_key=key)])
    old = lanes.take(1)

    lanes.forget_waiting()
    again = [FakeDelivery(1, routing_key=key), FakeDelivery(2, routing_key=key)]
    lanes.add(again)

    assert lanes.take(5) == []
    lanes.done(old)
    assert lanes.take(5) == again[:1]


def test_an_event_without_a_resource_waits_behind_its_own_handler_in_a_new_session() -> None:
    """P2: redelivered while its handler still runs, another worker would call the subscriber beside it."""
    lanes = Lanes(is_keyed=True)
    key = "ActionEvent.LOGIN._._.ms"
    first, other = (Properties(message_id=str(uuid4())) for _ in range(2))
    lanes.add([FakeDelivery(1, routing_key=key, properties=first)])
    old = lanes.take(1)

    for _ in range(3):  # the broker's consumer timeout ends one session after the other
        lanes.forget_waiting()
        again = FakeDelivery(1, routing_key=key, properties=first, redelivered=True)
        free = FakeDelivery(2, routing_key=key, properties=other, redelivered=True)
        lanes.add([again, free])
        assert lanes.take(5) == [free]
        lanes.done([free])

    lanes.done(old)
    assert lanes.take(5) == [again]
    lanes.done([again])
    assert (len(lanes._behind), len(lanes._outliving)) == (0, 0)
