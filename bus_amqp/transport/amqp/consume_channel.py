"""``BulkConsumeChannel``: many acknowledgements, one write.  Behind ``transport.channel.ConsumeChannel``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bus_amqp.transport.amqp.encoding import encode_accepts, encode_rejects
from bus_amqp.transport.amqp.lingering import Lingering
from bus_amqp.transport.amqp.link import Link


class OpenTags:
    """Which deliveries of a channel are unsettled.  Pure.

    Relies on one consumer per channel: then its tags are 1, 2, 3 and so on, and no list of them is needed.
    """

    def __init__(self) -> None:
        self._oldest = 1  # no tag below it is open
        self._settled: set[int] = set()  # above it

    def __repr__(self) -> str:
        return f"<OpenTags from {self._oldest}, {len(self._settled)} settled above>"

    def settle(self, tags: Sequence[int]) -> tuple[int, list[int]]:
        """Settle these tags; return up to which all are settled now (0: not further than before), and the others.

        A tag that was settled before is left out: the broker closes the channel over a second acknowledgement.
        """
        through = 0
        others: list[int] = []
        settled = self._settled
        ordered = sorted(tags)
        if ordered and not settled and ordered[0] == self._oldest:
            last = ordered[-1]
            if last - self._oldest == len(ordered) - 1 == len(set(ordered)) - 1:  # no holes: a worker went on in order
                self._oldest = last + 1
                return last, others
        for tag in ordered:
            if tag < self._oldest or tag in settled:
                continue
            if tag == self._oldest:
                through = tag
                self._advance()
            else:
                settled.add(tag)
                others.append(tag)
        return through, others

    def settle_each(self, tags: Sequence[int]) -> list[int]:
        """Settle these tags; return those that were open."""
        each = sorted({tag for tag in tags if tag >= self._oldest and tag not in self._settled})
        self._settled.update(each)
        if self._oldest in self._settled:
            self._settled.discard(self._oldest)
            self._advance()
        return each

    def _advance(self) -> None:
        self._oldest += 1
        while self._oldest in self._settled:
            self._settled.discard(self._oldest)
            self._oldest += 1


class BulkConsumeChannel:
    """A channel with one consumer; encodes its settlements by itself and hands them to the link's stream."""

    def __init__(
        self, number: int, queue: str, link: Link, close: Callable[[], None], stop: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._number = number
        self._queue = queue
        self._link = link
        self._close = close
        self._tags = OpenTags()
        self._lingering = Lingering()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<BulkConsumeChannel {self._number} on {self._queue!r}{' closed' if self._is_closed else ''}>"

    def accept(self, tags: Sequence[int]) -> None:
        """Acknowledge: one frame for all up to the first that is still open, one for each behind it.

        After the channel is closed this does nothing: the broker has already taken the deliveries back.
        """
        through, others = self._tags.settle(tags)
        if (through or others) and not self._is_closed:
            self._link.stream.write(encode_accepts(self._number, through, others))
            self._lingering.note(bool(through) + len(others))

    def discard(self, tags: Sequence[int]) -> None:
        """Reject without requeue."""
        each = self._tags.settle_each(tags)
        if each and not self._is_closed:
            self._link.stream.write(encode_rejects(self._number, each))
            self._lingering.note(len(each))

    def lost(self) -> None:
        """Note that the broker has closed the channel: one more frame on it would cost the connection."""
        self._is_closed = True

    def stop(self) -> None:
        """End the consumer; what is unsettled stays in the hand."""
        if not self._is_closed:
            self._stop()

    @property
    def settled_at(self) -> float:
        """When the broker has taken all of it."""
        return self._lingering.over_at

    def close(self) -> None:
        """Close the channel; not cancelled first, so that the broker requeues in order."""
        if not self._is_closed:
            self._is_closed = True
            self._close()
