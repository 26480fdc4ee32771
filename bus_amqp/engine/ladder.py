"""``Ladder``: sends copies to wait on the rung of their delay, and makes a rung when it is first needed.

Called on workers and on the publisher thread; never waits.  Rungs belong to no subscription's plan: most buses
never retry, and six quorum queues for each of them would be six too many.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from bus_amqp.consume.copying import Republish
from bus_amqp.consume.dead_letter import DeadLetterAddress
from bus_amqp.consume.second_chance import SecondChance, waiting_copy
from bus_amqp.errors import EventBusException, NotFoundOnBrokerError, TransportError, UnroutableError
from bus_amqp.ioloop.control import Control
from bus_amqp.retry import rung_for
from bus_amqp.settings import Settings
from bus_amqp.topology.names import wait_queue
from bus_amqp.topology.plan import Plan, rung_plan
from bus_amqp.transport.base import Connection
from bus_amqp.wire.message import Delivery, Message

OnDone = Callable[[EventBusException | None], None]


class Ladder:
    """Remembers which rungs are there.  A set of numbers needs no lock: who looks too early declares once more.

    ``on_done`` gets a ``BrokerRefusedError`` where no rung can be had, another error where trying again may help.
    """

    def __init__(
        self,
        settings: Settings,
        control: Control,
        republish: Republish,
        *,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._exchange = settings.exchange
        self._may_declare = settings.declare
        self._timeout_seconds = settings.connection.connect_timeout_seconds
        self._control = control
        self._republish = republish
        self._uniform = uniform
        self._there: set[int] = set()  # seconds; any thread adds and takes away

    def __repr__(self) -> str:
        return f"<Ladder rungs {sorted(self._there)}>"

    def postpone(self, delivery: Delivery, chance: SecondChance, address: DeadLetterAddress, on_done: OnDone) -> None:
        """Have a copy wait for its second chance; ``on_done`` hears why it is not stored, or None."""
        rung = rung_for(chance.delay_seconds)
        message = waiting_copy(delivery, chance, address, partial(wait_queue, self._exchange), self._uniform)
        if rung in self._there or not self._may_declare:
            self._republish(message, partial(self._sent, message, rung, on_done))
        else:
            self._declare(message, rung, on_done)

    def _sent(self, message: Message, rung: int, on_done: OnDone, error: EventBusException | None) -> None:
        if not isinstance(error, UnroutableError | NotFoundOnBrokerError):
            on_done(error)
        elif self._may_declare:
            self._there.discard(rung)  # somebody has deleted it
            self._declare(message, rung, on_done)
        else:
            on_done(NotFoundOnBrokerError(f"{message.exchange!r} is not there, and settings.declare is False: {error}"))

    def _declare(self, message: Message, rung: int, on_done: OnDone) -> None:
        plan = rung_plan(self._exchange, rung)

        def declared(future: Future[None]) -> None:  # on the control thread
            error = future.exception()
            if error is None:
                self._there.add(rung)
                # If it is gone once more, the original is delivered again: that has a pause, and this has none.
                self._republish(message, partial(self._sent_again, rung, on_done))
            else:
                on_done(error if isinstance(error, EventBusException) else TransportError(f"{error!r}"))

        try:
            future = self._control.submit(partial(_make, plan), self._timeout_seconds)
        except EventBusException as exc:  # the bus is closing
            on_done(exc)
        else:
            future.add_done_callback(declared)

    def _sent_again(self, rung: int, on_done: OnDone, error: EventBusException | None) -> None:
        if isinstance(error, UnroutableError | NotFoundOnBrokerError):
            self._there.discard(rung)
            error = TransportError(f"a rung that was just made is gone: {error}")
        on_done(error)


def _make(plan: Plan, connection: Connection) -> None:
    connection.declare(plan)
