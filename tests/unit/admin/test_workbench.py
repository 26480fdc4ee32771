"""Looking at dead letters, and dropping them, on a broker in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus_amqp.admin.letter_filter import LetterFilter
from bus_amqp.admin.letter_reader import LARGEST_PAGE
from bus_amqp.admin.workbench import Workbench
from bus_amqp.errors import InvalidArgumentError, NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.topic import EventTopic
from bus_amqp.topology.plan import Plan, Queue
from tests.promise.subscribers import an_event
from tests.unit.admin.desk import BUS, DEAD, NOON, Desk, never, numbers_of


def test_looking_takes_nothing_and_changes_no_order(desk: Desk) -> None:
    """An operator looks a hundred times before he decides."""
    desk.fail_many(5)

    for _ in range(3):
        assert numbers_of(desk.workbench().look()) == [0, 1, 2, 3, 4]

    assert desk.numbers(DEAD) == [0, 1, 2, 3, 4]


def test_a_look_that_is_left_early_gives_everything_back(desk: Desk) -> None:
    """`show 1` of a thousand."""
    desk.fail_many(300)

    assert next(desk.workbench().look()).position == 1
    assert numbers_of(desk.workbench().look(limit=2)) == [0, 1]

    assert desk.numbers(DEAD) == list(range(300))


def test_a_queue_longer_than_a_page_is_read_to_its_end_in_order(desk: Desk) -> None:
    """The letters behind a full hand come through another channel: who stops there would call the rest gone."""
    count = 2 * LARGEST_PAGE + 150
    for number in range(count):
        desk.fail(an_event(number))

    letters = list(desk.workbench().look())

    assert numbers_of(letters) == list(range(count))
    assert [letter.position for letter in letters] == list(range(1, count + 1))
    assert desk.numbers(DEAD) == list(range(count))


def test_letters_that_come_while_one_looks_do_not_keep_it_going(desk: Desk) -> None:
    """A consumer that fails faster than one reads would make it endless."""
    desk.fail_many(3)

    seen = []
    for letter in desk.workbench().look():
        seen.append(letter)
        desk.fail(an_event(100 + len(seen)))

    assert numbers_of(seen) == [0, 1, 2]
    assert desk.numbers(DEAD) == [0, 1, 2, 101, 102, 103]


def test_letters_that_go_while_one_looks_end_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else drops them: what was counted at the beginning never comes."""
    monkeypatch.setattr("bus_amqp.admin.letter_reader.IDLE_SECONDS", 0.01)
    desk.fail_many(250)
    look = desk.workbench().look()
    first = next(look)

    # The first page is in our hand; the other workbench has all behind it.
    desk.workbench().drop(LetterFilter(), limit=None, should_stop=never)

    assert len([first, *look]) == 100


def test_two_workbenches_at_once_lose_nothing(desk: Desk) -> None:
    """Two operators after the same alarm."""
    desk.fail_many(300)
    one, other = desk.workbench().look(), desk.workbench().look()

    first = [next(one)]
    second = list(other)
    first += list(one)

    assert numbers_of(second) == list(range(100, 300))  # without the page that is in the other hand
    assert numbers_of(first) == list(range(300))
    assert desk.numbers(DEAD) == list(range(300))


def test_a_filter_selects_and_positions_stay_those_of_the_queue(desk: Desk) -> None:
    """`show 3` has to find what `list --type` called number 3."""
    desk.fail(an_event(0))
    desk.fail(an_event(1, event_type="VM.STOP"))
    desk.fail(an_event(2, event_type="VM.STOP"), reason="not-json", explanation="Invalid JSON")
    desk.fail(an_event(3, event_type="VM.STOP"), failed_at=NOON + timedelta(hours=1), explanation="KeyError: 'Price'")
    desk.leave(b"nonsense")

    def found(**wanted: object) -> list[int]:
        return [letter.position for letter in desk.workbench().look(LetterFilter(**wanted))]  # type: ignore[arg-type]  # short hand

    assert found() == [1, 2, 3, 4, 5]
    assert found(topic=EventTopic(event_type="*.STOP")) == [2, 3, 4]
    assert found(reason="not-json") == [3]
    assert found(reason="unknown") == [5]
    assert found(exception="'price'") == [4]
    assert found(failed_before=NOON + timedelta(minutes=1)) == [1, 2, 3]
    assert found(failed_after=NOON + timedelta(minutes=1)) == [4]
    assert found(topic=EventTopic(event_type="VM.#"), reason="exception", failed_before=NOON) == [1, 2]
    assert found(names=frozenset({"no such event"})) == []


def test_dropping_takes_what_is_meant_and_nothing_else(desk: Desk) -> None:
    """The limit is what the operator was asked about; the oldest go first."""
    for number in range(6):
        desk.fail(an_event(number, event_type=("VM.START", "VM.STOP")[number % 2]))

    wanted = LetterFilter(topic=EventTopic(event_type="VM.STOP"))
    outcome = desk.workbench().drop(wanted, limit=2, should_stop=never)

    assert outcome.done == 2
    assert desk.numbers(DEAD) == [0, 2, 4, 5]


def test_only_what_was_agreed_to_is_dropped(desk: Desk) -> None:
    """Between the question and the answer the queue has moved: the same conditions fit other letters by now."""
    desk.fail_many(4)
    agreed = {letter.fingerprint() for letter in desk.workbench().look(limit=2)}
    desk.workbench().drop(LetterFilter(), limit=1, should_stop=never)
    desk.fail(an_event(9))

    assert desk.workbench().drop(LetterFilter(), limit=2, should_stop=never, only=agreed).done == 1

    assert desk.numbers(DEAD) == [2, 3, 9]


def test_dropping_stops_when_it_is_asked_to(desk: Desk) -> None:
    """Ctrl-C on second thoughts."""
    desk.fail_many(5)

    outcome = desk.workbench().drop(LetterFilter(), limit=None, should_stop=lambda: True)

    assert (outcome.done, outcome.is_interrupted) == (0, True)
    assert len(desk.entries(DEAD)) == 5


def test_a_queue_that_is_not_there_is_told_and_not_made(desk: Desk) -> None:
    """A misspelt group has no dead letters, and must not get a queue for them."""
    with pytest.raises(NotFoundOnBrokerError, match=r"no dead letters of group 'biling': there is no queue"):
        list(desk.workbench("biling").look())
    with pytest.raises(NotFoundOnBrokerError, match="temporary subscriptions"):
        desk.workbench(None).count()
    with pytest.raises(InvalidArgumentError, match="reserved word"):
        desk.workbench("dead")

    assert desk.connection.queue_state("bus.biling.dead") is None


def test_a_queue_whose_letters_a_look_would_cost_is_not_looked_at(desk: Desk) -> None:
    """RabbitMQ 4 drops a message at its twenty-first return unless the queue says otherwise, and ours does."""
    desk.connection.delete_queue(DEAD)
    desk.connection.declare(Plan(queues=(Queue(DEAD, {"x-queue-type": "quorum"}),)))

    with pytest.raises(TopologyMismatchError, match="x-delivery-limit"):
        list(desk.workbench().look())

    careless = Workbench(desk.connection, BUS, "billing", may_declare=False)
    assert list(careless.look()) == []


def test_a_queue_deleted_under_the_look_is_told(desk: Desk) -> None:
    """It would wait for letters that are gone."""
    desk.fail_many(300)
    look = desk.workbench().look()
    next(look)
    desk.connection.delete_queue(DEAD)

    with pytest.raises(NotFoundOnBrokerError, match=r"deleted|no queue"):
        list(look)
