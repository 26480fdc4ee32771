"""The referee against made-up ledgers: each bound is broken once, and each time he must see it.

A suite whose referee cannot find a fault proves nothing by finding none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.books import Books, Key
from tests.chaos.ledger import Sample
from tests.chaos.part import RESOURCES
from tests.chaos.referee import SECOND, Audience, judge, violations
from tests.chaos.verdict import Bounds, Excuse, Timeline, Verdict

COUNT = 60
STEP = SECOND // 10
STRUCK, HEALED, ENDED = 2 * SECOND, 4 * SECOND, 20 * SECOND
TIMELINE = Timeline(began=0, struck=STRUCK, healed=HEALED, ended=ENDED)
BOUNDS = Bounds(duplicates=3)
WORK = Audience("work", keeps_order=False, workers=("c1", "c2"))
ORDERED = Audience("ordered", keeps_order=True)


def offered_at(number: int) -> int:
    """Ten events a second."""
    return number * STEP + 1


def good_books() -> Books:
    """A run without fault: sixty events in six seconds, each handled a millisecond later by both subscriptions."""
    books = Books()
    for number in range(COUNT):
        key, at = Key("p", number), offered_at(number)
        books.offered[key] = at
        books.accept(at + 1000, key)
        books.confirmed[key] = at + 2000
        books.handle(at + SECOND // 1000, f"c{1 + number // 2 % 2}", "work", key)
        books.handle(at + SECOND // 1000, "c1", "ordered", key)
    for process in ("p", "c1", "c2"):
        books.samples[process] = [Sample(at * SECOND, 5, 3, 50_000, float(at)) for at in range(20)]
    return books


def verdict_on(books: Books, *audiences: Audience, bounds: Bounds = BOUNDS) -> Verdict:
    return judge(books, audiences or (WORK, ORDERED), TIMELINE, bounds)


def forget(books: Books, subscription: str, *numbers: int) -> None:
    """Strike the handlings of these events from a subscription's ledger."""
    books.handled[subscription] = [one for one in books.handled[subscription] if one.key.number not in numbers]
    books.handled_keys[subscription] = {one.key for one in books.handled[subscription]}


def test_a_run_without_fault_breaks_no_bound():
    """Who always shouts is not listened to."""
    verdict = verdict_on(good_books())

    assert verdict.breaches == []
    assert (verdict.accepted, verdict.total("delivered"), verdict.total("lost")) == (COUNT, 2 * COUNT, 0)


def lose_one(books: Books) -> None:
    forget(books, "ordered", 30)


def invent_one(books: Books) -> None:
    books.handle(ENDED - 1, "c1", "work", Key("p", 999))


def deliver_a_refused_one(books: Books) -> None:
    books.refuse(offered_at(30), Key("p", 30), "OutboxFullError")
    del books.accepted[Key("p", 30)]


def swap_two(books: Books, number: int = 10) -> None:
    # 2 * RESOURCES events later it is the same resource's turn.
    forget(books, "ordered", number)
    books.handle(offered_at(number + 2 * RESOURCES) + SECOND, "c1", "ordered", Key("p", number))


def repeat_four(books: Books) -> None:
    for number in range(4):
        books.handle(ENDED - 1, "c2", "work", Key("p", number))


def hang_in_publish(books: Books) -> None:
    books.offered[Key("p", COUNT)] = ENDED - SECOND
    books.accept(ENDED - SECOND // 3, Key("p", COUNT))
    for name in ("work", "ordered"):
        books.handle(ENDED - 1, "c1", name, Key("p", COUNT))


def hang_before_refusing(books: Books) -> None:
    books.offered[Key("p", COUNT)] = ENDED - SECOND
    books.refuse(ENDED - SECOND // 3, Key("p", COUNT), "OutboxFullError")


def fail_a_receipt(books: Books) -> None:
    books.failed[Key("p", 3)] = "UnroutableError"


def come_back_late(books: Books) -> None:
    for name in ("work", "ordered"):
        books.handled[name] = [
            one._replace(at=one.at + 6 * SECOND) if one.at > HEALED else one for one in books.handled[name]
        ]


def come_back_half(books: Books) -> None:
    books.handled["work"] = [
        one._replace(process="c1") if one.at > HEALED else one for one in books.handled["work"]
    ]  # fmt: skip


def stop_accepting(since: int, until: int) -> Callable[[Books], None]:
    def stop(books: Books) -> None:
        gone = [key for key, at in books.accepted.items() if since <= at < until]
        for key in gone:
            del books.accepted[key], books.offered[key], books.confirmed[key]
        for name in ("work", "ordered"):
            forget(books, name, *(key.number for key in gone))

    return stop


def handle_nothing_before(books: Books) -> None:
    books.handled["work"] = [
        one._replace(at=STRUCK + 1) if one.at < STRUCK else one for one in books.handled["work"]
    ]  # fmt: skip


def leak(**growth: int) -> Callable[[Books], None]:
    def grow(books: Books) -> None:
        books.samples["c2"] = [
            one._replace(**{name: getattr(one, name) + more for name, more in growth.items()})
            if one.at >= HEALED
            else one
            for one in books.samples["c2"]
        ]

    return grow


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lose_one, r"ordered: 1 events lost: \('p', 30\)"),
        (invent_one, "work: 1 events invented"),
        (deliver_a_refused_one, "work: 1 events invented"),
        (swap_two, "ordered: 1 events out of order"),
        (repeat_four, "work: 4 duplicates, at most 3"),
        (hang_in_publish, "publish.. call took 0.667 s"),
        (hang_before_refusing, "publish.. call took 0.667 s"),
        (fail_a_receipt, "1 receipts failed"),
        (come_back_late, "a consumer needed 6.2 s to consume again, bound 5.0"),
        (come_back_late, "half of the consumers needed over 2"),
        (come_back_half, "work: c2 has consumed nothing since the fault but what was in hand"),
        (stop_accepting(0, STRUCK), "no event was accepted before"),
        (stop_accepting(STRUCK, HEALED), "no event was accepted during"),
        (stop_accepting(HEALED, ENDED), "no event was accepted after"),
        (handle_nothing_before, "work: no event was handled before"),
        (leak(threads=1), "c2: threads grew from 5 to 6"),
        (leak(sockets=1), "c2: sockets grew from 3 to 4"),
        (leak(resident_kb=70_000), "c2: resident_kb grew from 50000 to 120000"),
    ],
)
def test_each_broken_bound_is_seen(break_it: Callable[[Books], None], sentence: str):
    """One fault in a ledger that is otherwise in order: it must be named."""
    books = good_books()
    break_it(books)

    with pytest.raises(AssertionError, match=sentence):
        assert not (breaches := verdict_on(books).breaches), "\n".join(breaches)


