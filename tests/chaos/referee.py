"""The referee: what the ledgers prove.  Pure functions; each bound that is broken becomes a sentence.

Order is judged at the first handling of each event, resource by resource: a duplicate that comes late breaks nothing.
Seconds until consuming again count from the moment the fault is over to the first handling of an event that cannot have
been in hand: it was offered after that, or the process has handled more since than its prefetch.  (The first alone
would measure how long a backlog takes.)
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.books import Books, Handling, Key
from tests.chaos.ledger import Sample
from tests.chaos.part import RESOURCES
from tests.chaos.verdict import Bounds, Excuse, Tally, Timeline, Verdict

SECOND = 1_000_000_000
_TOLD = 3  # examples in a sentence


@dataclass(frozen=True, slots=True)
class Audience:
    """One subscription: what should reach it, and which of its processes should be at work in the end.

    ``workers`` are those that must each be seen consuming again; where one stands in for another (single active
    consumer) the subscription as a whole is what counts, and ``workers`` is empty.
    """

    name: str
    keeps_order: bool
    workers: tuple[str, ...] = ()
    wants: Callable[[Key], bool] = lambda key: True
    may_want: Callable[[Key], bool] = lambda key: False  # neither its lack nor its presence is a fault
    since: int = 0  # subscribed then (a temporary one): what was offered before may come, and need not
    parked: frozenset[Key] = frozenset()  # seen in its dead-letter queue
    excuse: Excuse | None = None
    late_at_most: int = 0  # events out of order, where it keeps order at all


def judge(books: Books, audiences: Sequence[Audience], timeline: Timeline, bounds: Bounds) -> Verdict:
    """Return the verdict on one scenario."""
    verdict = Verdict(
        offered=len(books.offered),
        accepted=len(books.accepted),
        confirmed=len(books.confirmed),
        refused=len(books.refused),
        failed=len(books.failed),
        handled=sum(map(len, books.handled.values())),
        parked=sum(len(audience.parked) for audience in audiences),
        longest_publish_seconds=books.longest_call_ns / SECOND,
    )
    breaches = verdict.breaches
    for audience in audiences:
        verdict.tallies.append(_tally(books, audience, timeline, bounds, breaches))
    breaches += _broken_flow(books, audiences, timeline)
    if books.failed:
        breaches.append(f"{len(books.failed)} receipts failed: {_some(books.failed.items())}")
    if verdict.longest_publish_seconds > bounds.publish_seconds:
        breaches.append(
            f"a publish() call took {verdict.longest_publish_seconds:.3f} s, bound {bounds.publish_seconds} s"
        )
    again = verdict.again_seconds
    if again and statistics.median(again) > bounds.again_p50_seconds:
        breaches.append(f"half of the consumers needed over {bounds.again_p50_seconds} s to consume again: {again}")
    if again and again[-1] > bounds.again_seconds:
        breaches.append(f"a consumer needed {again[-1]:.1f} s to consume again, bound {bounds.again_seconds} s")
    _weigh(verdict, books.samples, timeline, bounds)
    return verdict


def violations(handled: Sequence[Handling]) -> list[Key]:
    """Return the events that were first handled after a later one of their resource."""
    newest: dict[tuple[str, int], int] = {}
    seen: set[Key] = set()
    late = []
    for handling in sorted(handled):
        key = handling.key
        if key in seen:
            continue
        seen.add(key)
        resource = (key.publisher, key.number // 2 % RESOURCES)
        if key.number < newest.get(resource, -1):
            late.append(key)
        else:
            newest[resource] = key.number
    return late


def _tally(books: Books, audience: Audience, timeline: Timeline, bounds: Bounds, breaches: list[str]) -> Tally:
    handled = books.handled.get(audience.name, [])
    keys = books.handled_keys.get(audience.name, set())
    wanted = wanted_by(audience, books)
    missing = wanted - keys - audience.parked
    excused = excused_from(missing, books, audience.excuse)
    lost = missing - excused
    # Not accepted and yet delivered is well only where the process was killed inside the call.
    may_come = {key for key in books.offered if key not in books.refused}
    invented = {key for key in keys | audience.parked if key not in may_come}
    foreign = {key for key in keys if not audience.wants(key) and not audience.may_want(key)} - invented
    duplicates = len(handled) - len(keys)
    late = violations(handled)
    for what, found, bound in (
        ("lost", lost, 0),
        ("invented", invented, 0),
        ("not asked for", foreign, 0),
        ("out of order", late, audience.late_at_most if audience.keeps_order else len(late)),
    ):
        if len(found) > bound:
            breaches.append(f"{audience.name}: {len(found)} events {what}: {_some(sorted(found))}")
    if duplicates > bounds.duplicates:
        breaches.append(f"{audience.name}: {duplicates} duplicates, at most {bounds.duplicates} were in hand")
    return Tally(
        subscription=audience.name,
        keeps_order=audience.keeps_order,
        expected=len(wanted),
        delivered=len(keys),
        lost=len(lost),
        excused=len(excused),
        invented=len(invented) + len(foreign),
        duplicates=duplicates,
        disorder=len(late),
        again_seconds=_again(books, audience, timeline, bounds, handled, breaches),
    )


def wanted_by(audience: Audience, books: Books) -> set[Key]:
    """Return the accepted events that must reach a subscription."""
    return {key for key in books.accepted if books.offered[key] >= audience.since and audience.wants(key)}


def excused_from(missing: set[Key], books: Books, excuse: Excuse | None) -> set[Key]:
    """Return those of the missing events that an operator's deletion accounts for."""
    if excuse is None:
        return set()
    # When it reached the broker nobody knows: after it was offered, and before its confirm was read.
    in_gap = {
        key for key in missing if _confirmed_at(key, books) >= excuse.since and books.offered[key] <= excuse.until
    }
    before = {key for key in missing - in_gap if books.offered[key] < excuse.since}
    return in_gap | before if len(before) <= excuse.held else in_gap


