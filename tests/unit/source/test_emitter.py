"""``bus_amqp.source.emitter``: what every source does with an event, a switch and a bus that refuses."""

import logging
from typing import Any
from uuid import uuid4

import pytest

from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.catalogue import Catalogue
from bus_amqp.source.details import OwnedDetails
from bus_amqp.source.emitter import MAX_DESCRIPTION_LENGTH, Emitter
from tests.unit.source.recording import REFUSAL, RecordingPublisher

ACME = OwnedDetails(account="acme")


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def emitter(publisher: RecordingPublisher) -> Emitter:
    return Emitter(publisher, category="UsageEvent", source="billing")


def test_an_event_has_the_category_the_name_and_the_details_of_its_source(
    emitter: Emitter, publisher: RecordingPublisher
) -> None:
    """What a source is made with stands in each of its events."""
    event_id, cause = uuid4(), uuid4()

    returned = emitter.emit(
        "VM.START", ACME, resource_type="VirtualMachine", resource_uuid="6f2d", description="it runs",
        correlation_id="job", causation_id=cause, event_id=event_id,
    )  # fmt: skip

    assert returned is publisher.only
    assert publisher.only == Event(
        event_category="UsageEvent", event_type="VM.START", event_source="billing", resource_type="VirtualMachine",
        resource_uuid="6f2d", description="it runs", correlation_id="job", causation_id=cause, event_id=event_id,
        event_time=publisher.only.event_time, details={"detailsVersion": 1, "account": "acme"},
    )  # fmt: skip


def test_the_switch_may_be_turned_while_running(emitter: Emitter, publisher: RecordingPublisher) -> None:
    """An operator who turns usage events off must not have to restart the management server."""
    emitter.is_enabled = False
    assert emitter.emit("VM.START", ACME) is None
    assert "off" in repr(emitter)

    emitter.is_enabled = True
    assert emitter.emit("VM.START", ACME) is publisher.only


def test_a_callable_switch_is_asked_for_each_event(publisher: RecordingPublisher) -> None:
    """A setting in a database decides about the next event, not about the next start."""
    setting = {"publish.usage.events": False}
    emitter = Emitter(publisher, category="UsageEvent", is_enabled=lambda: setting["publish.usage.events"])

    emitter.emit("VM.START", ACME)
    setting["publish.usage.events"] = True
    emitter.emit("VM.STOP", ACME)

    assert publisher.only.event_type == "VM.STOP"


def test_a_switch_that_cannot_be_read_counts_as_on(
    publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is down must break no action, and silence would lose the events of the outage."""

    def unreadable() -> bool:
        raise ConnectionError("no database")

    Emitter(publisher, category="UsageEvent", is_enabled=unreadable).emit("VM.START", ACME)

    assert publisher.only.event_type == "VM.START"
    assert "switch of UsageEvent events cannot be read" in caplog.text


def test_what_publish_raises_is_raised(emitter: Emitter, publisher: RecordingPublisher) -> None:
    """Whoever asks for an event to be published learns that it was not."""
    publisher.error = REFUSAL

    with pytest.raises(EventBusException) as caught:
        emitter.emit("VM.START", ACME)

    assert caught.value is REFUSAL


def test_a_try_logs_and_counts_what_the_bus_refuses(
    emitter: Emitter, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Work that must not break for want of a bus goes on, and the loss is told."""
    publisher.error = REFUSAL

    assert emitter.try_emit("VM.START", ACME) is None

    assert emitter.failed == 1
    assert "UsageEvent VM.START was not published: EventBusException: the outbox is full" in caplog.text


def test_a_try_survives_a_publisher_that_raises_anything(
    emitter: Emitter, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Anything may stand in for a bus, and not everything keeps to its errors."""
    publisher.error = OSError("no route to host")

    assert emitter.try_emit("VM.START", ACME) is None

    assert emitter.failed == 1
    assert "OSError: no route to host" in caplog.text


def test_a_type_that_is_probably_mistyped_is_published_and_told_once(
    publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown types are allowed, so a slip must not stop an event, and must not stay unseen either."""
    emitter = Emitter(publisher, category="UsageEvent", event_types=Catalogue({"VM.START": "VirtualMachine"}))

    for _ in range(3):
        emitter.emit("VM.STRAT", ACME)

    assert [event.event_type for event in publisher.events] == ["VM.STRAT"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "unknown event type VM.STRAT: did you mean VM.START? It is published as it is"
    ]


def test_a_try_publishes_like_emit(emitter: Emitter, publisher: RecordingPublisher) -> None:
    """The careful way must not be a poorer one."""
    assert emitter.try_emit("VM.START", ACME, resource_uuid="6f2d") is publisher.only
    assert publisher.only.resource_uuid == "6f2d"
    assert emitter.failed == 0


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("event_type", {"event_type": ""}),
        ("resource_uuid", {"resource_uuid": 7}),
        ("causation_id", {"causation_id": "not a uuid"}),
    ],
)
def test_a_field_that_cannot_be_published_is_named(emitter: Emitter, field: str, arguments: dict[str, object]) -> None:
    """The programmer's error is told in the words of the call."""
    with pytest.raises(InvalidArgumentError, match=field):
        emitter.emit(**{"event_type": "VM.START", "details": ACME, **arguments})  # type: ignore[arg-type]  # on purpose


