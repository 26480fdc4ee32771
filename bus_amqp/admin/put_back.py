"""``PutBack``: publishes dead letters to their queue again, and only then takes them off the dead-letter queue.

Each copy goes mandatory through the default exchange, with the queue's name as its key, so no other queue gets one.  A
letter is accepted after the confirm of its own copy and of no other: ended at any point, by a signal or by ``kill -9``,
this loses nothing and leaves at worst letters whose copy is on the queue already (at most ``WINDOW``).

The copy starts its life afresh (no attempts, no reason); it keeps the routing key that the event was published with,
the time of the first failure, how often it was put back and how many attempts it had before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bus_amqp.admin.letter import EARLIER_ATTEMPTS, PUT_BACK, Letter
from bus_amqp.admin.letter_filter import LetterFilter
from bus_amqp.admin.letter_reader import Held, LetterReader
from bus_amqp.consume.dead_letter import FIRST_FAILURE, MAX_ATTEMPTS, MAX_KEY, ROUTING_KEY
from bus_amqp.errors import DeadlineExceededError
from bus_amqp.transport.base import Connection
from bus_amqp.transport.channel import PublishChannel
from bus_amqp.transport.signals import Blocked, ChannelClosed, Confirmed, Rejected, Returned, Signal, Unblocked
from bus_amqp.wire.message import HeaderValue, Message

WINDOW = 100  # copies without a confirm
CONFIRM_SECONDS = 30.0  # without any confirm: give up, with everything still in its place
LAST_CONFIRMS_SECONDS = 5.0  # for the copies under way when somebody asks to stop
NAMED = 1000  # letters that an outcome names
TURN_SECONDS = 0.2  # so often does it look whether to stop
_BROKERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
_KEPT = (ROUTING_KEY, FIRST_FAILURE, "x-bus-exchange")  # the last: where it was first published


@dataclass(slots=True)
class Outcome:
    """``stays``: what was meant and is still a dead letter, with the reason: the first of them, by name.

    Grows while the work goes on.
    """

    done: int = 0
    stay_count: int = 0
    stays: list[tuple[str, str]] = field(default_factory=list)
    is_interrupted: bool = False


@dataclass(slots=True)
class _Copy:
    held: Held
    queue: str
    message_id: str
    is_returned: bool = False


def copy_of(letter: Letter, queue: str) -> Message:
    """Return the message that puts a letter's event back on a queue."""
    properties = letter.properties
    kept: dict[str, HeaderValue] = {
        name: value
        for name, value in properties.headers.items()
        if not name.startswith(_BROKERS) and (not name.startswith("x-bus-") or name in _KEPT)
    }
    attempts = letter.earlier_attempts + (letter.attempts or 0)
    history: dict[str, HeaderValue] = {
        ROUTING_KEY: letter.routing_key[:MAX_KEY],
        PUT_BACK: min(letter.times_put_back + 1, MAX_ATTEMPTS),
        EARLIER_ATTEMPTS: min(attempts, MAX_ATTEMPTS),
    }
    if letter.first_failure is not None:
        history[FIRST_FAILURE] = letter.first_failure.isoformat(timespec="milliseconds")
    return Message(
        queue,
        letter.delivery.body or b"",
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        type=properties.type,
        app_id=properties.app_id,
        content_type=letter.delivery.content_type,
        headers={**kept, **_known(history)},
        exchange="",
        mandatory=True,
    )


