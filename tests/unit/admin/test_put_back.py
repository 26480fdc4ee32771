"""Putting events back on their queue, on a broker in memory: each leaves the dead letters after its own confirm."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from bus_amqp.admin.letter_filter import LetterFilter
from bus_amqp.admin.put_back import WINDOW, Outcome
from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.errors import DeadlineExceededError, NotFoundOnBrokerError
from bus_amqp.topic import EventTopic
from bus_amqp.topology import names
from bus_amqp.transport.memory.entry import Entry, MemoryDelivery
from bus_amqp.wire.message import Message
from tests.promise.subscribers import an_event
from tests.unit.admin.desk import BUS, DEAD, GROUP, HOME, MAX_BYTES, NOON, Desk, never


def put_back(
    desk: Desk, wanted: LetterFilter | None = None, *, group: str | None = GROUP, limit: int | None = None,
    to: str | None = None, should_stop: Callable[[], bool] = never,
) -> Outcome:  # fmt: skip
    wanted = wanted or LetterFilter()
    return desk.workbench(group).putting_back(wanted, limit=limit, should_stop=should_stop, to=to).run()


def test_events_go_back_to_their_queue_in_order(desk: Desk) -> None:
    """More than a window and more than a page: all of them, once, in the order in which they failed."""
    other = desk.make_group("other")
    desk.fail_many(3 * WINDOW + 7)

    outcome = put_back(desk)

    assert (outcome.done, outcome.stays, outcome.is_interrupted) == (3 * WINDOW + 7, [], False)
    assert desk.numbers(HOME) == list(range(3 * WINDOW + 7))
    assert desk.entries(DEAD) == []
    assert desk.entries(other) == []


def test_only_what_is_meant_goes_and_the_rest_keeps_its_order(desk: Desk) -> None:
    """One kind of event has been repaired, the others have not."""
    for number in range(8):
        desk.fail(an_event(number, event_type=("VM.START", "VM.STOP")[number % 2]))

    outcome = put_back(desk, LetterFilter(topic=EventTopic(event_type="VM.STOP")), limit=3)

    assert outcome.done == 3
    assert desk.numbers(HOME) == [1, 3, 5]
    assert desk.numbers(DEAD) == [0, 2, 4, 6, 7]


def test_the_life_of_an_event_starts_afresh_and_its_history_is_kept(desk: Desk) -> None:
    """With its attempts it would be dead again at once; without its history nobody sees that it circles."""
    event = an_event(0)
    noted = {"x-bus-first-failure": "2026-11-22T11:00:00.000+00:00", "x-other": 7, "x-death": "?"}
    desk.fail(event, attempts=5, headers=noted)

    put_back(desk)

    [message] = desk.entries(HOME)
    assert dict(message.headers or {}) == {
        "x-bus-routing-key": "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server",
        "x-bus-first-failure": "2026-11-22T11:00:00.000+00:00",
        "x-bus-put-back": 1,
        "x-bus-earlier-attempts": 5,
        "x-bus-exchange": BUS,
        "x-other": 7,
    }
    assert (message.message_id, message.type, message.app_id) == (
        str(event.event_id), "VM.START", "management-server",
    )  # fmt: skip
    assert message.timestamp == int(event.event_time.timestamp())


def test_an_event_that_fails_again_tells_of_both_lives(desk: Desk) -> None:
    """The second look shows that putting it back has not helped."""
    desk.fail(an_event(0), attempts=5)
    put_back(desk)
    [message] = desk.entries(HOME)
    address = DeadLetterAddress(names.dead_exchange(BUS), GROUP, HOME, "charge")
    again = MemoryDelivery(1, Entry(0, message, ""), MAX_BYTES)
    desk.publish(dead_letter_message(again, DeadLetter("exception", "ValueError: again"), address))

    [letter] = desk.workbench().look()

    assert (letter.attempts, letter.earlier_attempts, letter.times_put_back) == (1, 5, 1)
    assert letter.first_failure == NOON
    assert letter.routing_key == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
    assert letter.queue == HOME


def test_a_letter_that_the_broker_made_gets_its_own_key_back(desk: Desk) -> None:
    """Lanes and topics by hand go by that key; the broker has overwritten it with the group's name."""
    body = an_event(0).model_dump_json(by_alias=True).encode()
    desk.leave(body, headers={"x-first-death-reason": "delivery_limit", "x-delivery-count": 20})

    put_back(desk)

    [message] = desk.entries(HOME)
    key = "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
    assert dict(message.headers or {}) == {"x-bus-routing-key": key, "x-bus-put-back": 1}


def test_a_header_sends_no_event_to_another_queue(desk: Desk) -> None:
    """Put back on *their* queue only: what a stranger writes into a header decides nothing."""
    other = desk.make_group("other")
    desk.fail(an_event(0), queue=other)

    put_back(desk)

    assert desk.numbers(HOME) == [0]
    assert desk.entries(other) == []


def test_events_of_temporary_subscriptions_find_their_own_queue(desk: Desk) -> None:
    """One dead-letter queue serves them all; those whose subscription has ended are named, and stay."""
    living = desk.make_group(None, uuid.UUID(int=1))
    gone = names.temporary_queue(BUS, uuid.UUID(int=2))
    events = [an_event(number) for number in range(4)]
    for event, queue in zip(events, (living, gone, HOME, living), strict=True):
        desk.fail(event, group=None, queue=queue)

    outcome = put_back(desk, group=None)

    assert (outcome.done, outcome.stay_count) == (2, 2)
    assert desk.numbers(living) == [0, 3]
    assert desk.numbers(names.dead_queue(BUS, None)) == [1, 2]
    assert desk.entries(HOME) == []
    assert outcome.stays[0] == (str(events[1].event_id), f"queue {gone} is gone; --to GROUP puts it on a group's")
    assert outcome.stays[1][0] == str(events[2].event_id)


