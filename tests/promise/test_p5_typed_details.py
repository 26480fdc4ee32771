"""P5: who asks for ``Event[UsageDetails]`` gets validated details; a body that does not fit is dead-lettered."""

import json
import threading

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from bus_amqp import Event, EventTopic, InvalidArgumentError, Subscribers
from bus_amqp.consume import dead_letter
from bus_amqp.testing.recorder import Recorder
from tests.promise.subscribers import an_event
from tests.promise.waiting import TIMEOUT_SECONDS
from tests.promise.world import World


class UsageDetails(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    account_name: str
    hours: float


class Unfit:
    """Nothing that pydantic could validate."""


class Billing:
    """Charges accounts, and writes down which."""

    def __init__(self) -> None:
        self.charged: list[tuple[str, float]] = []
        self.calls = threading.Semaphore(0)

    def on_event(self, event: Event[UsageDetails]) -> None:
        self.charged.append((event.details.account_name, event.details.hours))
        self.calls.release()

    def wait_called(self, count: int) -> None:
        for _ in range(count):
            assert self.calls.acquire(timeout=TIMEOUT_SECONDS), "the subscriber was not called"


def usage(**details: object) -> Event:
    return an_event(event_category="UsageEvent", details=details)


@pytest.mark.parametrize("is_async", [False, True], ids=["threads", "coroutines"])
def test_p5_details_that_do_not_fit_are_dead_lettered(world: World, is_async: bool) -> None:
    """At once and with the field, not after five attempts; those that fit go on, and other subscriptions see all."""
    bus = world.connect()
    billing, audit = Billing(), Recorder()

    async def charge(event: Event[UsageDetails]) -> None:
        billing.on_event(event)

    bus.subscribe(EventTopic(), charge if is_async else billing, group="billing")  # retries: five attempts
    bus.subscribe(EventTopic(), audit, group="audit")
    misfit = usage(accountName="hunter2-hunter2", hours="hunter2-hunter2")
    bus.publish_many([usage(accountName="ada", hours=2), misfit, usage(accountName="bob", hours=3, unknown=True)])

    [letter] = world.wait_dead_letters(1, "billing")
    assert json.loads(letter.body)["eventId"] == str(misfit.event_id)
    assert json.loads(letter.body)["details"]["hours"] == "hunter2-hunter2", "the body is what it was"
    assert letter.headers[dead_letter.REASON] == "details"
    assert str(letter.headers[dead_letter.EXCEPTION]).startswith("details.hours: Input should be a valid number")
    assert "hunter2" not in str(letter.headers)
    billing.wait_called(2)
    assert billing.charged == [("ada", 2), ("bob", 3)]
    audit.wait_for(3)
    assert world.dead_letters("audit") == []


def test_p5_a_typed_event_that_is_published_arrives_typed_and_plain(world: World) -> None:
    """Publishers may be typed as well; what travels is JSON with the aliases, for whoever reads it."""
    bus = world.connect()
    billing, audit = Billing(), Recorder()
    subscribers = Subscribers()
    subscribers.on(EventTopic(event_category="UsageEvent"), group="billing")(billing)
    subscribers.on(EventTopic())(audit)
    bus.subscribe_all(subscribers)

    bus.publish(
        Event[UsageDetails](
            event_category="UsageEvent",
            event_type="VM.START",
            event_source="management-server",
            details=UsageDetails(account_name="ada", hours=1.5),
        )
    )

    billing.wait_called(1)
    assert billing.charged == [("ada", 1.5)]
    assert audit.wait_for(1).events[0].details == {"accountName": "ada", "hours": 1.5}


def test_p5_details_that_cannot_be_validated_are_refused_when_subscribing(world: World) -> None:
    """Bad input: known at ``subscribe``, by the name of the type, and nothing is left behind."""
    bus = world.connect()

    def charge(event: "Event[Unfit]") -> Unfit:
        raise AssertionError("called")

    with pytest.raises(InvalidArgumentError, match=r"charge cannot subscribe: Event\[Unfit\]"):
        bus.subscribe(EventTopic(), charge, group="billing")  # type: ignore[arg-type]  # the fault under test

    assert bus.health().subscriptions == ()
