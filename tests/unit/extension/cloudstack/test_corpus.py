"""Every type of event that CloudStack knows, in every form in which its versions have sent it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import pytest

from bus_amqp import Event
from bus_amqp.extension.cloudstack.key import word_of
from bus_amqp.extension.cloudstack.translation import translate
from tests.unit.extension.cloudstack.messages import FIXTURES, a_message

DATE = "2026-03-04 17:59:24 +0100"
PACKAGES = ("com.cloud.vm", "org.apache.cloudstack.api")


def _event_types() -> list[tuple[str, str]]:
    lines = (FIXTURES / "event_types.tsv").read_text().splitlines()
    pairs = [line.partition("\t")[::2] for line in lines]
    return [(name, resource.strip('"')) for name, resource in pairs]


def _state_events() -> list[tuple[str, str]]:
    found, resource = [], ""
    for line in (FIXTURES / "state_machines.txt").read_text().splitlines():
        if not line.startswith(" "):
            resource = line.strip()
        elif line.strip().startswith("events("):
            found += [(resource, name) for name in line.partition(":")[2].split()]
    return found


EVENT_TYPES = _event_types()
ALERT_TYPES = (FIXTURES / "alert_types.txt").read_text().split()
STATE_EVENTS = _state_events()


def _key(*words: str) -> str:
    return ".".join(word_of(word) for word in ("management-server", *words))


def _translated(routing_key: str, body: dict[str, Any]) -> Event:
    event = translate(a_message(routing_key, body))
    assert Event.model_validate_json(event.model_dump_json(by_alias=True), by_alias=True, by_name=False) == event
    return event


def _action_forms(event_type: str, resource: str, uuid: str) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """Yield key, body, and the resource type and uuid that can be had from them."""
    body = {"event": event_type, "status": "Started", "account": "a", "user": "u", "eventDateTime": DATE}
    yield _key("ActionEvent", event_type, "", ""), body, "", ""
    yield _key("ActionEvent", event_type, resource, ""), body, resource, ""
    if not resource:
        return
    yield _key("ActionEvent", event_type, resource, uuid), body, resource, uuid
    modern = {**body, "entity": resource, "entityuuid": uuid, resource: uuid}
    yield _key("ActionEvent", event_type, resource, uuid), modern, resource, uuid
    yield _key("ActionEvent", event_type, "", ""), modern, resource, uuid
    if resource.isidentifier():
        yield _key("ActionEvent", event_type, resource, ""), {**body, resource: uuid}, resource, uuid
        for package in PACKAGES:
            java = f"{package}.{resource}"
            yield (
                _key("ActionEvent", event_type, java, ""),
                {**body, "entity": java, "entityuuid": uuid},
                resource,
                uuid,
            )
            yield _key("ActionEvent", event_type, java, ""), {**body, "entity": java, java: uuid}, resource, uuid
            yield _key("ActionEvent", event_type, java, uuid), body, resource, uuid


def test_the_corpus_is_what_it_says():
    """A list that was cut would have the tests below prove less than they say."""
    assert (len(EVENT_TYPES), len(ALERT_TYPES), len(STATE_EVENTS)) == (577, 40, 53)
    assert len({word_of(name) for name, _ in EVENT_TYPES}) == 577


@pytest.mark.parametrize(("event_type", "resource"), EVENT_TYPES, ids=lambda value: value or "-")
def test_every_type_of_action_keeps_its_name_and_its_resource(event_type: str, resource: str):
    """A subscriber to VM.START, or to one machine, gets its events from every version."""
    uuid = str(uuid5(UUID(int=0), event_type))

    for routing_key, body, expected_type, expected_uuid in _action_forms(event_type, resource, uuid):
        event = _translated(routing_key, body)

        assert event.event_type == event_type, routing_key
        assert (event.resource_type, event.resource_uuid) == (expected_type, expected_uuid), (routing_key, body)
        assert event.details["account"] == "a"


def test_every_type_of_usage_keeps_its_name_and_its_resource():
    """Billing asks for the machine; whether the server named its interface, its row or a proxy is nothing to it."""
    for event_type, resource in EVENT_TYPES:
        simple = resource if resource.isidentifier() else "VirtualMachine"
        for java in (
            simple,
            f"com.cloud.{simple}",
            f"com.cloud.{simple}VO",
            f"com.cloud.{simple}VO$$EnhancerByCGLIB$$1a",
        ):
            body = {"account": "a", "event": event_type, "resource": java, "id": "u-1", "eventDateTime": DATE}

            event = _translated(_key("UsageEvent", event_type, java, "u-1"), body)

            assert (event.event_type, event.resource_type, event.resource_uuid) == (event_type, simple, "u-1"), java


@pytest.mark.parametrize("form", ["object", "text", "text in text"])
def test_every_command_of_a_job_is_read_in_each_form(form: str):
    """Before 4.16 what a job was asked and what it answered were text."""
    for command, _ in EVENT_TYPES:
        asked: Any = {"cmdEventType": command, "sessionkey": "s3cret"}
        answered: Any = {"virtualmachine": {"id": "u-1", "password": "s3cret"}}
        if form != "object":
            asked, answered = json.dumps(asked), f"org.example.UserVmResponse/virtualmachine/{json.dumps(answered)}"
        if form == "text in text":
            asked = json.dumps(asked)
        body = {"commandEventType": command, "instanceType": "VirtualMachine", "instanceUuid": "u-1", "cmdInfo": asked,
                "jobResult": answered, "status": "SUCCEEDED", "jobId": "j-1"}  # fmt: skip

        event = _translated(_key("AsyncJobEvent", "complete", "VirtualMachine", "u-1"), body)

        assert event.details["parameters"] == {"cmdEventType": command, "sessionkey": "[redacted]"}, command
        assert "s3cret" not in event.model_dump_json()
        assert (event.event_type, event.details["commandEventType"]) == ("complete", command)


@pytest.mark.parametrize("event_type", ALERT_TYPES)
def test_every_type_of_alert_keeps_its_name(event_type: str):
    """An alert has neither resource nor uuid, and its type is all there is to subscribe to."""
    event = _translated(_key("AlertEvent", event_type, "", ""), {"event": event_type, "subject": "s", "body": "b"})

    assert (event.event_type, event.resource_type, event.description) == (event_type, "", "s")


@pytest.mark.parametrize(("resource", "name"), STATE_EVENTS)
def test_every_event_of_a_state_machine_keeps_its_name(resource: str, name: str):
    """A listener to one transition hears of it."""
    body = {"resource": resource, "id": "u-1", "old-state": "A", "new-state": "B", "eventDateTime": DATE}

    event = _translated(_key("ResourceStateEvent", name, resource, "u-1"), body)

    assert (event.event_type, event.resource_type, event.resource_uuid) == (name, resource, "u-1")
