"""``bus_amqp.consume.consumption``: one subscription between its workers and its channel."""

from collections.abc import Callable

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.consume.consumption import Consumption, Letter, RestoreFailed
from bus_amqp.consume.dead_letter import REASON, DeadLetter, DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.outage import earliest
from bus_amqp.consume.patient_lanes import PatientLanes
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.errors import AccessRefusedError, EventBusException, UnroutableError
from bus_amqp.health import Gap
from bus_amqp.topology.plan import Plan
from bus_amqp.wire.message import Message
from tests.unit.fakes import FakeConsumeChannel, FakeDelivery, a_subscription_id, an_event

LETTER = DeadLetter("exception", "boom")


class Desk:
    """A consumption whose letters and copies are written down."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.wakes: list[None] = []
        self.copies: list[tuple[Message, Callable[[EventBusException | None], None]]] = []
        self.waiting: list[tuple[SecondChance, Callable[[EventBusException | None], None]]] = []
        self.consumption = Consumption(
            a_subscription_id(),
            queue="bus.events.billing",
            plan=Plan(),
            prefetch=8,
            dispatcher=Dispatcher(is_keyed=True),
            address=DeadLetterAddress("bus.events.dead", "billing", "bus.events.billing", subscriber="unit"),
            post=self.letters.append,
            wake=lambda: self.wakes.append(None),
            backoff=Backoff(),
            republish=lambda message, on_done: self.copies.append((message, on_done)),
            postpone=lambda delivery, chance, address, on_done: self.waiting.append((chance, on_done)),
            uniform=lambda low, high: low,
        )
        self.channel = FakeConsumeChannel("bus.events.billing", 8)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_a_worker_has_handled_waits_for_the_consumer_thread(desk: Desk) -> None:
    """A worker never touches the channel, which the consumer thread owns; a wake for each event would cost too much."""
    desk.consumption.began(desk.channel)
    desk.consumption.accept(0, FakeDelivery(1))
    desk.consumption.accept(0, FakeDelivery(2))
    assert (desk.channel.accepted, desk.wakes) == ([], [])

    desk.consumption.settle_soon()
    assert len(desk.wakes) == 1
    desk.consumption.settle()

    assert desk.channel.accepted == [1, 2]


def test_a_dead_letter_is_acknowledged_only_when_its_copy_is_stored(desk: Desk) -> None:
    """P5: acknowledged earlier, a crash between the two would lose the event."""
    desk.consumption.began(desk.channel)
    desk.consumption.dead_letter(0, FakeDelivery(7, b"body"), LETTER)

    [(message, on_done)] = desk.copies
    assert message.headers is not None
    assert message.headers[REASON] == "exception"
    desk.consumption.settle()
    assert desk.channel.accepted == []
    on_done(None)
    assert len(desk.wakes) == 1
    desk.consumption.settle()
    assert desk.channel.accepted == [7]


def test_a_copy_that_is_not_stored_leaves_the_original_and_has_the_queues_restored(desk: Desk) -> None:
    """P5, P7: somebody deleted the dead-letter queue; the broker keeps the event until it is back."""
    desk.consumption.dead_letter(3, FakeDelivery(7, b"body"), LETTER)

    desk.copies[0][1](UnroutableError("no queue took it"))

    [letter] = desk.letters
    assert isinstance(letter, RestoreFailed)
    assert letter.session == 3
    assert "dead-letter queue" in str(letter.error)
    assert "no queue took it" in str(letter.error), "who reads the log wants to know why"


def test_a_body_that_was_discarded_is_dead_lettered_by_the_broker(desk: Desk) -> None:
    """P5: five megabytes that nobody holds cannot be copied; the queue's own dead-lettering moves the whole."""
    desk.consumption.began(desk.channel)
    desk.consumption.dead_letter(0, FakeDelivery(7, None, body_bytes=5_000_000), DeadLetter("too-large", "too large"))
    desk.consumption.settle()

    assert desk.copies == []
    assert (desk.channel.accepted, desk.channel.discarded) == ([], [7])


def test_settlements_gather_and_go_out_together(desk: Desk) -> None:
    """One acknowledgement for many deliveries; each exactly once."""
    desk.consumption.began(desk.channel)
    for tag in (1, 2, 3):
        desk.consumption.accept(0, FakeDelivery(tag))
    desk.consumption.dead_letter(0, FakeDelivery(4, None, body_bytes=5_000_000), LETTER)

    desk.consumption.settle()
    desk.consumption.settle()

    assert (desk.channel.accepted, desk.channel.discarded) == ([1, 2, 3], [4])


def test_the_end_of_a_channel_ends_its_session_and_its_settlements(desk: Desk) -> None:
    """Tags of a channel that is gone mean other messages, or nobody's, on the next one."""
    desk.consumption.began(desk.channel)
    desk.consumption.dispatcher.submit([FakeDelivery(1)])
    desk.consumption.accept(0, FakeDelivery(1))

    desk.consumption.ended("connection lost")
    fresh = FakeConsumeChannel("bus.events.billing", 8)
    desk.consumption.began(fresh)
    desk.consumption.settle()

    assert desk.consumption.dispatcher.session == 1
    assert desk.consumption.dispatcher.waiting == 0
    assert (desk.channel.accepted, fresh.accepted) == ([], [])