def test_a_plain_group_may_break_order_and_is_counted():
    """Its members pass work to each other: order is not promised, and still told."""
    books = good_books()
    forget(books, "work", 10)
    books.handle(offered_at(10 + 2 * RESOURCES) + SECOND, "c1", "work", Key("p", 10))

    verdict = verdict_on(books)

    assert verdict.breaches == []
    assert verdict.total("disorder", keeps_order=False) == 1


def test_where_the_fault_breaks_the_order_itself_it_is_bounded():
    """A cancelled consumer of an ordered group: what it had in hand may be late, and is told; nothing more may."""
    books = good_books()
    swap_two(books)

    verdict = verdict_on(books, WORK, replace(ORDERED, late_at_most=1))

    assert verdict.breaches == []
    assert verdict.total("disorder", keeps_order=True) == 1
    swap_two(books, 50)
    assert verdict_on(books, WORK, replace(ORDERED, late_at_most=1)).breaches == [
        "ordered: 2 events out of order: ('p', 10), ('p', 50)"
    ]


def test_a_late_duplicate_is_no_disorder():
    """Order is promised for the first handling: a second one comes when it comes."""
    books = good_books()
    books.handle(ENDED - 1, "c1", "ordered", Key("p", 0))

    assert violations(books.handled["ordered"]) == []


def test_order_is_judged_across_processes_by_time():
    """Two processes, each in order by itself, can be out of order together."""
    books = Books()
    books.handle(3, "c1", "ordered", Key("p", 0))
    books.handle(2, "c2", "ordered", Key("p", 2 * RESOURCES))

    assert violations(books.handled["ordered"]) == [Key("p", 0)]


def test_a_parked_event_is_not_lost():
    """In the dead-letter queue, with its reason, it has not disappeared."""
    books = good_books()
    forget(books, "work", 30)

    assert verdict_on(books, replace(WORK, parked=frozenset({Key("p", 30)}))).breaches == []


def test_what_the_reported_gap_covers_is_excused_and_nothing_after_it():
    """An operator deleted the queue: the bus names the gap, and loses nothing once that is over."""
    books = good_books()
    in_gap, after = 25, 35
    forget(books, "ordered", in_gap, after)
    excuse = Excuse(since=offered_at(24), until=offered_at(30))

    verdict = verdict_on(books, replace(ORDERED, excuse=excuse))

    (tally,) = verdict.tallies
    assert (tally.lost, tally.excused) == (1, 1)
    assert "('p', 35)" in verdict.breaches[0]


@pytest.mark.parametrize(("held", "lost"), [(2, 0), (1, 2)])
def test_what_lay_in_a_deleted_queue_is_excused_up_to_its_number(held: int, lost: int):
    """The queue held so many: one more that is missing is a loss, and then it cannot be said which."""
    books = good_books()
    forget(books, "ordered", 10, 11)
    excuse = Excuse(since=offered_at(24), until=offered_at(30), held=held)

    verdict = verdict_on(books, replace(ORDERED, excuse=excuse))

    assert verdict.total("lost") == lost


def test_events_that_were_not_asked_for_are_a_fault():
    """A subscription to one type that gets another has been given what it did not ask for."""
    even = replace(ORDERED, wants=lambda key: key.number % 2 == 0)

    verdict = verdict_on(good_books(), even)

    assert verdict.breaches[0].startswith(f"ordered: {COUNT // 2} events not asked for")


def test_a_temporary_subscription_wants_what_came_after_it():
    """It began in the middle: what was offered before is not its loss, and it need not have been there before."""
    books = good_books()
    forget(books, "ordered", *range(45))

    assert verdict_on(books, replace(ORDERED, since=offered_at(45))).breaches == []


def test_what_was_in_hand_does_not_count_as_consuming_again():
    """A dead connection's last deliveries are handled too: only what was offered afterwards proves a new one."""
    books = good_books()
    for one in [one for one in books.handled["ordered"] if one.at >= HEALED]:
        books.handled["ordered"].remove(one)
    books.handle(HEALED + 1, "c1", "ordered", Key("p", 38))

    assert any(
        "nothing since the fault but what was in hand" in breach for breach in verdict_on(books, ORDERED).breaches
    )


def test_who_has_handled_more_than_a_prefetch_is_consuming_again():
    """Behind a backlog the events of after the fault come late; that is no ghost, and no measure of a reconnect."""
    books = good_books()
    books.handled["ordered"] = [one for one in books.handled["ordered"] if one.at < HEALED]
    for number in range(4):
        books.handle(HEALED + number, "c1", "ordered", Key("p", 30 + number))

    (tally,) = judge(books, [ORDERED], TIMELINE, replace(BOUNDS, prefetch=3)).tallies

    assert tally.again_seconds == (3 / SECOND,)