def _known(headers: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    return {name: value for name, value in headers.items() if value not in ("", 0)}


class PutBack:
    """One run over one dead-letter queue.  ``outcome`` tells what was done, also after an error."""

    def __init__(
        self, connection: Connection, reader: LetterReader, wanted: LetterFilter, *,
        target_of: Callable[[Letter], str], limit: int | None, should_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._reader = reader
        self._wanted = wanted
        self._target_of = target_of
        self._left = limit  # None: as many as there are
        self._should_stop = should_stop
        self._clock = clock
        self._channel: PublishChannel = connection.publish_channel()
        self._sequence = 0
        self._open: dict[int, _Copy] = {}  # by sequence, oldest first
        self._waiting: deque[Held] = deque()  # meant, and not sent yet
        self._stored: list[Held] = []  # confirmed in this turn
        self._exists: dict[str, bool] = {}
        self._blocked_reason = ""
        self._moved_at = clock()
        self.outcome = Outcome()

    def __repr__(self) -> str:
        return f"<PutBack {self.outcome.done} done, {len(self._open)} open, {len(self._waiting)} waiting>"

    def run(self) -> Outcome:
        """Put back what is meant, until all were seen, the limit is reached or somebody asks to stop.

        Raises ``DeadlineExceededError`` when the broker confirms nothing for half a minute, and what the broker
        refuses; all that is not in ``outcome.done`` is then still a dead letter.
        """
        with self._reader:
            while not self._should_stop():
                self._send()
                if not self._open and not self._waiting and (self._reader.is_done or self._left == 0):
                    return self.outcome
                self._turn(CONFIRM_SECONDS)
            self.outcome.is_interrupted = True
            self._waiting.clear()
            while self._open:
                self._turn(LAST_CONFIRMS_SECONDS)
        return self.outcome

    def _send(self) -> None:
        batch: list[Message] = []
        while self._waiting and len(self._open) < WINDOW:
            held = self._waiting.popleft()
            queue = self._target_of(held.letter)
            if why := self._why_not(held.letter, queue):
                self._stay(held.letter, why)
                continue
            message = copy_of(held.letter, queue)
            self._sequence += 1
            self._open[self._sequence] = _Copy(held, queue, message.message_id)
            batch.append(message)
        if batch:
            self._moved_at = self._clock() if len(batch) == len(self._open) else self._moved_at
            self._channel.send(batch)

    def _why_not(self, letter: Letter, queue: str) -> str:
        if letter.delivery.body is None:
            return f"its {letter.delivery.body_bytes} bytes are more than can be carried"
        if not letter.is_readable:
            return "its AMQP properties cannot be read, so a copy would lose them"
        if not queue:
            return "it does not say which queue it was taken from; --to GROUP puts it on a group's"
        if queue not in self._exists:
            self._exists[queue] = self._connection.queue_state(queue) is not None
        return "" if self._exists[queue] else _gone(queue)

    def _turn(self, patience_seconds: float) -> None:
        held, signals = self._reader.turn(TURN_SECONDS, is_idle=not self._open and not self._waiting)
        for one in held:
            if self._left != 0 and self._wanted.matches(one.letter):
                self._waiting.append(one)
                self._left = None if self._left is None else self._left - 1
        for signal in signals:
            self._handle(signal)
        if self._stored:
            self._reader.accept(self._stored)
            self.outcome.done += len(self._stored)
            self._stored = []
        if self._open and self._clock() - self._moved_at >= patience_seconds:
            why = f": it is blocked ({self._blocked_reason})" if self._blocked_reason else ""
            raise DeadlineExceededError(
                f"the broker has confirmed nothing for {patience_seconds:g} s{why}; {self.outcome.done} were put "
                f"back, the rest is where it was, up to {len(self._open)} of them perhaps in both places"
            )

    def _handle(self, signal: Signal) -> None:
        match signal:
            case Confirmed(channel=channel, sequence=sequence, multiple=multiple) if channel is self._channel:
                for copy in self._settled(sequence, multiple):
                    if copy.is_returned:  # the confirm of what was returned means "not stored"
                        self._exists[copy.queue] = False
                        self._stay(copy.held.letter, _gone(copy.queue))
                    else:
                        self._stored.append(copy.held)
            case Rejected(channel=channel, sequence=sequence, multiple=multiple) if channel is self._channel:
                for copy in self._settled(sequence, multiple):
                    self._stay(copy.held.letter, f"the broker could not store it on {copy.queue}: try again later")
            case Returned(channel=channel, routing_key=key, message_id=message_id) if channel is self._channel:
                # A return names no sequence.  Of several copies that look alike none may pass for stored.
                for copy in self._open.values():
                    if (copy.queue, copy.message_id) == (key, message_id):
                        copy.is_returned = True
            case ChannelClosed(channel=channel, error=error) if channel is self._channel:
                raise error
            case Blocked(reason=reason):
                self._blocked_reason = reason or "no reason given"
            case Unblocked():
                self._blocked_reason, self._moved_at = "", self._clock()

    def _settled(self, sequence: int, multiple: bool) -> list[_Copy]:
        self._moved_at = self._clock()
        numbers = [one for one in self._open if one <= sequence] if multiple else [sequence]
        return [self._open.pop(one) for one in numbers if one in self._open]

    def _stay(self, letter: Letter, why: str) -> None:
        self.outcome.stay_count += 1
        if len(self.outcome.stays) < NAMED:  # a million letters of a queue that is gone need no million lines
            self.outcome.stays.append((letter.event_id or f"number {letter.position}", why))


def _gone(queue: str) -> str:
    return f"queue {queue} is gone; --to GROUP puts it on a group's"
