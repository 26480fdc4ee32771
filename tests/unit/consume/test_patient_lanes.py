"""``bus_amqp.consume.patient_lanes``: what failed keeps its lane, others go on, and not too much is hoarded."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus_amqp.consume.patient_lanes import LONGEST_SECONDS, PatientLanes
from bus_amqp.wire.message import Delivery
from tests.unit.fakes import FakeDelivery


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def of(resource: str, tag: int) -> FakeDelivery:
    return FakeDelivery(tag, routing_key=f"ActionEvent.VM-START.VirtualMachine.{resource}.ms")


def resource_of(delivery: Delivery) -> str | None:
    word = delivery.routing_key.split(".")[3]
    return None if word == "_" else word


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lanes_with(clock: Clock, *resources: str, prefetch: int = 100) -> tuple[PatientLanes, list[FakeDelivery]]:
    lanes = PatientLanes(prefetch=prefetch, clock=clock)
    deliveries = [of(resource, tag) for tag, resource in enumerate(resources, 1)]
    lanes.add(deliveries)
    return lanes, deliveries


def fail(lanes: PatientLanes, delay_seconds: float = 10.0) -> Delivery:
    """Take one delivery and give it back as failed."""
    [delivery] = lanes.take(1)
    lanes.done([delivery], [(delivery, delay_seconds)])
    return delivery


def test_a_failed_delivery_keeps_its_lane_until_its_time_has_come(clock: Clock) -> None:
    """P3: what came later waits behind it; other resources do not."""
    lanes, (first, second, other) = lanes_with(clock, "vm-1", "vm-1", "vm-2")

    assert fail(lanes) is first
    assert lanes.take(5) == [other]
    assert (lanes.has_ready, lanes.seconds_until_due()) == (False, 10.0)
    clock.now += 9.9
    assert lanes.take(5) == []
    clock.now += 0.1
    assert (lanes.has_ready, lanes.seconds_until_due()) == (True, 0.0)
    assert lanes.take(5) == [first]
    assert lanes.seconds_until_due() is None
    lanes.done([first])
    assert lanes.take(5) == [second]


def test_what_failed_and_what_did_not_come_back_in_one_batch(clock: Clock) -> None:
    """A single worker takes a batch, and some of it fails."""
    lanes, (first, second, third) = lanes_with(clock, "vm-1", "vm-2", "vm-1")

    batch = lanes.take(5)
    lanes.done(batch, [(first, 10.0)])

    assert batch == [first, second]
    assert (lanes.in_hand, len(lanes)) == (0, 2)
    clock.now += 10
    assert lanes.take(5) == [first]
    lanes.done([first])
    assert lanes.take(5) == [third]


def test_half_the_prefetch_behind_failures_is_enough(clock: Clock) -> None:
    """The rest of the prefetch would follow: nothing new is started until what failed is through."""
    lanes, deliveries = lanes_with(clock, "vm-1", "vm-1", "vm-1", "vm-2", prefetch=8)
    fail(lanes)
    assert not lanes.why_still
    lanes.add([of("vm-1", 5)])

    assert "stands still" in lanes.why_still
    assert (lanes.has_ready, lanes.take(5)) == (False, [])
    clock.now += 10
    assert lanes.take(5) == deliveries[:1]
    assert lanes.take(5) == [], "still, while it is tried once more"
    lanes.done(deliveries[:1])
    assert not lanes.why_still
    assert set(lanes.take(5)) == {deliveries[1], deliveries[3]}


def test_ten_minutes_behind_a_failure_are_enough(clock: Clock) -> None:
    """However little waits: counted from the first failure, not from the last."""
    lanes, (first, other) = lanes_with(clock, "vm-1", "vm-2")
    for _ in range(3):
        assert fail(lanes, LONGEST_SECONDS / 2 - 1) is first
        assert not lanes.why_still
        clock.now += LONGEST_SECONDS / 2 - 1
        if lanes.why_still:
            break
        lanes.done(lanes.take(0))
    clock.now += 2

    assert "stands still" in lanes.why_still
    assert lanes.take(5) == [first]
    lanes.done([first])
    assert not lanes.why_still
    assert lanes.take(5) == [other]


def test_events_without_a_resource_wait_alone(clock: Clock) -> None:
    """Nothing orders them."""
    lanes, (first, second) = lanes_with(clock, "_", "_")

    assert fail(lanes) is first
    assert lanes.take(5) == [second]
    clock.now += 10
    assert lanes.take(5) == [first]


def test_a_new_session_forgets_what_was_kept(clock: Clock) -> None:
    """The broker delivers it again: kept too, it would be handled twice, and its lane held for nothing."""
    lanes, _ = lanes_with(clock, "vm-1", "vm-1")
    fail(lanes, 600)

    lanes.forget_waiting()

    assert (len(lanes), lanes.seconds_until_due(), lanes.why_still) == (0, None, "")
    again = of("vm-1", 1)
    lanes.add([again])
    assert lanes.take(5) == [again]


class PatienceAgainstAList(RuleBasedStateMachine):
    """Any mixture of failures and successes: each resource is handled in order, and nothing twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.lanes = PatientLanes(prefetch=1000, clock=self.clock)
        self.submitted: list[FakeDelivery] = []
        self.in_hand: list[list[Delivery]] = []
        self.due: dict[int, float] = {}
        self.handled: list[Delivery] = []

    @rule(resources=st.lists(st.sampled_from(["vm-1", "vm-2", "_"]), max_size=4))
    def add(self, resources: list[str]) -> None:
        deliveries = [of(resource, len(self.submitted) + n) for n, resource in enumerate(resources)]
        self.submitted += deliveries
        self.lanes.add(deliveries)

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        batch = self.lanes.take(limit)
        for delivery in batch:
            assert self.due.pop(delivery.tag, 0.0) <= self.clock.now, "before its time"
        if batch:
            self.in_hand.append(batch)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(self.in_hand) - 1))
        batch = self.in_hand[position]
        delays = [data.draw(st.integers(0, 5)) for _ in batch]  # 0: handled
        del self.in_hand[position]  # after the last draw, which may end the example
        kept = [(one, float(delay)) for one, delay in zip(batch, delays, strict=True) if delay]
        self.lanes.done(batch, kept)
        self.due.update({one.tag: self.clock.now + seconds for one, seconds in kept})
        self.handled += [one for one in batch if one.tag not in self.due]

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @invariant()
    def never_two_of_a_lane_in_hand_and_each_in_order(self) -> None:
        busy = [word for batch in self.in_hand for one in batch if (word := resource_of(one))]
        assert len(busy) == len(set(busy))
        for resource in ("vm-1", "vm-2"):
            tags = [one.tag for one in self.handled if resource_of(one) == resource]
            assert tags == [one.tag for one in self.submitted if resource_of(one) == resource][: len(tags)]

    @invariant()
    def counts_agree(self) -> None:
        in_hand = sum(map(len, self.in_hand))
        assert self.lanes.in_hand == in_hand
        assert len(self.lanes) == len(self.submitted) - len(self.handled) - in_hand

    def teardown(self) -> None:
        """Nothing is lost: worked off to the end, everything was handled exactly once."""
        while self.in_hand or len(self.lanes):
            while self.in_hand:
                batch = self.in_hand.pop()
                self.lanes.done(batch)
                self.handled += batch
            self.clock.now += 10
            self.take(3)
            assert self.in_hand or not len(self.lanes), "nothing is handed out any more"
        assert sorted(one.tag for one in self.handled) == [one.tag for one in self.submitted]
        assert len(self.lanes) == len(self.lanes._behind) == len(self.lanes._troubles) == 0


TestPatienceAgainstAList = PatienceAgainstAList.TestCase
TestPatienceAgainstAList.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
