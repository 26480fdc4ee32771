"""``Workbench``: the dead letters of one group, or of the temporary subscriptions, over one connection.

Looking costs a letter nothing: it is taken without being acknowledged and goes back to its place.  While it is in the
hand, another workbench does not see it.  Works over the seam, so on RabbitMQ and in memory alike; no management
plug-in is needed.  Used by one thread, which must not pause while it iterates: the connection has heartbeats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterator
from uuid import uuid4

from bus_amqp.admin.letter import Letter
from bus_amqp.admin.letter_filter import LetterFilter
from bus_amqp.admin.letter_reader import LetterReader
from bus_amqp.admin.put_back import TURN_SECONDS, Outcome, PutBack
from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.topology import names
from bus_amqp.topology.plan import Plan, Queue, subscription_plan, subscription_queue
from bus_amqp.transport.base import Connection

SETTLE_SECONDS = 0.5  # for the broker's count, when it says that there is nothing


class Workbench:
    """``group`` None: the dead letters of all temporary subscriptions.  Raises ``InvalidArgumentError`` for a name."""

    def __init__(
        self, connection: Connection, exchange: str, group: str | None, *, may_declare: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._clock = clock
        self._exchange = exchange
        self._group = names.check_group(group) if group is not None else None
        self._may_declare = may_declare
        self.queue = names.dead_queue(exchange, group)

    def __repr__(self) -> str:
        return f"<Workbench {self.queue!r} over {self._connection!r}>"

    def count(self) -> int:
        """Return how many letters nobody holds right now.  Raises ``NotFoundOnBrokerError``: no such queue."""
        ready = self._ready()
        if ready is None:
            whose = f"group {self._group!r}" if self._group else "temporary subscriptions"
            raise NotFoundOnBrokerError(
                f"no dead letters of {whose}: there is no queue {self.queue!r} (it is made with the first subscription)"
            )
        if self._may_declare:
            # Declared as we know it: one with another delivery limit would lose letters by being looked at.
            self._connection.declare(Plan(queues=(self._as_planned(),)))
        return self._settled(ready)

    def look(self, wanted: LetterFilter | None = None, *, limit: int | None = None) -> Iterator[Letter]:
        """Yield the letters that are meant, in the order of the queue, each with its position among all.

        Leaving the iteration gives them back.  Raises ``NotFoundOnBrokerError``, ``AccessRefusedError``,
        ``TopologyMismatchError``: the queue is not one that may be looked at without harm.
        """
        with self._reader() as reader:
            left = limit
            while left != 0 and not reader.is_done:
                for held in reader.turn(TURN_SECONDS)[0]:
                    if wanted is None or wanted.matches(held.letter):
                        yield held.letter
                        left = None if left is None else left - 1
                        if left == 0:
                            return

    def drop(
        self, wanted: LetterFilter, *, limit: int | None, should_stop: Callable[[], bool],
        only: Container[bytes] | None = None,
    ) -> Outcome:  # fmt: skip
        """Take the letters that are meant off the queue, for good; at most ``limit``, from the front.

        ``only``: fingerprints of those that somebody has seen and agreed to.
        """
        outcome = Outcome()
        with self._reader() as reader:
            while not reader.is_done and outcome.done != limit:
                if should_stop():
                    outcome.is_interrupted = True
                    break
                meant = [
                    held
                    for held in reader.turn(TURN_SECONDS)[0]
                    if wanted.matches(held.letter) and (only is None or held.letter.fingerprint() in only)
                ]
                if limit is not None:
                    del meant[limit - outcome.done :]
                reader.accept(meant)
                outcome.done += len(meant)
        return outcome

    def putting_back(
        self, wanted: LetterFilter, *, limit: int | None, should_stop: Callable[[], bool], to: str | None = None
    ) -> PutBack:
        """Return the run that puts the letters that are meant back; ``to``: on that group's queue and not on theirs.

        Raises ``NotFoundOnBrokerError`` for a ``to`` that is not there.
        """
        target = None if to is None else names.group_queue(self._exchange, names.check_group(to))
        if target is not None and self._connection.queue_state(target) is None:
            raise NotFoundOnBrokerError(f"group {to!r} has no queue {target!r}: `bus-amqp groups create {to}` makes it")
        return PutBack(
            self._connection,
            self._reader(),
            wanted,
            target_of=self.target_of if target is None else lambda letter: target,
            limit=limit,
            should_stop=should_stop,
        )

    def target_of(self, letter: Letter) -> str:
        """Return the queue that a letter belongs on; empty: unknown.

        The dead-letter queue of a group holds that group's letters, whatever a header claims.
        """
        if self._group is not None:
            return names.group_queue(self._exchange, self._group)
        return letter.queue if letter.queue.startswith(f"{self._exchange}.tmp.") else ""

    def _ready(self) -> int | None:
        state = self._connection.queue_state(self.queue)
        return None if state is None else state.ready

    def _settled(self, ready: int) -> int:
        """Ask again until two answers agree: a quorum queue counts what was just given back a moment later."""
        deadline = self._clock() + SETTLE_SECONDS
        while self._clock() < deadline:
            self._connection.turn(SETTLE_SECONDS / 10)
            before, ready = ready, self._ready() or 0
            if ready and ready == before:
                break
        return ready

    def _reader(self) -> LetterReader:
        return LetterReader(self._connection, self.queue, self._exchange, self.count())

    def _as_planned(self) -> Queue:
        queue = subscription_queue(self._exchange, self._group, uuid4(), ordered=False)
        plan = subscription_plan(self._exchange, self._group, queue, ())
        return next(one for one in plan.queues if one.name == self.queue)
