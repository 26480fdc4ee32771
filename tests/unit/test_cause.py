"""``bus_amqp.cause``: the ids that tie an event to what was going on."""

from uuid import uuid4

from bus_amqp.cause import caused_by, correlation_of
from bus_amqp.event import Event

CAUSE = Event(event_category="ActionEvent", event_type="VM.START", event_source="management-server")


def an_event(**fields: object) -> Event:
    return Event.model_validate({**CAUSE.model_dump(exclude={"event_id"}), **fields})


def test_an_event_names_its_cause_and_its_undertaking() -> None:
    """Who looks at one event finds all that belong to it."""
    event = caused_by(an_event(), CAUSE)

    assert event.causation_id == CAUSE.event_id
    assert event.correlation_id == str(CAUSE.event_id)


def test_a_correlation_is_handed_on() -> None:
    """An undertaking of many steps keeps the id that its first one was given."""
    cause = CAUSE.model_copy(update={"correlation_id": "order-7"})

    assert correlation_of(cause) == "order-7"
    assert caused_by(an_event(), cause).correlation_id == "order-7"


def test_what_the_publisher_has_said_stays() -> None:
    """A publisher knows better than we do."""
    event = an_event(causation_id=uuid4(), correlation_id="mine")

    assert caused_by(event, CAUSE) is event


def test_an_event_is_not_its_own_cause() -> None:
    """A handler that passes on what it was given adds nothing to it."""
    assert caused_by(CAUSE, CAUSE) is CAUSE
