"""``Verdict``: what the referee found in one scenario, subscription by subscription.  Values, no logic."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a scenario is held to beside `nothing lost, nothing invented`."""

    duplicates: int = 0  # of one subscription: what was in hand, as often as it was interrupted
    prefetch: int = 100  # what a process can have in hand of a subscription
    publish_seconds: float = 0.5  # publish_timeout_seconds is 0.1; the rest is a machine with too few cores
    again_p50_seconds: float = 2.0
    again_seconds: float = 5.0
    resident_growth_kb: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timeline:
    """When what happened, in nanoseconds of ``CLOCK_MONOTONIC``."""

    began: int
    struck: int
    healed: int  # the broker answers, and has dropped the consumers that it lost
    ended: int


@dataclass(frozen=True, slots=True)
class Excuse:
    """What a subscription may have missed because an operator deleted its queue or binding.

    Of the events that were on their way between ``since`` and ``until``, and ``held`` that lay in the queue.
    """

    since: int
    until: int
    held: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """One subscription."""

    subscription: str
    keeps_order: bool
    expected: int
    delivered: int
    lost: int
    excused: int
    invented: int
    duplicates: int
    disorder: int
    again_seconds: tuple[float, ...]  # one for each consumer that should consume


@dataclass(slots=True)
class Verdict:
    """All subscriptions of a scenario, and the bounds that were broken, in words."""

    offered: int = 0
    accepted: int = 0
    confirmed: int = 0
    refused: int = 0
    failed: int = 0
    handled: int = 0
    parked: int = 0
    longest_publish_seconds: float = 0.0
    tallies: list[Tally] = field(default_factory=list)
    threads: tuple[int, int] = (0, 0)  # most of any process before, least of it after
    sockets: tuple[int, int] = (0, 0)
    resident_kb: tuple[int, int] = (0, 0)
    breaches: list[str] = field(default_factory=list)

    @property
    def again_seconds(self) -> list[float]:
        """All consumers' seconds until consuming again, sorted."""
        return sorted(seconds for tally in self.tallies for seconds in tally.again_seconds)

    def total(self, name: str, *, keeps_order: bool | None = None) -> int:
        """Return the sum of a count over the subscriptions (of one kind)."""
        return sum(getattr(one, name) for one in self.tallies if keeps_order in (None, one.keeps_order))
