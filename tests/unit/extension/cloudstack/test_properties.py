"""Whatever comes, the answer is an event or a refusal: a bridge must not stand still over one message."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus_amqp import Discard, Event, UndecodableError
from bus_amqp.extension.cloudstack.decoder import CloudStackDecoder
from bus_amqp.extension.cloudstack.publisher import cloudstack_message
from bus_amqp.extension.cloudstack.translation import translate
from tests.unit.extension.cloudstack.messages import a_message
from tests.unit.strategies import events

CATEGORIES = ("ActionEvent", "UsageEvent", "AlertEvent", "ResourceStateEvent", "AsyncJobEvent", "BackupEvent", "*")
NAMES = (
    "event", "status", "account", "Account", "user", "entity", "entityuuid", "description", "eventDateTime", "details",
    "resource", "id", "old-state", "new-state", "cmdInfo", "jobResult", "instanceType", "instanceUuid", "busEvent",
    "com.cloud.vm.VirtualMachine", "VirtualMachine", "routingKey", "timeFrom",
)  # fmt: skip
VALUES = (
    "VM.START", "com.cloud.vm.VMInstanceVO$$EnhancerByCGLIB$$1a", "$$", "VO", "2026-13-41 25:61:61 +9999",
    "0001-01-01 00:00:00 +1400", "9999-12-31 23:59:59 -1400", "Class/name/{}", "a.B/c/[", "{", '"', '"{}"',
    '"\\"{}\\""',
    "\ud800", '{"\\ud800": "\\udfff"}', "[NaN, 1e999, -Infinity]", "1" * 5000, '"' * 40, "*", "-", ".",
)  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(VALUES) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=3)
        | inner.map(json.dumps)
    ),
    max_leaves=12,
)
bodies: st.SearchStrategy[bytes] = (
    st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), json_values, max_size=8)
    .map(json.dumps)
    .map(str.encode)
    | json_values.map(json.dumps).map(str.encode)
    | st.binary(max_size=60)
)
words = st.sampled_from(("management-server", "VM-START", "com-cloud-vm-VirtualMachine", "*", "", "$$", "-")) | st.text(
    max_size=5
)
keys = st.builds(lambda *parts: ".".join(parts), words, st.sampled_from(CATEGORIES) | words, words, words, words)


def _outcome(routing_key: str, body: bytes, **properties: Any) -> Event | UndecodableError:
    try:
        return translate(a_message(routing_key, body, **properties))
    except UndecodableError as refusal:
        return refusal


@given(keys | st.text(max_size=20), bodies, st.text(max_size=8))
def test_any_message_becomes_an_event_that_can_be_published_or_is_refused(
    routing_key: str, body: bytes, message_id: str
):
    """Nothing else may leave it: what it raised would be tried again for minutes, and would fail again."""
    outcome = _outcome(routing_key, body, message_id=message_id)

    if isinstance(outcome, Event):
        written = outcome.model_dump_json(by_alias=True)
        assert Event.model_validate_json(written, by_alias=True, by_name=False) == outcome
        assert _outcome(routing_key, body, message_id=message_id) == outcome
    else:
        assert outcome.reason
        assert str(outcome)


@given(st.lists(st.tuples(keys, bodies), max_size=6), st.sampled_from(["drop", "mark", "keep"]))
def test_the_memory_of_twins_makes_no_message_fail(messages: list[tuple[str, bytes]], twins: str):
    """What is looked at for twins has not been checked by anybody."""
    decoder = CloudStackDecoder(twins=twins, clock=lambda: 0.0)
    for routing_key, body in messages * 2:
        with suppress(UndecodableError, Discard):
            assert isinstance(decoder(a_message(routing_key, body)), Event)


@given(st.sampled_from(("sessionkey", "apiKey", "password", "secretkey")), st.integers(0, 4), st.integers(0, 3))
def test_no_depth_hides_a_secret(name: str, objects: int, quotings: int):
    """A session key in a job's command would let every subscriber act as its user."""
    value: Any = {name: "s3cret-1"}
    for _ in range(objects):
        value = {"inner": [value]}
    for _ in range(quotings):
        value = json.dumps(value)

    event = translate(a_message("m.AsyncJobEvent.submit.*.*", {"cmdInfo": value, "unknown": {"deeper": value}}))

    assert "s3cret-1" not in event.model_dump_json()


@given(events())
def test_our_event_comes_back_as_it_was(event: Event):
    """Migration: what goes to CloudStack's exchange and returns over a bridge is the event that went."""
    message = cloudstack_message(event)

    assert translate(message) == event