def test_bare_mappings_are_no_details(emitter: Emitter, publisher: RecordingPublisher) -> None:
    """Details that no model has checked would be found wrong by the subscriber, too late."""
    with pytest.raises(InvalidArgumentError, match="derived from Details, not dict"):
        emitter.emit("VM.START", {"account": "acme"})  # type: ignore[arg-type]  # on purpose

    assert publisher.events == []


def test_an_oversize_description_is_cut_and_says_so(
    emitter: Emitter, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """A stack trace in a description must not make every event as large; a silent cut would be a lie."""
    emitter.emit("VM.START", ACME, description="x" * 10_000)
    emitter.emit("VM.START", ACME, description="y" * MAX_DESCRIPTION_LENGTH)

    cut, whole = publisher.events
    assert len(cut.description) == MAX_DESCRIPTION_LENGTH
    assert cut.description.endswith("xx… (cut, 10,000 characters)")
    assert whole.description == "y" * MAX_DESCRIPTION_LENGTH
    assert emitter.shortened == 1
    assert "description of VM.START has 10000 characters" in caplog.text


def test_cut_descriptions_do_not_flood_the_log(emitter: Emitter, caplog: pytest.LogCaptureFixture) -> None:
    """A source whose descriptions are all too long would write a line for each event."""
    with caplog.at_level(logging.DEBUG):
        for _ in range(50):
            emitter.emit("VM.START", ACME, description="x" * 10_000)

    assert emitter.shortened == 50
    assert len(caplog.records) == 1


def test_a_source_needs_something_that_publishes() -> None:
    """Told when the source is made, not at the first event."""
    with pytest.raises(InvalidArgumentError, match="no publish method"):
        Emitter(object(), category="UsageEvent")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("word", ["", 7, "\ud800"])
@pytest.mark.parametrize("argument", ["category", "source"])
def test_a_source_needs_category_and_name(publisher: RecordingPublisher, argument: str, word: Any) -> None:
    """Told when the source is made, not at the first event."""
    with pytest.raises(InvalidArgumentError, match=f"event_{argument}"):
        Emitter(publisher, **{"category": "UsageEvent", argument: word})


def test_details_that_json_cannot_carry_are_refused_as_all_that_does_not_fit() -> None:
    """Whoever waits for our errors would otherwise let one of pydantic's through."""

    class OddDetails(OwnedDetails, frozen=True):
        anything: object

    emitter = Emitter(RecordingPublisher(), category="DoorEvent")

    with pytest.raises(InvalidArgumentError, match="OddDetails refused"):
        emitter.emit("DOOR.OPEN", OddDetails(anything=object()))
