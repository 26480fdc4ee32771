"""``bus_amqp.source.fan_out``: several buses, and what one of them does to the others: nothing."""

from __future__ import annotations

import logging
import threading
from typing import NoReturn

import pytest

from bus_amqp import Event, OutboxFullError, connect
from bus_amqp.errors import EventBusException, ForkedProcessError, InvalidArgumentError
from bus_amqp.receipt import Receipt
from bus_amqp.source.emitter import Emitter
from bus_amqp.source.fan_out import FanOut, FanOutReceipt
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topic import EventTopic
from tests.unit.fakes import an_event
from tests.unit.source.test_emitter import ACME


class Bus:
    """A bus that refuses while it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None

    def publish(self, event: Event, /) -> str:
        if self.error is not None:
            raise self.error
        self.events.append(event)
        return "taken"


def test_every_bus_gets_the_event_and_the_result_says_so():
    """One call, as to one bus."""
    first, second, event = Bus(), Bus(), an_event()

    receipt = FanOut({"first": first, "second": second}).publish(event)

    assert first.events == second.events == [event]
    assert (dict(receipt.accepted), dict(receipt.refused)) == ({"first": "taken", "second": "taken"}, {})
    assert receipt.failures(0) == {}


@pytest.mark.parametrize("error", [OutboxFullError("full"), RuntimeError("a fault"), ValueError("not mine")])
def test_one_that_fails_keeps_the_event_from_no_other(error: Exception, caplog: pytest.LogCaptureFixture):
    """Whatever it raises, and wherever it stands; it is counted, and told in the log and in the result."""
    broken, first, last = Bus(), Bus(), Bus()
    broken.error = error
    fan_out = FanOut({"first": first, "broken": broken, "last": last})

    receipt = fan_out.publish(an_event())

    assert len(first.events) == len(last.events) == 1
    assert dict(receipt.refused) == {"broken": error}
    assert receipt.failures(0) == {"broken": error}
    assert fan_out.failed == {"first": 0, "broken": 1, "last": 0}
    assert "broken did not take event" in caplog.text
    assert repr(fan_out) == "<FanOut to first, broken, last; failed: broken 1>"


def test_only_if_no_bus_took_it_the_caller_hears_of_it_at_once():
    """As of the first bus alone, with a word on the others: an event is lost only aloud."""
    first, second = Bus(), Bus()
    first.error, second.error = OutboxFullError("full"), EventBusException("closed")

    with pytest.raises(OutboxFullError) as raised:
        FanOut({"first": first, "second": second}).publish(an_event())

    assert raised.value.__notes__ == [
        "raised by first; no other bus has taken the event either", "second: EventBusException: closed",
    ]  # fmt: skip


def test_an_error_that_is_raised_again_and_again_does_not_grow():
    """A publisher may keep the one that ended it; a night of refused events must not become its notes."""
    first, second = Bus(), Bus()
    first.error, second.error = EventBusException("closed"), EventBusException("closed")

    for _ in range(3):
        with pytest.raises(EventBusException) as raised:
            FanOut({"first": first, "second": second}).publish(an_event())

    assert len(raised.value.__notes__) == 2


def test_a_bus_that_refuses_thousands_is_told_of_twice(caplog: pytest.LogCaptureFixture):
    """When it begins, and when it ends with the number: a full disk of logs would be the next trouble."""
    well, full = Bus(), Bus()
    fan_out = FanOut({"well": well, "full": full})
    full.error = OutboxFullError("full")

    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            fan_out.publish(an_event(number))
        full.error = None
        fan_out.publish(an_event())

    assert [record.getMessage().partition(" event")[0] for record in caplog.records] == [
        "full did not take", "full takes",
    ]  # fmt: skip
    assert "has not taken 1000" in caplog.text
    assert fan_out.failed["full"] == 1000


def test_threads_lose_no_count():
    """Sources publish from many threads."""
    well, full = Bus(), Bus()
    full.error = OutboxFullError("full")
    fan_out = FanOut({"well": well, "full": full})

    def publish() -> None:
        for number in range(200):
            fan_out.publish(an_event(number))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (fan_out.failed["full"], len(well.events)) == (800, 800)


def test_real_buses_are_waited_for_together_and_one_that_is_closed_is_named():
    """A source publishes to it as to a bus; what a broker refuses later is found by who asks."""
    recorder = Recorder()
    with connect("memory://one") as one, connect("memory://two") as two:
        one.subscribe(EventTopic(), recorder)
        fan_out = FanOut({"one": one, "two": two})
        receipt = Emitter(fan_out, category="UsageEvent", source="billing").emit("VM.START", ACME)
        assert recorder.wait_for(1)
        assert receipt.failures(5) == {}  # type: ignore[union-attr]  # what FanOut.publish has returned
        two.close()

        assert list(fan_out.publish(an_event()).failures(5)) == ["two"]


def test_a_confirm_that_does_not_come_in_time_is_a_failure_by_then():
    """Not an exception out of the middle: the others' outcome would be lost with it."""
    with connect("memory://here") as here, connect("amqp://127.0.0.1:1/", require_broker=False) as away:
        receipt = FanOut({"away": away, "here": here}).publish(an_event())

        failures = receipt.failures(0.2)

        assert list(failures) == ["away"]
        assert isinstance(failures["away"], TimeoutError)
        with pytest.raises(EventBusException):
            away.close(0.1)


def test_a_receipt_that_nobody_can_wait_for_hides_no_other():
    """In a forked child the confirms are with the parent: that, too, is an answer by name and not an exception."""

    class Forked(Receipt):
        def exception(self, timeout: float | None = None) -> NoReturn:
            raise ForkedProcessError("this is another process")

    refusal = OutboxFullError("full")
    receipt = FanOutReceipt({"forked": Forked(lambda run: None)}, {"full": refusal})

    failures = receipt.failures(0)

    assert failures["full"] is refusal
    assert isinstance(failures["forked"], ForkedProcessError)


@pytest.mark.parametrize("wrong", [{}, [Bus()], {"a": object()}, {1: Bus()}])
def test_what_cannot_be_published_to_is_refused_at_once(wrong: object):
    """Not by the first event, which would be lost."""
    with pytest.raises(InvalidArgumentError):
        FanOut(wrong)  # type: ignore[arg-type]  # wrong on purpose
