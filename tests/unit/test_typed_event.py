"""``bus_amqp.event``: ``Event[UsageDetails]``, an event whose details are of a type of the user's."""

import copy
import pickle
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, JsonValue, ValidationError
from typing_extensions import TypedDict, TypeVar

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event, recast

SIX = {"event_category": "UsageEvent", "event_type": "VM.START", "event_source": "management-server"}
T = TypeVar("T")


class Usage(BaseModel):
    account: str
    hours: float = 0


class Keyed(TypedDict):
    account: str


@dataclass
class Plain:
    account: str


class Unfit:
    """Nothing that pydantic could validate."""


class OwnEvent(Event[Usage]):
    """A class of the user's, at the module's level, where pickle finds it."""


def test_details_are_of_the_type_in_the_brackets() -> None:
    """Who publishes typed events is told of a wrong field where it was written."""
    event = Event[Usage](**SIX, details={"account": "ada", "hours": "2"})  # type: ignore[arg-type]  # a test's short hand

    assert event.details == Usage(account="ada", hours=2)
    assert Event[Usage](**SIX, details=event.details).details is event.details  # type: ignore[arg-type]  # as above
    with pytest.raises(ValidationError, match=r"Event\[Usage\]\ndetails.account\n  Field required"):
        Event[Usage](**SIX, details={"hours": 2})  # type: ignore[arg-type]  # as above
    with pytest.raises(ValidationError, match="resource_uid"):
        Event[Usage](**SIX, details={"account": "ada"}, resource_uid="vm-1")  # type: ignore[arg-type,call-arg]


def test_typed_details_have_no_default() -> None:
    """An empty object in place of a model would be found by the first who reads a field of it."""
    with pytest.raises(ValidationError, match=r"\ndetails\n  Field required"):
        Event[Usage](**SIX)  # type: ignore[arg-type]  # a test's short hand


@pytest.mark.parametrize("details_type", [Usage, Keyed, Plain, dict[str, str], Usage | Plain])
def test_whatever_pydantic_can_validate_may_be_in_the_brackets(details_type: Any) -> None:
    """A model is the usual case, and no obligation."""
    event = Event[details_type](**SIX, details={"account": "ada"})

    assert isinstance(event, Event)
    assert hash(event) == hash(event.event_id)
    assert event.model_copy(update={"description": "changed"}).details == event.details
    assert copy.deepcopy(event) == event


def test_one_type_makes_one_class() -> None:
    """Two classes of one name would differ in ``isinstance``, and each costs a schema."""
    assert Event[Usage] is Event[Usage]
    assert Event[Usage].__name__ == "Event[Usage]"
    assert Event[Usage] is not Event[Keyed]


@pytest.mark.parametrize(
    "details_type", [Any, object, dict, dict[str, Any], dict[str, object], dict[str, JsonValue], T]
)
def test_asking_for_what_is_there_anyway_is_asking_for_event(details_type: Any) -> None:
    """``Event`` alone stays what it was, at its cost, however its default is spelled."""
    assert Event[details_type] is Event


def test_a_type_that_cannot_be_hashed_is_taken_as_well() -> None:
    """Remarks of ``Annotated`` are anything."""
    assert Event[Annotated[Usage, Field(description="x")]](**SIX, details=Usage(account="a")).details.account == "a"  # type: ignore[arg-type]


@pytest.mark.parametrize("brackets", [Unfit, 5, "Usage", (Usage, Keyed), (), [Usage]])
def test_what_cannot_be_validated_is_refused_by_name(brackets: Any) -> None:
    """Bad input: said where it is written, as an error of the bus."""
    with pytest.raises(InvalidArgumentError, match=r"^Event\[") as refused:
        Event[brackets]

    assert "\n" not in str(refused.value)


def test_brackets_come_once() -> None:
    """``Event[Usage][Keyed]`` would have two meanings."""
    with pytest.raises(InvalidArgumentError, match="once"):
        Event[Usage][Keyed]  # type: ignore[misc]  # the fault under test


@pytest.mark.parametrize("kind", [Event[Usage], OwnEvent])
def test_a_typed_event_survives_pickling(kind: Any) -> None:
    """It may cross to a process pool; its class stands in no module, where pickle looks."""
    event = kind(**SIX, details=Usage(account="ada"))

    again = pickle.loads(pickle.dumps(event))

    assert again == event
    assert type(again) is kind
    assert again.model_fields_set == event.model_fields_set


def test_a_plain_event_is_pickled_as_ever() -> None:
    """What an older process has written down is read by a newer one, and the other way round."""
    event = Event(**SIX)  # type: ignore[arg-type]  # a test's short hand

    assert pickle.loads(pickle.dumps(event)) == event
    assert b"_unpickled" not in pickle.dumps(event)


def test_events_are_equal_if_their_details_are() -> None:
    """Equal by all fields: a model is not the dict that it was made from."""
    plain = Event(**SIX, details={"account": "ada", "hours": 1.0})  # type: ignore[arg-type]  # a test's short hand
    typed = recast(plain, Event[Usage], Usage(account="ada", hours=1))

    assert typed == recast(plain, Event[Usage], Usage(account="ada", hours=1))
    assert typed != recast(plain, Event[Usage], Usage(account="bob", hours=1))
    assert typed != plain
    assert recast(typed, Event, plain.details) == plain


def test_recasting_leaves_the_original_alone() -> None:
    """One delivery may be read by several: none of them sees the details of another."""
    plain = Event(**SIX, details={"account": "ada"})  # type: ignore[arg-type]  # a test's short hand

    recast(plain, Event[Usage], Usage(account="bob"))

    assert type(plain) is Event
    assert plain.details == {"account": "ada"}
