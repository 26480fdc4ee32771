"""``bus_amqp.wire.typed_details`` and ``encode``: details of a type of the user's, on their way out and in."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_serializer
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError, UndecodableError
from bus_amqp.event import MAX_DETAILS_DEPTH, Event
from bus_amqp.wire.codec import decode, encode
from bus_amqp.wire.message import Properties
from bus_amqp.wire.typed_details import RANDOM_ID_MARK, reader_of
from tests.unit.fakes import FakeDelivery, an_event
from tests.unit.wire.bodies import MIB, a_body


class Zone(StrEnum):
    EAST = "east"


class Usage(BaseModel):
    """As the sources' details are: strict for those who write, lenient for those who read."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=False, extra="forbid")

    account_name: str
    used_from: datetime | None = None
    offering: UUID | None = None
    zone: Zone = Zone.EAST
    load: float = Field(default=0, ge=0)


class Strict(BaseModel, strict=True):
    at: datetime
    tags: tuple[str, ...]


class Curious(BaseModel, extra="allow"):
    account: str


class Keyed(TypedDict):
    account_name: str


@dataclass
class Plain:
    account_name: str


class Nested(BaseModel):
    deeper: "Nested | None" = None


FULL = Usage(account_name="ada", used_from=datetime(2026, 3, 1, tzinfo=UTC), offering=UUID(int=7), load=0.5)


def typed(details_type: Any, details: Any) -> Event[Any]:
    event: Event[Any] = Event[details_type](
        event_category="UsageEvent", event_type="VM.START", event_source="unit", details=details
    )
    return event


