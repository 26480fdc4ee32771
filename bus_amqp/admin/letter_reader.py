"""``LetterReader``: takes the letters of a dead-letter queue into the hand, in order, and gives them back.

Nothing is acknowledged unless the caller says so: closing a channel has the broker requeue the rest, in order.  A
channel takes a bounded page; when it is full, and more is wanted, another channel takes the next page while the letters
of the first stay in the hand (that is how the broker gets to those behind them).  What a letter holds is forgotten
here as soon as it was handed on, so a queue of any length costs no memory.

A quorum queue puts what comes back behind what came back before, not into its old place: after a look at the first ten
letters they would be the last ten.  So a reader that is left early takes the rest of the round too, where that is not
too long, and gives back one channel after the other has arrived: the order stays.

Used by the connection's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bus_amqp.admin.letter import Letter, letter_of
from bus_amqp.errors import ConnectionLostError, DeadlineExceededError, NotFoundOnBrokerError
from bus_amqp.transport.base import Connection
from bus_amqp.transport.channel import ConsumeChannel
from bus_amqp.transport.signals import Cancelled, ChannelClosed, Deliveries, Signal

FIRST_PAGE, LARGEST_PAGE = 100, 1000  # letters; a look at a few takes few, a look at a million few channels
IDLE_SECONDS = 1.0  # without a letter: ask whether there are more
ROUND_LETTERS, ROUND_SECONDS = 20_000, 5.0  # what it takes, and waits, to keep the order when it is left early
GIVEN_BACK_SECONDS = 0.005  # between two looks whether it has arrived
STUCK_SECONDS = 30.0  # without a letter though there are more: a queue without a majority, most likely


@dataclass(frozen=True, slots=True)
class Held:
    """A letter in the hand: it goes back to its place unless it is accepted."""

    letter: Letter
    channel: ConsumeChannel


class LetterReader:
    """Reads ``count`` letters, as many as there were at the beginning: new ones do not keep it going."""

    def __init__(
        self,
        connection: Connection,
        queue: str,
        exchange: str,
        count: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._queue = queue
        self._exchange = exchange
        self._count = count
        self._clock = clock
        self._channels: list[ConsumeChannel] = []
        self._in_hand: dict[ConsumeChannel, int] = {}  # delivered and not accepted
        self._room = 0  # letters that the open channels may hold
        self._accepted = 0
        self._came_at = clock()
        self._looked_at = clock()
        self._is_over = False
        self._is_leaving = False
        self.seen = 0

    def __repr__(self) -> str:
        return f"<LetterReader {self._queue!r} {self.seen} of {self._count}, {len(self._channels)} channels>"

    @property
    def is_done(self) -> bool:
        """Whether all letters that were there at the beginning have been seen (or are gone by now)."""
        return self._is_over or self.seen >= self._count

    def accept(self, letters: Iterable[Held]) -> None:
        """Take letters off the queue, which makes room for others: as many as are known, in one call.

        A quorum queue that has many acknowledgements under way keeps further ones back, and forgets them when the
        channel closes: 17 of 149, acknowledged one by one, came back.
        """
        tags: dict[ConsumeChannel, list[int]] = {}
        for held in letters:
            tags.setdefault(held.channel, []).append(held.letter.delivery.tag)
            self._accepted += 1
        for channel, some in tags.items():
            channel.accept(some)
            self._in_hand[channel] -= len(some)

    def turn(self, timeout_seconds: float, *, is_idle: bool = True) -> tuple[list[Held], list[Signal]]:
        """Return the letters that came, and the signals that are not the reader's.

        ``is_idle`` False: the caller is about to accept letters, so a full hand will have room again without a new page
        (and with one, letters would come through two channels, out of order).

        Raises ``NotFoundOnBrokerError`` when the queue is deleted meanwhile, what the broker closed a channel over,
        and ``DeadlineExceededError`` when it holds letters and hands out none.
        """
        if is_idle:
            self._open_page()
        held: list[Held] = []
        others: list[Signal] = []
        seen = self.seen
        for signal in self._connection.turn(timeout_seconds):
            match signal:
                case Deliveries(channel=channel, deliveries=deliveries) if channel in self._in_hand:
                    self._in_hand[channel] += len(deliveries)
                    for delivery in deliveries:
                        if self.seen < self._count:
                            self.seen += 1
                            if not self._is_leaving:
                                held.append(Held(letter_of(delivery, self.seen, self._exchange), channel))
                case Cancelled(channel=channel) if channel in self._in_hand:
                    raise NotFoundOnBrokerError(f"queue {self._queue!r} was deleted, or its node was lost")
                case ChannelClosed(channel=channel, error=error) if channel in self._in_hand:
                    raise error
                case _:
                    others.append(signal)
        self._watch(self.seen > seen)
        return held, others

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give back what is in the hand, in the order in which it was taken."""
        if kind is not None and not issubclass(kind, Exception | GeneratorExit):
            return  # interrupted anywhere, in the middle of a frame perhaps: who closes the connection gives back
        is_well = kind is None or issubclass(kind, GeneratorExit)
        try:
            if is_well:
                self._take_rest()
                self._give_back_in_order()
            for channel in self._channels:
                channel.close()  # again: nothing happens
        except ConnectionLostError:
            if is_well:
                raise  # what was accepted last may not have arrived

    def _take_rest(self) -> None:
        deadline = self._clock() + ROUND_SECONDS
        self._is_leaving = True
        while not self.is_done and self._count - self.seen <= ROUND_LETTERS and self._clock() < deadline:
            self.turn(IDLE_SECONDS)

    def _give_back_in_order(self) -> None:
        """Close one channel after the other.

        The broker hears of each end from another process of its own, so of two that come close together the second may
        be the first: each waits until what the one before it gave back is on the queue.
        """
        for channel in self._channels:
            channel.stop()  # else what the first gives back goes to the others, and the queue is shuffled
        self._is_over = True  # no other page
        self.turn(0.0)  # what came before the last consumer ended is in its hand, too
        deadline = self._clock() + ROUND_SECONDS
        expected = self._ready()
        for number, channel in enumerate(self._channels, start=1):
            channel.close()
            expected += self._in_hand[channel]
            while number < len(self._channels) and self._ready() < expected and self._clock() < deadline:
                self._connection.turn(GIVEN_BACK_SECONDS)

    def _ready(self) -> int:
        state = self._connection.queue_state(self._queue)
        return 0 if state is None else state.ready

    def _open_page(self) -> None:
        if self.is_done or self.seen - self._accepted < self._room:
            return
        page = self._count - self.seen
        if not self._is_leaving:
            page = min(page, FIRST_PAGE << len(self._channels), LARGEST_PAGE)
        channel = self._connection.consume_channel(self._queue, page)
        self._channels.append(channel)
        self._in_hand[channel] = 0
        self._room += page

    def _watch(self, has_come: bool) -> None:
        now = self._clock()
        if has_come:
            self._came_at = self._looked_at = now
        elif not self.is_done and now - self._looked_at >= IDLE_SECONDS:
            self._looked_at = now
            state = self._connection.queue_state(self._queue)
            if state is None or state.ready == 0:
                self._is_over = True  # somebody else has taken or holds them
            elif now - self._came_at >= STUCK_SECONDS:
                raise DeadlineExceededError(
                    f"queue {self._queue!r} has {state.ready} letters and hands out none for {STUCK_SECONDS:g} s: "
                    "has it lost the majority of its nodes?"
                )
