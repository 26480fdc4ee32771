"""``bus_amqp.consume.typed_handler`` in ``Handling``: validated details, or a dead letter that says why."""

import asyncio
import logging
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bus_amqp.cause import caused_by, current_event
from bus_amqp.consume.dead_letter import DeadLetter
from bus_amqp.consume.handling import Handling, HandlingCounts
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.consume.typed_handler import typed_handler
from bus_amqp.errors import InvalidArgumentError, UndecodableError
from bus_amqp.event import Event
from bus_amqp.retry import Discard, RetryPolicy
from bus_amqp.topic import EventTopic
from tests.unit.fakes import FakeDelivery, an_event

TWICE = RetryPolicy(attempts=2, delays_seconds=(1,))


class Usage(BaseModel):
    account: str
    since: datetime | None = None


class Checked(BaseModel):
    model_config = ConfigDict(frozen=True)
    account: str

    @field_validator("account")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "nobody":
            raise Discard("no account")
        if value == "away":
            raise ConnectionError("the account service is away")
        raise ValueError(f"{value} is closed")


def handling(handler: Any) -> Handling:
    return Handling((EventTopic(),), typed_handler(handler), "Unit.on_event", retry=TWICE)


def outcome_of(one: Handling, event: Event, *, is_async: bool) -> object:
    return asyncio.run(one.call_async(event, FakeDelivery())) if is_async else one.call(event, FakeDelivery())


def test_a_plain_handler_is_left_as_it_is() -> None:
    """Who asks for nothing pays for nothing."""

    def handler(event: Event) -> None:
        """Handle nothing."""

    assert typed_handler(handler) is handler


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_a_handler_is_called_with_the_details_that_it_asks_for(is_async: bool) -> None:
    """The model's own methods and types are there; the rest of the event is what it was."""
    seen: list[Event[Usage]] = []

    def handler(event: Event[Usage]) -> None:
        seen.append(event)

    async def coroutine(event: Event[Usage]) -> None:
        await asyncio.sleep(0)
        seen.append(event)

    event = an_event(details={"account": "ada", "since": "2026-03-01T00:00:00Z"})
    one = handling(coroutine if is_async else handler)

    assert outcome_of(one, event, is_async=is_async) is None
    assert [type(event) for event in seen] == [Event[Usage]]
    assert isinstance(seen[0].details.since, datetime)
    assert seen[0].model_copy(update={"details": event.details}).__dict__ == event.__dict__
    assert one.counts == HandlingCounts(handled=1)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "coroutine"])
def test_details_that_do_not_fit_are_dead_lettered_and_not_tried_again(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """They will never fit: attempts would be spent on nothing, and the handler must not see them."""

    def handler(event: Event[Usage]) -> None:
        raise AssertionError("called")

    async def coroutine(event: Event[Usage]) -> None:
        raise AssertionError("called")

    one = handling(coroutine if is_async else handler)
    with caplog.at_level(logging.WARNING, "bus_amqp.consume"):
        letter = outcome_of(one, an_event(details={"account": ["hunter2-hunter2"]}), is_async=is_async)

    assert letter == DeadLetter("details", "details.account: Input should be a valid string")
    assert one.counts == HandlingCounts(dead_lettered=1)
    assert "details.account" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_a_validator_refuses_is_a_misfit_and_its_other_errors_are_the_handlers() -> None:
    """``ValueError`` says that it does not fit; an account service that is away says nothing of the event."""

    def handler(event: Event[Checked]) -> None:
        raise AssertionError("called")

    outcomes = {}
    for account in ("closed account", "away", "nobody"):
        outcomes[account] = handling(handler).call(an_event(details={"account": account}), FakeDelivery())

    assert outcomes["closed account"] == DeadLetter("details", "details.account: Value error, *** is closed")
    assert isinstance(outcomes["away"], SecondChance)
    assert outcomes["nobody"] is None


@pytest.mark.parametrize("error", [UndecodableError("mine", reason="details"), ValueError("mine")])
def test_a_handlers_own_errors_are_not_taken_for_misfits(error: Exception) -> None:
    """A handler that decodes or validates something itself is tried again by its policy, as any."""

    def handler(event: Event[Usage]) -> None:
        raise error

    assert isinstance(handling(handler).call(an_event(details={"account": "ada"}), FakeDelivery()), SecondChance)


def test_a_handlers_own_validation_error_is_tried_again() -> None:
    """The same for pydantic's own: it is about something else."""

    def handler(event: Event[Usage]) -> None:
        Usage.model_validate({})

    outcome = handling(handler).call(an_event(details={"account": "ada"}), FakeDelivery())

    assert isinstance(outcome, SecondChance)
    assert outcome.explanation.startswith(ValidationError.__name__)


def test_what_a_typed_handler_publishes_names_its_cause() -> None:
    """Causation goes by the event in hand, and a typed event that is published keeps its type."""
    published: list[Event[object]] = []

    def handler(event: Event[Usage]) -> None:
        cause = current_event.get()
        assert cause is not None
        for details in (event.details, event.details.model_copy(update={"account": "bob"})):
            follow_up = Event[Usage](event_category="a", event_type="b", event_source="c", details=details)
            published.append(caused_by(follow_up, cause))
        published.append(caused_by(event, cause))

    event = an_event(details={"account": "ada"})
    handling(handler).call(event, FakeDelivery())

    assert [one.causation_id for one in published] == [event.event_id, event.event_id, None]
    assert {type(one) for one in published} == {Event[Usage]}


def test_asking_for_what_cannot_be_had_is_refused() -> None:
    """Bad input: ``subscribe`` raises it, before any queue is made."""

    class Waiting(BaseModel):
        later: "Unknown"  # type: ignore[name-defined]  # noqa: F821 -- the fault under test

    def handler(event: Event[Waiting]) -> None:
        """Handle nothing."""

    with pytest.raises(InvalidArgumentError, match="Unknown"):
        typed_handler(handler)
