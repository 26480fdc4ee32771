import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bus_amqp.consume.asked_event import asked_event
from bus_amqp.event import Event
from bus_amqp.process.ledger import Ledger, recorded
from bus_amqp.retry import Discard
from bus_amqp.subscriber import SubscriberLike, Subscribers, SubscriptionOptions, handler_of
from bus_amqp.topic import EventTopic

EVENT = Event(event_category="UsageEvent", event_type="VM.START", event_source="test", resource_type="VirtualMachine")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        yield ledger


def _lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.path.read_bytes().splitlines()]


def _recorded(subscriber: SubscriberLike, ledger: Ledger) -> Any:
    subscribers = Subscribers()
    subscribers.add(EventTopic(), subscriber, SubscriptionOptions(group="g", workers=3))
    (declared,) = recorded(subscribers, ledger)
    assert declared.options == SubscriptionOptions(group="g", workers=3)
    return handler_of(declared.subscriber)


def test_a_handled_event_is_in_the_file_before_the_handler_returns(ledger: Ledger) -> None:
    """The bus acknowledges on return: a line that came later could die with the process."""
    _recorded(lambda event: None, ledger)(EVENT)

    (line,) = _lines(ledger)
    assert line["what"] == "handled"
    assert line["id"] == str(EVENT.event_id)
    assert line["time"] == EVENT.event_time.timestamp()
    assert line["at"] >= line["time"]
    assert (line["category"], line["type"], line["resource"]) == ("UsageEvent", "VM.START", "VirtualMachine")


def test_a_failed_event_is_not_in_the_books(ledger: Ledger) -> None:
    """What will be dead-lettered was not handled; what the subscriber discards, was."""

    def fail(event: Event) -> None:
        raise ValueError("no")

    def discard(event: Event) -> None:
        raise Discard("not mine")

    with pytest.raises(ValueError, match="no"):
        _recorded(fail, ledger)(EVENT)
    assert _lines(ledger) == []
    with pytest.raises(Discard):
        _recorded(discard, ledger)(EVENT)
    assert [line["what"] for line in _lines(ledger)] == ["discarded"]


class UsageDetails(BaseModel):
    account: str


class Typed:
    def on_event(self, event: Event[UsageDetails]) -> None:
        """Handle nothing."""


class TypedLater:
    async def on_event(self, event: "Event[UsageDetails]") -> None:
        """Handle nothing."""


class Called:
    def __init__(self) -> None:
        self.own = "state"

    def __call__(self, event: Event[UsageDetails]) -> None:
        """Handle nothing."""


@pytest.mark.parametrize("subscriber", [Typed(), TypedLater(), Called(), Typed().on_event])
def test_what_a_subscriber_asks_for_is_seen_through_the_books(subscriber: SubscriberLike, ledger: Ledger) -> None:
    """``bus-amqp run --ledger`` must not hand on unvalidated details where ``bus-amqp run`` does not."""
    handler = _recorded(subscriber, ledger)

    assert asked_event(handler) is Event[UsageDetails]
    assert not hasattr(handler, "own"), "an object's own state is not the wrapper's"


def test_a_coroutine_subscriber_stays_one(ledger: Ledger) -> None:
    """Wrapped as a plain function it would return a coroutine that nobody awaits, and count as handled."""

    class Subscriber:
        async def on_event(self, event: Event) -> None:
            await asyncio.sleep(0)
            assert _lines(ledger) == []

    handler = _recorded(Subscriber(), ledger)

    assert asyncio.iscoroutinefunction(handler)
    asyncio.run(handler(EVENT))
    assert [line["what"] for line in _lines(ledger)] == ["handled"]
