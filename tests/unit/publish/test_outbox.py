"""``bus_amqp.publish.outbox``: accepted events between callers and the publisher thread."""

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp.errors import BusClosedError, OutboxFullError
from bus_amqp.publish.outbox import OVERHEAD_BYTES, Entry, Outbox
from tests.unit.fakes import Running, an_entry, wait_until_blocked

LONG = 30.0  # a timeout that must not be what ends a wait
MANY_BYTES = 10**9


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.number for entry in entries]


def filled(events: int, *, of: int) -> Outbox:
    outbox = Outbox(of, MANY_BYTES)
    for number in range(events):
        outbox.put(an_entry(number), 0)
    return outbox


def test_entries_come_out_in_the_order_in_which_they_were_accepted() -> None:
    """P3 begins here."""
    outbox = filled(5, of=5)

    assert numbers(outbox.take(2)) == [1, 2]
    assert numbers(outbox.take(9)) == [3, 4, 5]
    assert outbox.take(9) == []


def test_an_event_keeps_its_place_until_it_is_done() -> None:
    """Memory is bounded whatever the broker does: what is sent and unconfirmed counts."""
    outbox = filled(3, of=3)
    taken = outbox.take(3)

    assert outbox.open_events == 3
    assert outbox.open_bytes == sum(entry.size_bytes for entry in taken)
    with pytest.raises(OutboxFullError):
        outbox.put(an_entry(), 0)

    outbox.done(1, taken[0].size_bytes, 1)
    outbox.put(an_entry(), 0)
    assert (outbox.open_events, outbox.accepted) == (3, 4)


def test_the_outbox_is_bounded_by_bytes_too() -> None:
    """A few huge events must not take all memory."""
    size_bytes = 1000 + OVERHEAD_BYTES
    outbox = Outbox(1000, 3 * size_bytes)
    for number in range(3):
        outbox.put(an_entry(number, size_bytes=1000), 0)

    with pytest.raises(OutboxFullError, match=f"{3 * size_bytes} bytes"):
        outbox.put(an_entry(size_bytes=0), 0)

    outbox.done(1, size_bytes, 1)
    outbox.put(an_entry(size_bytes=1000), 0)


def test_a_full_outbox_makes_the_caller_wait_for_its_timeout_and_says_why() -> None:
    """P1: at most ``publish_timeout_seconds``, then an error; never a silent drop."""
    outbox = filled(2, of=2)
    started = time.monotonic()

    with pytest.raises(OutboxFullError, match=r"2 events.*confirm.*health") as full:
        outbox.put(an_entry(), 0.05)

    assert 0.05 <= time.monotonic() - started < 1
    assert full.value.is_transient
    assert outbox.accepted == 2


def test_while_it_stays_full_further_calls_fail_at_once() -> None:
    """P1: a thousand callers must not each wait for a broker that takes nothing."""
    outbox = filled(2, of=2)
    with pytest.raises(OutboxFullError):
        outbox.put(an_entry(), 0.01)

    started = time.monotonic()
    with pytest.raises(OutboxFullError):
        outbox.put(an_entry(), LONG)
    with pytest.raises(OutboxFullError):
        outbox.put_many([an_entry()], LONG)
    assert time.monotonic() - started < 1

    outbox.done(1, 0, 1)
    outbox.put(an_entry(), 0)
    started = time.monotonic()
    with pytest.raises(OutboxFullError):
        outbox.put(an_entry(), 0.03)
    assert time.monotonic() - started >= 0.03, "the broker took something, so waiting is worth it again"


def test_a_waiting_caller_goes_on_as_soon_as_there_is_room() -> None:
    """A moment of slowness costs a caller that moment and no error."""
    outbox = filled(1, of=1)
    waiting = Running(lambda: outbox.put(an_entry(), LONG))
    wait_until_blocked(waiting.thread)

    outbox.done(1, 0, 1)

    waiting.result()
    assert outbox.accepted == 2


def test_room_wakes_whoever_fits_into_it() -> None:
    """A large batch at the head of the queue must not keep the wake from a caller that needs one place."""
    outbox = filled(3, of=3)
    large = Running(lambda: outbox.put_many([an_entry() for _ in range(3)], LONG))
    wait_until_blocked(large.thread)
    small = Running(lambda: outbox.put(an_entry(), LONG))
    wait_until_blocked(small.thread)

    outbox.done(1, 0, 1)
    small.result()
    outbox.done(3, 0, 4)
    large.result()

    assert outbox.accepted == 7


def test_put_many_accepts_all_or_none() -> None:
    """``publish_many`` promises it."""
    outbox = filled(2, of=4)

    with pytest.raises(OutboxFullError):
        outbox.put_many([an_entry() for _ in range(3)], 0)
    assert (outbox.accepted, outbox.open_events) == (2, 2)

    outbox.put_many([an_entry() for _ in range(2)], 0)
    assert numbers(outbox.take(9)) == [1, 2, 3, 4]


def test_restored_entries_come_first_and_in_order() -> None:
    """At least once, in order: what was sent and not confirmed goes before what was accepted since."""
    outbox = filled(5, of=9)
    taken = outbox.take(3)
    outbox.put(an_entry(), 0)

    outbox.restore(taken)

    assert numbers(outbox.take(9)) == [1, 2, 3, 4, 5, 6]