def _confirmed_at(key: Key, books: Books) -> int:
    return books.confirmed.get(key, books.accepted[key])


def _again(
    books: Books,
    audience: Audience,
    timeline: Timeline,
    bounds: Bounds,
    handled: Sequence[Handling],
    breaches: list[str],
) -> tuple[float, ...]:
    first: dict[str, int] = {}
    since: Counter[str] = Counter()
    for handling in sorted(handled):
        if handling.at < timeline.healed:
            continue
        since[handling.process] += 1
        if books.offered.get(handling.key, 0) >= timeline.healed or since[handling.process] > bounds.prefetch:
            first.setdefault(handling.process if audience.workers else audience.name, handling.at)
    breaches += [
        f"{audience.name}: {who} has consumed nothing since the fault but what was in hand"
        for who in audience.workers or (audience.name,)
        if who not in first
    ]
    wanted = set(audience.workers or (audience.name,))
    return tuple((at - timeline.healed) / SECOND for who, at in sorted(first.items()) if who in wanted)


def _broken_flow(books: Books, audiences: Sequence[Audience], timeline: Timeline) -> list[str]:
    """Traffic before, during and after: a fault in an idle bus proves nothing."""
    accepted = sorted(books.accepted.values())
    phases = {
        "before": (timeline.began, timeline.struck),
        # A fault that is over at once, a kill for example, has its effect for a while.
        "during": (timeline.struck, max(timeline.healed, timeline.struck + SECOND)),
        "after": (timeline.healed, timeline.ended),
    }
    broken = [
        f"no event was accepted {phase} the fault"
        for phase, (since, until) in phases.items()
        if not any(since <= at < until for at in accepted)
    ]
    for audience in audiences:
        handled = books.handled.get(audience.name, [])
        for phase in ("before", "after") if audience.since < timeline.struck else ("after",):
            since, until = phases[phase]
            if not any(since <= handling.at < until for handling in handled):
                broken.append(f"{audience.name}: no event was handled {phase} the fault")
    return broken


def _weigh(verdict: Verdict, samples: Mapping[str, Sequence[Sample]], timeline: Timeline, bounds: Bounds) -> None:
    """Compare what each process that lived through it all held before and after."""
    for name, limit in (("threads", 0), ("sockets", 0), ("resident_kb", bounds.resident_growth_kb)):
        worst: tuple[int, int] | None = None
        for process, held in samples.items():
            before = [getattr(one, name) for one in held if timeline.began <= one.at < timeline.struck]
            after = [getattr(one, name) for one in held if one.at >= timeline.healed]
            if not before or not after:
                continue  # started or ended in between
            pair = (max(before), min(after))
            if pair[1] - pair[0] > limit:
                verdict.breaches.append(f"{process}: {name} grew from {pair[0]} to {pair[1]}")
            if worst is None or pair[1] - pair[0] > worst[1] - worst[0]:
                worst = pair
        if worst:
            setattr(verdict, name, worst)


def _some(found: object) -> str:
    items = [str(tuple(one)) for one in list(found)[:_TOLD]]  # type: ignore[call-overload]
    return ", ".join(items) + (" …" if len(list(found)) > _TOLD else "")  # type: ignore[call-overload]
