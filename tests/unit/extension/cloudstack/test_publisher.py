"""``bus_amqp.extension.cloudstack.publisher``: our events as CloudStack's consumers know them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bus_amqp import Event, ForeignSource, RoutingKeyTooLongError, connect
from bus_amqp.extension.cloudstack.decoder import CloudStackDecoder
from bus_amqp.extension.cloudstack.publisher import CloudStackPublisher, cloudstack_message
from bus_amqp.extension.cloudstack.translation import translate
from bus_amqp.testing.recorder import Recorder
from tests.promise.world import MemoryWorld

MOMENT = datetime(2026, 3, 4, 16, 59, 24, 123456, tzinfo=UTC)
DATE = "2026-03-04 16:59:24 +0000"


def an_event(category: str, event_type: str, resource_type: str = "VirtualMachine", **details: Any) -> Event:
    return Event(
        event_category=category, event_type=event_type, event_source="management-server", resource_type=resource_type,
        resource_uuid="u-1" if resource_type else "", description="for people", event_time=MOMENT, details=details,
    )  # fmt: skip


def body_of(event: Event) -> dict[str, Any]:
    """Return the body without our own event in it."""
    body: dict[str, Any] = json.loads(cloudstack_message(event).body)
    del body["busEvent"]
    return body


def test_an_action_names_its_resource_in_each_of_the_ways():
    """Consumers of different age look in different places."""
    event = an_event("ActionEvent", "VM.START", user="u", account="a", status="Started", context={"Account": "t"})

    assert cloudstack_message(event).routing_key == "management-server.ActionEvent.VM-START.VirtualMachine.u-1"
    assert body_of(event) == {
        "eventDateTime": DATE, "event": "VM.START", "description": "for people", "user": "u", "account": "a",
        "status": "Started", "entity": "VirtualMachine", "entityuuid": "u-1", "VirtualMachine": "u-1", "Account": "t",
    }  # fmt: skip


def test_a_failure_is_told_as_cloudstack_tells_it():
    """It has no status for that: its consumers read the description."""
    body = body_of(an_event("ActionEvent", "VM.START", status="Failed"))

    assert (body["status"], body["description"]) == ("Completed", "Error while for people")


def test_usage_is_about_classes_in_key_and_body():
    """A consumer of usage is bound by the class of the resource."""
    event = an_event("UsageEvent", "VM.CREATE", account="a", zone="z")

    assert cloudstack_message(event).routing_key.endswith(".VM-CREATE.com-cloud-vm-VirtualMachine.u-1")
    assert body_of(event) == {
        "account": "a", "zone": "z", "event": "VM.CREATE", "resource": "com.cloud.vm.VirtualMachine", "id": "u-1",
        "eventDateTime": DATE,
    }  # fmt: skip
    assert body_of(an_event("UsageEvent", "BACKUP.USAGE", "Backup"))["resource"] == "Backup"


def test_an_alert_has_no_resource():
    """The last two words of its key are stars."""
    event = an_event("AlertEvent", "ALERT.MEMORY", "", subject="low", body="91%", status="Raised")

    assert cloudstack_message(event).routing_key == "management-server.AlertEvent.ALERT-MEMORY.*.*"
    assert body_of(event) == {"event": "ALERT.MEMORY", "subject": "low", "body": "91%", "eventDateTime": DATE}


@pytest.mark.parametrize(
    ("resource", "phase", "status"),
    [
        ("VirtualMachine", "pre", "preStateTransitionEvent"),
        ("VirtualMachine", "post", "postStateTransitionEvent"),
        ("Volume", "pre", None),
        ("Volume", "post", None),
        ("VirtualMachine", "failed", "failedStateTransitionEvent"),
        ("Volume", "failed", "failedStateTransitionEvent"),
    ],
)
def test_a_change_of_state_says_its_phase_where_cloudstack_does(resource: str, phase: str, status: str | None):
    """Of virtual machines alone; a change that has failed must not be taken for one that came about."""
    body = body_of(an_event("ResourceStateEvent", "StopRequested", resource, oldState="A", newState="B", phase=phase))

    expected = {"resource": resource, "id": "u-1", "old-state": "A", "new-state": "B", "eventDateTime": DATE}
    assert body == (expected if status is None else {**expected, "status": status})


def test_a_job_has_theirs_for_ours():
    """Parameters, result and status have other names there, and no date."""
    event = an_event(
        "AsyncJobEvent", "completed", jobId="j", command="c", status="completed", parameters={"id": "1"}, result=[2]
    )

    assert body_of(event) == {
        "jobId": "j", "command": "c", "status": "SUCCEEDED", "cmdInfo": {"id": "1"}, "jobResult": [2],
        "instanceType": "VirtualMachine", "instanceUuid": "u-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("submitted", "submit"), ("progress", "update"), ("completed", "complete"), ("failed", "complete"),
     ("submit", "submit"), ("of.my.own", "of-my-own")],
)  # fmt: skip
def test_a_jobs_key_has_the_word_that_consumers_bind_to(ours: str, theirs: str):
    """`*.AsyncJobEvent.complete.*.*` is how they wait for the end of a job; our word would reach none of them."""
    event = an_event("AsyncJobEvent", ours, jobId="j", command="c", status=ours)

    assert cloudstack_message(event).routing_key == f"management-server.AsyncJobEvent.{theirs}.VirtualMachine.u-1"
    assert translate(cloudstack_message(event)) == event


def test_a_context_cannot_stand_for_the_caller():
    """Its names are classes; one that is not would be taken for the account that acts."""
    body = body_of(an_event("ActionEvent", "VM.START", context={"account": "another", "Account": "target"}))

    assert "account" not in body
    assert body["Account"] == "target"


def test_a_category_of_ones_own_says_what_it_can():
    """Not CloudStack's, but on its exchange like the others."""
    assert body_of(an_event("BackupEvent", "DONE")) == {
        "event": "DONE", "description": "for people", "eventDateTime": DATE,
    }  # fmt: skip


