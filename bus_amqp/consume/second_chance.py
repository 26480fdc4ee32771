"""``SecondChance``: an event that failed and is tried again, and the copy of it that waits for that.  Pure.

How often an event has failed is told by headers of our own, and only where a copy of ours has carried them: in a
delivery that came back through the return exchange, or in what was noted of one that stayed in hand.  So an event
that an operator puts back from the dead letters begins afresh, and nobody's header can use its attempts up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bus_amqp.consume.dead_letter import (
    ATTEMPTS,
    ROUTING_KEY,
    DeadLetter,
    DeadLetterAddress,
    copy_of,
    count_in,
    failure_headers,
    properties_of,
)
from bus_amqp.retry import MAX_POSTPONEMENTS, RetryPolicy, delay_after, postponement_of, rung_for
from bus_amqp.wire.message import Delivery, HeaderValue, Message

POSTPONED = "x-bus-postponed"
WAITING = "astray"  # the reason that a copy carries while it waits: it is read only if the way back is gone
SHORTEST_SHARE = 0.8  # of a rung: what failed together does not return together


@dataclass(frozen=True, slots=True)
class SecondChance:
    """The decision that a delivery is tried again in ``delay_seconds``; the counts are those of its copy."""

    delay_seconds: float
    explanation: str
    attempts: int
    postponements: int = 0


def judged(
    delivery: Delivery, error: BaseException, policy: RetryPolicy, return_exchange: str, explanation: str
) -> SecondChance | DeadLetter:
    """Decide what becomes of a delivery whose subscriber raised."""
    past = _past(delivery, return_exchange)
    attempts, postponements = count_in(past, ATTEMPTS), count_in(past, POSTPONED)
    if (delay := postponement_of(error)) is not None:
        if postponements >= MAX_POSTPONEMENTS:
            return DeadLetter("postponed", f"postponed {postponements} times; {explanation}", max(attempts, 1))
        return SecondChance(delay, explanation, attempts, postponements + 1)
    delay = delay_after(attempts + 1, error, policy)
    if delay is None:
        return DeadLetter("exception", explanation, attempts + 1)
    return SecondChance(delay, explanation, attempts + 1, postponements)


def noted(
    delivery: Delivery, chance: SecondChance, address: DeadLetterAddress, *, failed_at: datetime | None = None
) -> dict[str, HeaderValue]:
    """Return the headers that tell of the failures so far, those of the copy."""
    headers = failure_headers(
        delivery, properties_of(delivery), address,
        reason=WAITING, explanation=chance.explanation, attempts=chance.attempts, failed_at=failed_at,
    )  # fmt: skip
    headers.pop(POSTPONED, None)  # that of an earlier life, before an operator put the event back
    if chance.postponements:
        headers[POSTPONED] = chance.postponements
    return headers


def waiting_copy(
    delivery: Delivery,
    chance: SecondChance,
    address: DeadLetterAddress,
    exchange_of: Callable[[int], str],
    uniform: Callable[[float, float], float],
) -> Message:
    """Return the copy that waits on its rung and returns to the subscription's queue, to no other.

    ``exchange_of(rung)`` names the rung's exchange, ``uniform(low, high)`` gives the jitter.
    """
    rung = rung_for(chance.delay_seconds)
    return copy_of(
        delivery,
        properties_of(delivery),
        noted(delivery, chance, address),
        exchange=exchange_of(rung),
        key=address.queue,
        expiration_ms=int(rung * 1000 * uniform(SHORTEST_SHARE, 1.0)),
    )


def original_key(delivery: Delivery) -> str:
    """Return the routing key that a returned delivery had when it was published."""
    return str(properties_of(delivery).headers.get(ROUTING_KEY) or delivery.routing_key)


def _past(delivery: Delivery, return_exchange: str) -> dict[str, HeaderValue]:
    in_hand = getattr(delivery, "noted", None)
    if in_hand is not None:
        return dict(in_hand)
    return dict(properties_of(delivery).headers) if delivery.exchange == return_exchange else {}