def test_an_event_of_a_queue_that_is_gone_goes_where_it_is_told_to(desk: Desk) -> None:
    """The group was deleted, its dead letters were kept."""
    heir = desk.make_group("heir")
    desk.fail_many(2)
    desk.connection.delete_queue(HOME)

    outcome = put_back(desk)
    assert (outcome.done, outcome.stay_count) == (0, 2)

    assert put_back(desk, to="heir").done == 2
    assert desk.numbers(heir) == [0, 1]
    with pytest.raises(NotFoundOnBrokerError, match="`bus-amqp groups create nobody` makes it"):
        put_back(desk, to="nobody")


def test_what_cannot_be_copied_whole_stays(desk: Desk) -> None:
    """A body that was never received would go back empty, and the original be taken off."""
    desk.leave(b"x" * (MAX_BYTES + 1))
    desk.fail(an_event(1))

    outcome = put_back(desk)

    assert (outcome.done, outcome.stays) == (1, [("number 1", "its 1048577 bytes are more than can be carried")])
    assert len(desk.entries(DEAD)) == 1


def test_a_copy_that_comes_back_does_not_count_as_stored(desk: Desk) -> None:
    """The queue is deleted between the look at it and the copy: the broker returns it, and then confirms."""
    desk.fail_many(5)
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=never)
    run._exists[HOME] = True  # as it saw it a moment ago
    desk.connection.delete_queue(HOME)

    outcome = run.run()

    assert (outcome.done, outcome.stay_count) == (0, 5)
    assert desk.numbers(DEAD) == [0, 1, 2, 3, 4]


def test_returned_copies_that_look_alike_are_all_kept(desk: Desk) -> None:
    """A return names no sequence: credited to the wrong one of two, the other would count as stored, and be lost."""
    desk.leave(b"one, without an id")
    desk.leave(b"another")
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=never)
    run._exists[HOME] = True
    desk.connection.delete_queue(HOME)

    outcome = run.run()

    assert (outcome.done, outcome.stay_count) == (0, 2)
    assert len(desk.entries(DEAD)) == 2


def test_a_copy_that_the_broker_rejects_stays(desk: Desk) -> None:
    """A queue without a majority: the negative answer is an answer, and no other letter may pay for it."""
    desk.fail_many(4)
    broker = desk.connector.memory_broker
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=never)
    broker.reject_next(2)

    outcome = run.run()

    assert (outcome.done, outcome.stay_count) == (2, 2)
    assert desk.numbers(DEAD) == [0, 1]
    assert desk.numbers(HOME) == [2, 3]


def test_a_letter_waits_for_its_own_confirm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that takes the copies and never answers: none may be taken off, and the run ends with the reason."""
    monkeypatch.setattr("bus_amqp.admin.put_back.CONFIRM_SECONDS", 0.05)
    desk.fail_many(3)
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=never)
    desk.connector.memory_broker.block("low on memory")

    with pytest.raises(DeadlineExceededError, match=r"blocked \(low on memory\); 0 were put back"):
        run.run()

    assert desk.numbers(DEAD) == [0, 1, 2]


def test_nothing_is_taken_off_before_its_confirm(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies are on the queue, and the broker has not said so: killed now, both are there, never none."""
    monkeypatch.setattr("bus_amqp.admin.put_back.CONFIRM_SECONDS", 0.05)
    desk.fail_many(3)
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=never)
    desk.connector.memory_broker.hold_confirms()

    with pytest.raises(DeadlineExceededError, match="up to 3 of them perhaps in both places"):
        run.run()

    assert (run.outcome.done, desk.numbers(HOME), desk.numbers(DEAD)) == (0, [0, 1, 2], [0, 1, 2])


def test_asked_to_stop_it_settles_what_is_under_way(desk: Desk) -> None:
    """Ctrl-C: nothing is lost, and what was confirmed is not left in both places."""
    desk.fail_many(5 * WINDOW)
    run = desk.workbench().putting_back(LetterFilter(), limit=None, should_stop=lambda: run.outcome.done >= WINDOW)

    outcome = run.run()

    assert outcome.is_interrupted
    assert WINDOW <= outcome.done < 5 * WINDOW
    assert desk.numbers(HOME) == list(range(outcome.done))
    assert desk.numbers(DEAD) == list(range(outcome.done, 5 * WINDOW))


def test_events_that_fail_again_at_once_do_not_go_round_and_round(desk: Desk) -> None:
    """A consumer that is still broken: each letter is put back once, and the run ends."""
    desk.fail_many(2)
    consumer = desk.connect().consume_channel(HOME, 10)
    turns: list[int] = []

    def fail_again() -> bool:
        turns.append(1)
        entries = list(consumer._unacked.items())
        for tag, entry in entries:
            consumer.accept([tag])
            desk.publish(Message(GROUP, entry.message.body, headers=entry.message.headers, exchange="bus.dead"))
        return False

    outcome = put_back(desk, should_stop=fail_again)

    assert outcome.done == 2
    assert len(turns) < 50
