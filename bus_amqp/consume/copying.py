"""``Copying``: has a delivery copied elsewhere, to the dead letters or to its wait, and then acknowledged.

Called on workers, answered on the publisher and the control thread; holds nothing that changes.  The order is the
promise: the broker has confirmed the copy before the original is acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.consume.second_chance import SHORTEST_SHARE, SecondChance, noted
from bus_amqp.errors import BrokerRefusedError, EventBusException, TransportError
from bus_amqp.wire.message import Delivery, Message

logger = logging.getLogger("bus_amqp.consume")

# Sends a copy; the callback gets why it could not be stored, None: it was.
Republish = Callable[[Message, Callable[[EventBusException | None], None]], None]
# Sends the copy of a delivery that is to wait for its second chance, through a rung that is there; answers the same.
Postpone = Callable[[Delivery, SecondChance, DeadLetterAddress, Callable[[EventBusException | None], None]], None]


class Copying:
    """Copies of one subscription; ``acknowledge(session, tag)`` and ``give_back(session, error)`` act on originals."""

    def __init__(
        self,
        queue: str,
        address: DeadLetterAddress,
        republish: Republish,
        postpone: Postpone,
        acknowledge: Callable[[int, int], None],
        give_back: Callable[[int, Exception], None],
        *,
        uniform: Callable[[float, float], float],
    ) -> None:
        self.queue = queue  # this and the address: written by the control thread while there is no session
        self.address = address
        self._republish = republish
        self._postpone = postpone
        self._acknowledge = acknowledge
        self._give_back = give_back
        self._uniform = uniform  # jitter of the delays that are kept in the process

    def __repr__(self) -> str:
        return f"<Copying {self.queue}>"

    def dead_letter(self, session: int, delivery: Delivery, letter: DeadLetter) -> None:
        """Have a delivery copied to the dead letters."""
        message = dead_letter_message(delivery, letter, self.address)
        self._republish(message, partial(self._stored, session, delivery.tag, "the dead-letter queue"))

    def retry(self, session: int, delivery: Delivery, chance: SecondChance) -> None:
        """Have a delivery copied to where it waits; where no wait can be had, to the dead letters."""

        def stored(error: EventBusException | None) -> None:
            if isinstance(error, BrokerRefusedError):
                # No right to a rung, say: delivered again it would fail for ever, and no attempt would be counted.
                logger.error("%s: an event cannot wait for its next attempt: %s", self.queue, error)
                told = f"{chance.explanation}; it could not wait for its next attempt: {error}"
                self.dead_letter(session, delivery, DeadLetter("exception", told, max(chance.attempts, 1)))
            else:
                self._stored(session, delivery.tag, "the wait", error)

        self._postpone(delivery, chance, self.address, stored)

    def keep(self, delivery: Delivery, chance: SecondChance) -> float:
        """Note the failure in a delivery that stays in hand; return the seconds to its next attempt."""
        delivery.noted = noted(delivery, chance, self.address)
        return chance.delay_seconds * self._uniform(SHORTEST_SHARE, 1.0)

    def _stored(self, session: int, tag: int, where: str, error: EventBusException | None) -> None:
        if error is None:
            self._acknowledge(session, tag)
        else:  # was the copy's queue deleted?  It is made again, and the original delivered again
            self._give_back(session, TransportError(f"a copy for {where} was not stored: {error}"))