def test_what_existing_consumers_see_is_what_a_bridge_would_say():
    """Read without our own event in it, as a CloudStack's message is, the words are the same."""
    event = an_event("ActionEvent", "VM.START", user="u", account="a", status="Failed")
    message = cloudstack_message(event)
    plain = {name: value for name, value in json.loads(message.body).items() if name != "busEvent"}

    read = translate(
        type(message)(routing_key=message.routing_key, body=json.dumps(plain).encode(), timestamp=message.timestamp)
    )

    assert (read.event_category, read.event_type, read.resource_type, read.resource_uuid) == (
        event.event_category, event.event_type, event.resource_type, event.resource_uuid,
    )  # fmt: skip
    assert (read.details["user"], read.details["account"], read.details["status"]) == ("u", "a", "Failed")


def test_a_key_that_is_too_long_is_refused_with_its_length():
    """At publish, where somebody can do something about it."""
    with pytest.raises(RoutingKeyTooLongError, match="AMQP allows 255"):
        cloudstack_message(an_event("ActionEvent", "X" * 260))


def test_our_event_goes_there_and_comes_back_equal(exchange: str):
    """Migration: publisher, broker and bridge give back the event that was published, microseconds and all."""
    world, recorder = MemoryWorld(exchange), Recorder()
    event = an_event("UsageEvent", "VM.CREATE", account="a", more={"anything": [1, None]})
    try:
        with CloudStackPublisher(world.broker.address) as publisher:
            source = ForeignSource("cloudstack-events", CloudStackDecoder(takes_own=True))
            world.connect().subscribe(source, recorder, group="back")
            publisher.publish(event, mandatory=True).result(5)

            assert recorder.wait_for(1).events == [event]
    finally:
        world.close()


def test_a_publisher_has_a_bus_and_ends_with_it():
    """Receipts, flush and health are those of any bus."""
    publisher = CloudStackPublisher("memory://publisher")
    publisher.publish(an_event("ActionEvent", "VM.START"))
    publisher.bus.flush(5)
    assert publisher.bus.health()

    publisher.close()

    assert "closed" in repr(publisher)
    with connect("memory://publisher") as bus:
        assert bus.health()
