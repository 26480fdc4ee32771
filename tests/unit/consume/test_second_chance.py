"""``bus_amqp.consume.second_chance``: what becomes of a delivery that failed, and the copy that waits."""

import pytest

from bus_amqp.consume.dead_letter import (
    ATTEMPTS,
    EXCHANGE,
    FIRST_FAILURE,
    MAX_ATTEMPTS,
    REASON,
    ROUTING_KEY,
    DeadLetter,
    DeadLetterAddress,
    dead_letter_message,
)
from bus_amqp.consume.second_chance import POSTPONED, SecondChance, judged, noted, original_key, waiting_copy
from bus_amqp.retry import MAX_POSTPONEMENTS, NO_RETRY, RetryLater, RetryPolicy
from bus_amqp.wire.message import HeaderValue, Message, Properties
from tests.unit.fakes import FakeDelivery

RETURN = "bus.events.return"
QUEUE = "bus.events.billing"
ADDRESS = DeadLetterAddress("bus.events.dead", "billing", QUEUE, subscriber="unit", return_exchange=RETURN)
POLICY = RetryPolicy(attempts=3, delays_seconds=(1, 5))
BOOM = LookupError("boom")


def fresh(headers: dict[str, HeaderValue] | None = None) -> FakeDelivery:
    properties = Properties("application/json", "17", 1_700_000_000, "VM.START", "agent", headers or {})
    return FakeDelivery(body=b"body", routing_key="a.b.c.d.e", properties=properties)


def returned(headers: dict[str, HeaderValue]) -> FakeDelivery:
    delivery = FakeDelivery(body=b"body", routing_key=QUEUE, properties=Properties(headers=headers))
    delivery.exchange = RETURN
    return delivery


def decide(delivery: FakeDelivery, error: BaseException = BOOM, policy: RetryPolicy = POLICY) -> object:
    return judged(delivery, error, policy, RETURN, "why")


def copy_of(delivery: FakeDelivery, chance: SecondChance, share: float = 0.8) -> Message:
    return waiting_copy(delivery, chance, ADDRESS, lambda rung: f"wait-{rung}", lambda low, high: share)


def test_attempts_count_on_through_the_copies() -> None:
    """Each copy carries the count to whichever process gets it next."""
    first = decide(fresh())
    assert first == SecondChance(1, "why", attempts=1)
    second = decide(returned(dict(copy_of(fresh(), first).headers or {})))  # type: ignore[arg-type]  # just compared
    assert second == SecondChance(5, "why", attempts=2)
    third = decide(returned({ATTEMPTS: 2}))
    assert third == DeadLetter("exception", "why", attempts=3)


@pytest.mark.parametrize("attempts", [2, 99])
def test_what_an_operator_puts_back_begins_afresh(attempts: int) -> None:
    """It comes by another way than the return exchange; its old count would leave it one attempt, or none."""
    assert decide(fresh({ATTEMPTS: attempts, POSTPONED: 99})) == SecondChance(1, "why", attempts=1)


@pytest.mark.parametrize(("foreign", "attempts"), [("many", 1), (-5, 1), (None, 1), (2**63 - 1, MAX_ATTEMPTS + 1)])
def test_foreign_counts_do_no_harm(foreign: HeaderValue, attempts: int) -> None:
    """Headers are input like everything else from the wire; a count must stay one that can be written."""
    outcome = decide(returned({ATTEMPTS: foreign}), policy=NO_RETRY)

    assert outcome == DeadLetter("exception", "why", attempts=attempts)
    assert attempts < 2**31


def test_later_uses_up_no_attempt_and_has_a_bound_of_its_own() -> None:
    """A subscriber that says "later" has not failed; one that says nothing else would keep its event for ever."""
    later = RetryLater(20)

    assert decide(fresh(), later, NO_RETRY) == SecondChance(20, "why", attempts=0, postponements=1)
    assert decide(returned({ATTEMPTS: 2, POSTPONED: 7}), later) == SecondChance(20, "why", 2, 8)
    assert decide(returned({ATTEMPTS: 2, POSTPONED: 7})) == DeadLetter("exception", "why", attempts=3)
    last = decide(returned({POSTPONED: MAX_POSTPONEMENTS}), later)
    assert isinstance(last, DeadLetter)
    assert last.reason == "postponed"


def test_a_copy_waits_on_its_rung_and_knows_its_queue() -> None:
    """By the key it returns to who failed, and to nobody else; mandatory, so that it is stored or known not to be."""
    message = copy_of(fresh({"tenant": "a"}), SecondChance(20, "why", 1))

    assert (message.exchange, message.routing_key, message.mandatory) == ("wait-30", QUEUE, True)
    assert (message.body, message.message_id, message.timestamp) == (b"body", "17", 1_700_000_000)
    assert (message.type, message.app_id, message.content_type) == ("VM.START", "agent", "application/json")
    assert message.headers is not None
    assert {"tenant": "a", ATTEMPTS: 1, ROUTING_KEY: "a.b.c.d.e", EXCHANGE: "bus.events"}.items() <= dict(
        message.headers
    ).items()
    assert message.headers[REASON] == "astray", "read only if it cannot return"


@pytest.mark.parametrize(("share", "milliseconds"), [(0.8, 24_000), (1.0, 30_000)])
def test_what_failed_together_does_not_return_together(share: float, milliseconds: int) -> None:
    """Jitter takes up to a fifth of the rung, and never adds: the queue's own bound would cut it."""
    assert copy_of(fresh(), SecondChance(20, "why", 1), share).expiration_ms == milliseconds


def test_jitter_is_asked_for_within_its_bounds() -> None:
    """``uniform(0.8, 1)``."""
    asked: list[tuple[float, float]] = []

    waiting_copy(fresh(), SecondChance(1, "why", 1), ADDRESS, str, lambda low, high: asked.append((low, high)) or 1.0)

    assert asked == [(0.8, 1.0)]


def test_a_returned_delivery_tells_its_original_key() -> None:
    """Its own is the queue's name, the same for all: ordering by that would be one lane."""
    assert original_key(returned({ROUTING_KEY: "a.b.c.d.e"})) == "a.b.c.d.e"
    assert original_key(returned({})) == QUEUE


def test_a_delivery_that_stays_in_hand_counts_by_what_was_noted() -> None:
    """``keep_order``: nothing is sent, and the dead letter at the end tells the same as after copies."""
    delivery = fresh({"tenant": "a"})
    for attempt in (1, 2):
        chance = decide(delivery)
        assert isinstance(chance, SecondChance)
        assert chance.attempts == attempt
        delivery.noted = noted(delivery, chance, ADDRESS)
    first_failure = delivery.noted[FIRST_FAILURE]

    letter = decide(delivery)

    assert letter == DeadLetter("exception", "why", attempts=3)
    headers = dead_letter_message(delivery, letter, ADDRESS).headers or {}  # type: ignore[arg-type]  # just compared
    assert (headers["tenant"], headers[ATTEMPTS], headers[FIRST_FAILURE]) == ("a", 3, first_failure)


def test_the_postponements_of_an_earlier_life_are_not_carried_on() -> None:
    """Put back by an operator, the event has its thousand again."""
    chance = decide(fresh({POSTPONED: 999}))

    assert isinstance(chance, SecondChance)
    assert POSTPONED not in (copy_of(fresh({POSTPONED: 999}), chance).headers or {})