def test_settling_without_a_channel_does_nothing(desk: Desk) -> None:
    """The connection may be lost between a handler's end and its acknowledgement."""
    desk.consumption.accept(0, FakeDelivery(1))

    desk.consumption.settle()

    assert desk.channel.accepted == []


def test_health_says_consuming_and_why_not(desk: Desk) -> None:
    """P7: *consuming*, not *TCP is up*."""
    before = desk.consumption.health()
    assert (before.is_consuming, before.reason) == (False, "not consuming yet")

    desk.consumption.began(desk.channel)
    desk.consumption.dispatcher.submit([FakeDelivery(1), FakeDelivery(2)])
    desk.consumption.dispatcher.take_now(1)
    during = desk.consumption.health()
    desk.consumption.ended("the queue was deleted")
    after = desk.consumption.health()

    assert (during.is_consuming, during.running, during.waiting, during.reason) == (True, 1, 1, "")
    assert (after.is_consuming, after.running, after.waiting, after.reason) == (False, 1, 0, "the queue was deleted")
    assert during.queue == "bus.events.billing"
    assert during.subscription_id == desk.consumption.subscription_id
    assert "the queue was deleted" in repr(desk.consumption)


def test_gaps_are_kept_and_bounded(desk: Desk) -> None:
    """P2: a gap is reported with its times; a queue that is deleted every minute must not fill the memory."""
    moment = an_event().event_time
    gaps = [Gap(moment, moment) for _ in range(25)]

    for gap in gaps:
        desk.consumption.report_gap(gap)

    assert desk.consumption.health().gaps == tuple(gaps[-10:])
    assert desk.consumption.health().gaps[-1] is gaps[-1]


def test_the_earliest_of_several_moments() -> None:
    """The loop sleeps until the first retry that is due."""
    assert earliest([None, 3.0, 2.0, None]) == 2.0
    assert earliest([None, None]) is None
    assert earliest([]) is None


def test_a_failed_event_waits_elsewhere_before_it_is_acknowledged(desk: Desk) -> None:
    """P5: the original stays with the broker until the copy that waits is stored."""
    desk.consumption.began(desk.channel)
    chance = SecondChance(5, "boom", 1)
    desk.consumption.retry(0, FakeDelivery(7, b"body"), chance)
    desk.consumption.settle()
    assert desk.channel.accepted == []

    [(postponed, stored)] = desk.waiting
    assert postponed is chance
    stored(None)
    desk.consumption.settle()

    assert desk.channel.accepted == [7]
    assert desk.letters == []


def test_an_event_that_can_wait_nowhere_is_dead_lettered(desk: Desk) -> None:
    """No right to make a rung: delivered again at once, it would fail for ever and no attempt would be counted."""
    desk.consumption.retry(0, FakeDelivery(7, b"body"), SecondChance(5, "boom", 2))

    desk.waiting[0][1](AccessRefusedError("no right to configure bus.events.wait.5s"))

    [(message, _)] = desk.copies
    assert (message.exchange, message.headers["x-bus-attempts"]) == ("bus.events.dead", 2)  # type: ignore[index]  # copies have headers
    assert "no right" in str(message.headers["x-bus-exception"])  # type: ignore[index]  # the same
    assert desk.letters == []


def test_an_event_that_cannot_wait_just_now_is_delivered_again(desk: Desk) -> None:
    """P2: the broker keeps the original until there is a copy."""
    desk.consumption.retry(3, FakeDelivery(7, b"body"), SecondChance(5, "boom", 2))

    desk.waiting[0][1](UnroutableError("no queue took it"))

    [letter] = desk.letters
    assert isinstance(letter, RestoreFailed)
    assert letter.session == 3
    assert desk.copies == []


def test_what_stays_in_hand_knows_its_failures_and_comes_back_a_little_early(desk: Desk) -> None:
    """``keep_order``: the same jitter as on the ladder, and the headers that a copy would have."""
    delivery = FakeDelivery(7, b"body")

    assert desk.consumption.keep(delivery, SecondChance(10, "boom", 1)) == 8.0
    assert delivery.noted["x-bus-attempts"] == 1


def test_health_tells_that_a_subscription_stands_still(desk: Desk) -> None:
    """P7: the broker delivers, and nothing new is started: that is not consuming."""
    desk.consumption.dispatcher = Dispatcher(lanes=PatientLanes(prefetch=2, clock=lambda: 0.0))
    desk.consumption.began(desk.channel)
    assert desk.consumption.health().is_consuming

    desk.consumption.dispatcher.submit([FakeDelivery(1)])
    batch = desk.consumption.dispatcher.take_now(1)
    assert batch is not None
    desk.consumption.dispatcher.done(batch, [(batch.deliveries[0], 5.0)])

    health = desk.consumption.health()
    assert not health.is_consuming
    assert "stands still" in health.reason