def body_of(event: Event[Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(event, max_event_bytes=MIB).body)
    return body


def travelled(event: Event[Any]) -> Event:
    return decode(FakeDelivery(body=encode(event, max_event_bytes=MIB).body))


def test_a_typed_event_is_written_as_json_with_its_aliases() -> None:
    """Subscribers in other languages see the same camelCase as in the rest of the event; null stays what it is."""
    assert body_of(typed(Usage, FULL))["details"] == {
        "accountName": "ada",
        "usedFrom": "2026-03-01T00:00:00Z",
        "offering": "00000000-0000-0000-0000-000000000007",
        "zone": "east",
        "load": 0.5,
    }
    assert body_of(typed(Usage, Usage(account_name="ada")))["details"]["usedFrom"] is None


def test_only_the_details_are_written_differently() -> None:
    """A plain event and a typed one with the same details are the same message."""
    plain = an_event(details={"account_name": "ada"})
    same = Event[Keyed](**{**plain.model_dump(), "details": {"account_name": "ada"}})

    assert encode(same, max_event_bytes=MIB).body == encode(plain, max_event_bytes=MIB).body
    assert encode(same, max_event_bytes=MIB).routing_key == encode(plain, max_event_bytes=MIB).routing_key


@pytest.mark.parametrize(
    ("details_type", "details"),
    [
        (Usage, FULL),
        (Strict, Strict(at=datetime(2026, 3, 1, tzinfo=UTC), tags=("a", "b"))),
        (Curious, Curious(account="ada", more=5)),  # type: ignore[call-arg]  # that is what it allows
        (Keyed, {"account_name": "ada"}),
        (Plain, Plain("ada")),
        (dict[str, list[int]], {"a": [1, 2]}),
        (Usage | Plain, FULL),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_was_published_is_what_a_typed_handler_gets(details_type: Any, details: Any) -> None:
    """The round trip, times and ids and strict models included."""
    event = typed(details_type, details)

    read = reader_of(Event[details_type])(travelled(event))

    assert read == event
    assert type(read) is type(event)


def test_what_a_subclass_of_a_typed_event_holds_travels_too() -> None:
    """A class of the user's is an event like any other to those who receive it."""

    class Own(Event[Usage]):
        """An event of the user's own."""

    event = Own(event_category="UsageEvent", event_type="VM.START", event_source="unit", details=FULL)

    assert travelled(event).details["accountName"] == "ada"


@pytest.mark.parametrize("load", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused(load: float) -> None:
    """Bad input: as in plain details, it would travel as null."""
    event = typed(Usage, Usage(account_name="ada"))
    event.details.load = load

    with pytest.raises(InvalidArgumentError, match="must be finite"):
        encode(event, max_event_bytes=MIB)


def test_details_deeper_than_a_reader_takes_are_refused() -> None:
    """Bad input: no decoder of ours would take them."""
    details = Nested()
    for _ in range(MAX_DETAILS_DEPTH):
        details = Nested(deeper=details)

    with pytest.raises(InvalidArgumentError, match="deeper than 64 levels"):
        encode(typed(Nested, details), max_event_bytes=MIB)


def test_details_that_were_changed_to_something_unwritable_are_refused() -> None:
    """A model is not frozen unless its author says so."""
    event = typed(Usage, Usage(account_name="ada"))
    event.details.zone = object()

    with pytest.raises(InvalidArgumentError, match="cannot be written as JSON"):
        encode(event, max_event_bytes=MIB)


def test_details_of_the_wrong_type_are_refused_before_they_travel() -> None:
    """Bad input: pydantic would only warn, and every receiver would dead-letter it."""
    event = typed(Usage, Usage(account_name="ada"))
    event.details.load = "much"

    with pytest.raises(InvalidArgumentError, match="load"):
        encode(event, max_event_bytes=MIB)


def test_a_serializer_that_fails_is_refused_like_a_value() -> None:
    """The user's code runs on the way out: what it raises is an error of the bus, as ``publish`` promises."""

    class Broken(BaseModel):
        account: str = ""

        @field_serializer("account")
        def _write(self, value: str) -> str:
            raise LookupError(value)

    with pytest.raises(InvalidArgumentError, match="LookupError"):
        encode(typed(Broken, Broken()), max_event_bytes=MIB)


@pytest.mark.parametrize(("details_type", "details"), [(int, 5), (list[int], [1]), (str, "x"), (Usage | None, None)])
def test_details_that_are_no_object_are_refused(details_type: Any, details: Any) -> None:
    """The schema says object: every reader, ours included, would refuse the event."""
    with pytest.raises(InvalidArgumentError, match="must be a JSON object"):
        encode(typed(details_type, details), max_event_bytes=MIB)


def test_a_typed_event_over_the_limit_is_refused() -> None:
    """The limit is on what travels."""
    with pytest.raises(EventTooLargeError):
        encode(typed(Usage, Usage(account_name="x" * 2000)), max_event_bytes=2000)


def test_details_that_do_not_fit_are_refused_with_place_and_fault_and_without_the_value() -> None:
    """P5 and P9: the dead letter's reader knows the JSON, and must not be shown a secret."""
    event = an_event(details={"accountName": ["hunter2-hunter2"], "usedFrom": "hunter2-hunter2", "load": -1})

    with pytest.raises(UndecodableError) as refused:
        reader_of(Event[Usage])(event)

    assert refused.value.reason == "details"
    for place in ("details.accountName: ", "details.usedFrom: ", "details.load: Input should be greater than"):
        assert place in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_no_details_at_all_are_an_empty_object() -> None:
    """Missing, null and empty are one on the wire: they fit what needs nothing, and nothing else."""
    assert reader_of(Event[Nested])(an_event()).details == Nested()
    with pytest.raises(UndecodableError, match=r"details.accountName: Field required"):
        reader_of(Event[Usage])(an_event())


def test_keys_that_the_type_does_not_know_are_ignored_unless_it_asks_for_them() -> None:
    """A newer publisher writes more than an older subscriber knows, even where the model forbids it to its writers."""
    event = an_event(details={"accountName": "ada", "account": "bob", "detailsVersion": 2})

    assert reader_of(Event[Usage])(event).details == Usage(account_name="ada")
    assert reader_of(Event[Curious])(event).details.model_extra == {"accountName": "ada", "detailsVersion": 2}


def test_our_own_remark_in_the_details_is_no_misfit() -> None:
    """A bare message without an id gets a remark of the bus in its details: no reason to refuse what it says itself."""
    bare = decode(FakeDelivery(body=a_body(details={"account": "ada"}), properties=Properties()))
    assert RANDOM_ID_MARK in bare.details

    assert reader_of(Event[dict[str, str]])(bare).details == {"account": "ada"}
    assert reader_of(Event[Curious])(bare).details.model_extra == {RANDOM_ID_MARK: True}


class Waiting(BaseModel):
    later: "Unknown"  # type: ignore[name-defined]  # noqa: F821 -- the fault under test


def test_a_model_whose_own_fields_mean_nothing_cannot_be_asked_for() -> None:
    """Bad input: known when it subscribes, not with the first event."""
    with pytest.raises(InvalidArgumentError, match=r"Event\[Waiting\].*Unknown"):
        reader_of(Event[Waiting])
