"""``bus_amqp.source.performing``: what ties the events of an action to each other, and to what happens meanwhile."""

import contextvars
from uuid import uuid4

import pytest

from bus_amqp.cause import current_event
from bus_amqp.event import Event
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from tests.unit.source.recording import RecordingPublisher


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def actions(publisher: RecordingPublisher) -> ActionEvents:
    return ActionEvents(publisher)


def told(publisher: RecordingPublisher) -> list[ActionDetails]:
    return [ActionDetails.from_wire(event.details) for event in publisher.events]


def test_later_events_lead_back_to_the_first(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """The original's events of one action have nothing in common: which start belongs to a completion?"""
    with actions.performing("VM.CREATE", begins_with=ActionStatus.CREATED) as action:
        action.started()

    first, *later = publisher.events
    assert action.start_event_id == first.event_id
    assert told(publisher)[0].start_event_id is None
    for event, details in zip(later, told(publisher)[1:], strict=True):
        assert details.start_event_id == first.event_id
        assert event.causation_id == first.event_id
        assert event.correlation_id == str(first.event_id)


def test_what_is_published_inside_was_caused_by_the_action(actions: ActionEvents) -> None:
    """A state change in the middle of an action belongs to it; any bus reads this variable."""
    seen: list[Event | None] = []
    with actions.performing("VM.START") as action:
        seen.append(current_event.get())

    (cause,) = seen
    assert cause is not None
    assert cause.event_id == action.start_event_id
    assert current_event.get() is None


def test_an_action_inside_an_action_leads_back_to_it(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """A deployment creates a volume: whoever looks at the volume's events finds the deployment."""
    with actions.performing("VM.CREATE"), actions.performing("VOLUME.CREATE"):
        pass

    outer, inner, inner_outcome, outer_outcome = publisher.events
    assert inner.causation_id == outer.event_id
    assert inner_outcome.causation_id == inner.event_id
    assert {event.correlation_id for event in (inner, inner_outcome, outer_outcome)} == {str(outer.event_id)}


def test_an_action_of_a_handler_carries_the_undertaking_on(
    actions: ActionEvents, publisher: RecordingPublisher
) -> None:
    """A workflow reacts to an event with an action: all of it is one undertaking."""
    handled = Event(event_category="a", event_type="b", event_source="c", correlation_id="order-7")

    def handle() -> None:
        current_event.set(handled)
        with actions.performing("VM.START", start_event_id=uuid4()):
            pass

    contextvars.copy_context().run(handle)

    assert [event.correlation_id for event in publisher.events] == ["order-7", "order-7"]


def test_a_given_correlation_is_kept(actions: ActionEvents, publisher: RecordingPublisher) -> None:
    """A job id that the control plane has already is the one that people look for."""
    with actions.performing("VM.START", correlation_id="job-7"):
        pass

    assert [event.correlation_id for event in publisher.events] == ["job-7", "job-7"]