def test_a_copy_is_accepted_whatever_the_bound_says() -> None:
    """A worker that waited for room could wait for itself: prefetch bounds the copies."""
    outbox = filled(2, of=2)

    outbox.put_copy(an_entry())

    assert outbox.open_events == 3
    with pytest.raises(OutboxFullError):
        outbox.put(an_entry(), 0)


@pytest.mark.parametrize(
    "put",
    [
        lambda outbox: outbox.put(an_entry(), 0),
        lambda outbox: outbox.put_many([an_entry(), an_entry()], 0),
        lambda outbox: outbox.put_copy(an_entry()),
    ],
)
def test_only_a_publisher_that_found_nothing_must_be_woken(put: Callable[[Outbox], bool]) -> None:
    """A wake costs a system call: needed once when the publisher sleeps, and then not again."""
    outbox = Outbox(10, MANY_BYTES)
    assert not put(outbox), "the publisher has not looked yet, so it will"
    outbox.take(10)
    assert not put(outbox), "the last look found something, so there will be another"
    outbox.take(10)
    assert outbox.take(10) == []

    assert put(outbox)
    assert not put(outbox)


def test_settled_is_what_was_accepted_before_the_call() -> None:
    """``flush`` under steady traffic must return, though the outbox is never empty."""
    outbox = filled(2, of=100)
    flushing = Running(lambda: outbox.wait_settled(LONG))
    wait_until_blocked(flushing.thread)

    for number in range(3):
        outbox.put(an_entry(number), 0)
    outbox.done(1, 0, 1)
    wait_until_blocked(flushing.thread)
    outbox.done(1, 0, 2)

    assert flushing.result() == 0
    assert outbox.open_events == 3


def test_confirms_out_of_order_do_not_settle_early() -> None:
    """``flush`` counts the oldest open event, not the number of confirms."""
    outbox = filled(3, of=100)

    outbox.done(2, 0, 0)

    assert outbox.wait_settled(0.01) == 1
    outbox.done(1, 0, 3)
    assert outbox.wait_settled(0) == 0


def test_an_empty_outbox_is_settled() -> None:
    """``flush`` of a bus that published nothing returns at once."""
    assert Outbox(1, 1024).wait_settled(LONG) == 0


def test_closing_wakes_who_waits_and_refuses_the_rest() -> None:
    """P8: no caller is left hanging."""
    outbox = filled(1, of=1)
    waiting = Running(lambda: outbox.put(an_entry(), LONG))
    wait_until_blocked(waiting.thread)

    outbox.close()

    with pytest.raises(BusClosedError):
        waiting.result()
    with pytest.raises(BusClosedError):
        outbox.put(an_entry(), 0)
    with pytest.raises(BusClosedError):
        outbox.put_many([an_entry()], 0)
    assert outbox.accepted == 1


@pytest.mark.usefixtures("restless_threads")
def test_many_callers_and_one_taker_lose_nothing_and_keep_each_callers_order() -> None:
    """P1, P3: the hand-over under contention, with an outbox that is nearly always full."""
    callers, each = 4, 200
    outbox = Outbox(8, MANY_BYTES)
    taken: list[Entry] = []

    def publish(caller: int) -> None:
        for number in range(each):
            outbox.put(an_entry(caller * each + number), LONG)

    def take_all() -> None:
        idle = threading.Event()
        while len(taken) < callers * each:
            entries = outbox.take(3)
            taken.extend(entries)
            if entries:
                outbox.done(len(entries), sum(entry.size_bytes for entry in entries), entries[-1].number)
            else:
                idle.wait(0.0001)

    running = [Running(take_all), *(Running(lambda caller=caller: publish(caller)) for caller in range(callers))]  # type: ignore[misc]  # a default as a binding
    for one in running:
        one.result()

    assert numbers(taken) == list(range(1, callers * each + 1))
    sent = [int(entry.message.routing_key.split(".")[3]) for entry in taken]
    for caller in range(callers):
        own = [number for number in sent if number // each == caller]
        assert own == sorted(own)
    assert (outbox.open_events, outbox.open_bytes) == (0, 0)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["put", "take", "done", "lose"]), max_size=40), st.integers(1, 5))
def test_losing_the_connection_at_any_moment_keeps_the_order_and_every_entry(steps: list[str], bound: int) -> None:
    """P2, P3: taken and not done comes back exactly where it was."""
    outbox = Outbox(bound, MANY_BYTES)
    with_publisher: list[Entry] = []
    done: list[int] = []
    for step in steps:
        if step == "put" and outbox.open_events < bound:
            outbox.put(an_entry(), 0)
        elif step == "take":
            with_publisher += outbox.take(2)
        elif step == "done" and with_publisher:
            entry = with_publisher.pop(0)
            done.append(entry.number)
            outbox.done(1, entry.size_bytes, entry.number)
        elif step == "lose":
            outbox.restore(with_publisher)
            with_publisher = []

    outbox.restore(with_publisher)
    assert done + numbers(outbox.take(100)) == list(range(1, outbox.accepted + 1))
