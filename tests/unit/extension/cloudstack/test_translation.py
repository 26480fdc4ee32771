"""``bus_amqp.extension.cloudstack.translation``: what CloudStack said, in our words, whatever version said it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bus_amqp import UndecodableError
from bus_amqp.extension.cloudstack.translation import id_of, second_id, translate
from tests.unit.extension.cloudstack.messages import RECEIVED, a_message, cases, message_of

UNDERSTOOD = [case for name in ("action", "usage", "alert", "state", "job") for case in cases(name)]
KEY = "management-server.ActionEvent.VM-START.VirtualMachine.u-1"


@pytest.mark.parametrize("case", UNDERSTOOD, ids=lambda case: case["name"])
def test_what_a_version_has_sent_is_understood(case: dict[str, Any]):
    """A subscriber is told the same in the same words, whichever CloudStack it was."""
    expected = dict(case["event"])
    if "event_time" in expected:
        time = expected["event_time"]
        expected["event_time"] = RECEIVED if time == "received" else datetime.fromisoformat(time)

    event = translate(message_of(case))

    assert {name: getattr(event, name) for name in expected} == expected


@pytest.mark.parametrize("case", cases("refused"), ids=lambda case: case["name"])
def test_what_cannot_be_understood_is_refused_with_the_reason(case: dict[str, Any]):
    """P5: it becomes a dead letter that says what is wrong, not an event that says half of it."""
    with pytest.raises(UndecodableError) as refused:
        translate(message_of(case))

    assert refused.value.reason == case["reason"]


def test_a_message_that_comes_twice_has_one_id_and_two_messages_have_two():
    """At least once: whoever drops duplicates by their id must be able to, and must lose nothing else by it."""
    first = a_message(KEY, {"event": "VM.START"})
    others = [
        a_message(KEY, {"event": "VM.START", "status": "Started"}),
        a_message(KEY + "2", {"event": "VM.START"}),
        a_message(KEY, {"event": "VM.START"}, message_id="7"),
        a_message(KEY, {"event": "VM.START"}, timestamp=RECEIVED),
    ]

    again = a_message(KEY, {"event": "VM.START"}, received_at=datetime(2026, 3, 5, tzinfo=UTC), is_repeated=True)

    assert id_of(first) == id_of(again) == translate(first).event_id
    assert len({id_of(one) for one in [first, *others]}) == 5
    assert second_id(id_of(first)) != id_of(first)


def test_the_id_of_a_message_is_the_same_in_every_release():
    """A bridge that is upgraded must not make new events of what it delivers again."""
    assert id_of(a_message(KEY, b'{"event":"VM.START"}')) == UUID("7c4d52fe-8e09-5278-9a69-7cb7b72ff2cd")


def test_a_message_that_brings_a_uuid_of_its_own_keeps_it():
    """What has an identity already is not given another."""
    own = UUID(int=7)

    assert translate(a_message(KEY, {"event": "VM.START"}, message_id=str(own))).event_id == own


def test_a_body_that_contradicts_its_key_loses_and_is_kept():
    """The key is what its publisher wanted it routed by; what the body says instead is not thrown away."""
    event = translate(a_message(KEY, {"event": "VM.STOP", "entityuuid": "u-2"}))

    assert (event.event_type, event.resource_uuid) == ("VM.START", "u-1")
    assert event.details["cloudStack"] == {"event": "VM.STOP", "routingKey": KEY, "timeFrom": "receipt"}


def test_a_type_that_is_in_the_key_alone_gets_its_dots_back():
    """None of CloudStack's own types has a dash in it; state changes and jobs are no such types, and stay."""
    assert translate(a_message("m.ActionEvent.VM-START.*.*", {})).event_type == "VM.START"
    assert translate(a_message("m.ResourceStateEvent.Operation-Retry.*.*", {})).event_type == "Operation-Retry"


@pytest.mark.parametrize("key", ["m.ActionEvent.X.*.\ud800", "m.\udfff.X.*.*", "\ud800.ActionEvent.X.*.*"])
def test_a_key_that_is_no_text_is_refused(key: str):
    """What a strange client has put there is a dead letter with its reason, and no fault of the translation."""
    with pytest.raises(UndecodableError) as refused:
        translate(a_message(key, {"event": "X"}))

    assert refused.value.reason == "cloudstack-key"
    assert translate(a_message(KEY, {"event": "VM.START"}, message_id="\ud800")).event_type == "VM.START"


def test_another_charset_than_utf_8_is_read():
    """The server writes in the charset of its platform."""
    event = translate(a_message(KEY, '{"description": "gel\u00f6scht"}'.encode("latin-1")))

    assert event.description == "gel\u00f6scht"


def test_a_whole_body_that_is_a_string_is_opened():
    """Somebody's proxy has quoted it once more."""
    assert translate(a_message(KEY, '"{\\"description\\": \\"x\\"}"')).description == "x"


def test_a_category_of_somebodys_plug_in_is_let_through():
    """Categories are open: what the body says is all there, under its own names."""
    event = translate(a_message("m.BackupEvent.DONE.*.*", {"size": 7, "text": '{"a": 1}'}))

    assert (event.event_category, event.event_type) == ("BackupEvent", "DONE")
    assert event.details["cloudStack"] == {
        "size": 7, "text": {"a": 1}, "routingKey": "m.BackupEvent.DONE.*.*", "timeFrom": "receipt",
    }  # fmt: skip


def test_what_has_a_known_name_and_another_form_is_kept():
    """Nothing that a body says is dropped, also where a version says it otherwise."""
    event = translate(a_message(KEY, {"entityuuid": {"id": "u"}, "user": 7, "VirtualMachine": ["u"]}))

    assert event.details["user"] == 7
    assert event.details["cloudStack"] == {
        "entityuuid": {"id": "u"}, "VirtualMachine": ["u"], "routingKey": KEY, "timeFrom": "receipt",
    }  # fmt: skip
