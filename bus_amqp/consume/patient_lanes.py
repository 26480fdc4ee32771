"""``PatientLanes``: lanes in which a delivery that failed waits for its next attempt, and those behind it with it.

Pure: no lock and no thread; the clock is passed in.  Rules: a delivery that failed keeps its lane until it is handled
or set aside; other lanes go on, until half the prefetch waits like that, or one delivery has for ten minutes: then
nothing is started but what failed, so that the rest stays with the broker, where others may get it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from bus_amqp.consume.lanes import LaneOfKey, Lanes, resource_of
from bus_amqp.wire.message import Delivery

LONGEST_SECONDS = 600.0


@dataclass(slots=True)
class _Trouble:
    delivery: Delivery
    lane: Hashable  # None: nothing orders it
    since: float
    due_at: float | None  # None: it is in hand


class PatientLanes(Lanes):
    """Keyed lanes.  ``prefetch``: how many deliveries the broker gives before it wants some settled."""

    is_patient = True

    def __init__(
        self,
        *,
        prefetch: int,
        clock: Callable[[], float],
        return_exchange: str = "",
        lane_of_key: LaneOfKey = resource_of,
    ) -> None:
        super().__init__(is_keyed=True, return_exchange=return_exchange, lane_of_key=lane_of_key)
        self._most_waiting = max(1, prefetch // 2)
        self._clock = clock
        self._troubles: dict[int, _Trouble] = {}  # id() of a delivery that failed and is not settled

    def __len__(self) -> int:
        return super().__len__() + sum(trouble.due_at is not None for trouble in self._troubles.values())

    def __repr__(self) -> str:
        return f"<PatientLanes {len(self._ready)} ready, {self._in_hand} in hand, {len(self._troubles)} failed>"

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` would return something now."""
        if not self._troubles:
            return bool(self._ready)
        return bool(self._due()) or (bool(self._ready) and not self.why_still)

    @property
    def why_still(self) -> str:  # type: ignore[override]  # the base class never stands still
        """Why nothing new is started; empty while it is."""
        if not self._troubles:
            return ""
        troubles = self._troubles.values()
        behind = [self._behind[trouble.lane] for trouble in troubles if trouble.lane is not None]
        waiting = len(troubles) + sum(map(len, behind))
        seconds = self._clock() - min(trouble.since for trouble in troubles)
        if waiting < self._most_waiting and seconds < LONGEST_SECONDS:
            return ""
        return (
            f"stands still: {waiting} events wait behind {len(troubles)} that failed, the oldest for {seconds:.0f} s; "
            "keep_order holds them until it is handled or its attempts are used up"
        )

    def seconds_until_due(self) -> float | None:
        """Return when ``take`` may have more to give without anybody doing anything.  None: never."""
        moments = [trouble.due_at for trouble in self._troubles.values() if trouble.due_at is not None]
        return max(0.0, min(moments) - self._clock()) if moments else None

    def take(self, limit: int) -> list[Delivery]:
        """Hand out what failed and is due, then new ones unless the lanes stand still."""
        if not self._troubles:
            return super().take(limit)
        again = [trouble.delivery for trouble in self._due()[:limit]]
        for delivery in again:
            trouble = self._troubles[id(delivery)]
            trouble.due_at = None
            self._lanes_in_hand[id(delivery)] = trouble.lane
            if trouble.lane is None:
                self._free_in_hand[id(delivery)] = delivery
        self._in_hand += len(again)
        return again if self.why_still else again + super().take(limit - len(again))

    def done(self, deliveries: Sequence[Delivery], kept: Sequence[tuple[Delivery, float]] = ()) -> None:
        """Take back deliveries; ``kept`` are those that failed, with the seconds until they are tried again."""
        now = self._clock()
        for delivery, delay_seconds in kept:
            trouble = self._troubles.get(id(delivery))
            since = now if trouble is None else trouble.since
            lane = self._lanes_in_hand.pop(id(delivery))
            self._free_in_hand.pop(id(delivery), None)
            self._troubles[id(delivery)] = _Trouble(delivery, lane, since, now + delay_seconds)
        self._in_hand -= len(kept)
        settled = [one for one in deliveries if id(one) in self._lanes_in_hand] if kept else deliveries
        if self._troubles:
            for delivery in settled:
                self._troubles.pop(id(delivery), None)
        super().done(settled)

    def forget_waiting(self) -> None:
        """Drop what was not started, and what waits for another attempt: the broker delivers both again."""
        self._troubles.clear()
        super().forget_waiting()

    def _due(self) -> list[_Trouble]:
        now = self._clock()
        due = [one for one in self._troubles.values() if one.due_at is not None and one.due_at <= now]
        return sorted(due, key=lambda trouble: trouble.due_at or 0.0)
