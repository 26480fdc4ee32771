from contextlib import closing
from itertools import islice
from pathlib import Path
from uuid import UUID

from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.cli.demo.failures import CLOSED, OPENED, Failures, follow_up_id
from bus_amqp.event import Event
from bus_amqp.receipt import Receipt
from docs.examples.workflow import FollowUps, Workflow


def an_action(status: str, *, resource: str = "vm-1", category: str = "ActionEvent") -> Event:
    return Event(
        event_category=category,
        event_type="VM.START",
        event_source="test",
        resource_uuid=resource,
        details={"status": status},
    )


def test_a_failure_is_opened_and_closed_once_the_same_action_completes() -> None:
    """What the workflow must tell is known without asking it: one that tells nothing would otherwise look complete."""
    failures = Failures()
    first, again, other = an_action("Failed"), an_action("Failed"), an_action("Failed", resource="vm-2")

    assert failures.note(an_action("Started")) == []
    assert failures.note(an_action("Failed", category="AsyncJobEvent")) == []
    assert [failures.note(event) for event in (first, again, other)] == [
        [(OPENED, first)],
        [(OPENED, again)],
        [(OPENED, other)],
    ]
    assert failures.note(an_action("Completed")) == [(CLOSED, first), (CLOSED, again)]
    assert failures.note(an_action("Completed")) == []


def test_it_is_what_the_workflow_tells() -> None:
    """Ids that the workflow names otherwise would all count as lost."""
    told: set[UUID] = set()

    def publish(event: Event) -> Receipt:
        told.add(event.event_id)
        receipt = Receipt(lambda callback: callback(), event.event_id)
        receipt.settle()
        return receipt

    failures, foreseen = Failures(), set()
    with closing(FollowUps(Path(":memory:"))) as follow_ups:
        workflow = Workflow(publish, follow_ups)
        for event in islice(Cloud(4).events(), 5000):
            foreseen |= {(what, follow_up_id(failure.event_id, what)) for what, failure in failures.note(event)}
            if event.event_category == "ActionEvent":
                workflow.on_event(event)

    assert told == {event_id for _, event_id in foreseen}
    assert {what for what, _ in foreseen} == {OPENED, CLOSED}
