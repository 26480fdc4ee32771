"""``bus_amqp.wire.routing_key``: five words, one for each field, never two meanings for one key."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp.errors import RoutingKeyTooLongError
from bus_amqp.event import Event
from bus_amqp.topic import EventTopic, words_match
from bus_amqp.wire.key_words import plain_word, type_word
from bus_amqp.wire.routing_key import binding_key, routing_key
from tests.unit.fakes import an_event
from tests.unit.strategies import required_words, words

KEY_FIELDS = ("event_category", "event_type", "resource_type", "resource_uuid", "event_source")
# Few signs, so that two draws nearly meet: absent, escaped and escape all look alike here.
tricky = st.text("._-%*# a5F2ED", max_size=4)
tricky_required = st.text("._-%*# a5F2ED", min_size=1, max_size=4)
five_fields = st.tuples(tricky_required, tricky_required, tricky, tricky, tricky_required)


def event_with(values: tuple[str, ...]) -> Event:
    return an_event(**dict(zip(KEY_FIELDS, values, strict=True)))


def fields_of(key: str) -> tuple[str, ...]:
    """Read a key back, as nobody in the bus does: that it can be done proves that no two events share a key."""
    category, kind, *others = key.split(".")

    def plain(word: str) -> str:
        return "" if word == "_" else unquote(word)

    return (plain(category), plain(kind.replace("-", ".")), *map(plain, others))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "ActionEvent.VM-START.VirtualMachine.vm-0.management-server"),
        ({"event_type": "VM.NIC.ADD"}, "ActionEvent.VM-NIC-ADD.VirtualMachine.vm-0.management-server"),
        ({"event_type": "SCALE-UP"}, "ActionEvent.SCALE%2DUP.VirtualMachine.vm-0.management-server"),
        ({"event_type": "_"}, "ActionEvent.%5F.VirtualMachine.vm-0.management-server"),
        ({"event_type": "A_B"}, "ActionEvent.A_B.VirtualMachine.vm-0.management-server"),
        ({"resource_type": "", "resource_uuid": ""}, "ActionEvent.VM-START._._.management-server"),
        ({"resource_uuid": "_"}, "ActionEvent.VM-START.VirtualMachine.%5F.management-server"),
        ({"event_source": "zone.one"}, "ActionEvent.VM-START.VirtualMachine.vm-0.zone%2Eone"),
        ({"event_category": "a*b#c%d"}, "a%2Ab%23c%25d.VM-START.VirtualMachine.vm-0.management-server"),
        ({"resource_uuid": "a b\tc\u00a0d"}, "ActionEvent.VM-START.VirtualMachine.a%20b%09c%C2%A0d.management-server"),
        ({"event_type": "* #%"}, "ActionEvent.%2A%20%23%25.VirtualMachine.vm-0.management-server"),
        ({"event_source": "größe"}, "ActionEvent.VM-START.VirtualMachine.vm-0.größe"),
    ],
)
def test_a_key_reads_as_the_design_says(changes: dict[str, Any], key: str) -> None:
    """People bind by hand: the words are part of the contract and never change."""
    assert routing_key(an_event(**changes)) == key


@settings(max_examples=80)
@given(five_fields)
def test_a_key_can_be_read_back(values: tuple[str, ...]) -> None:
    """One field, one word, reversibly: so two events with different fields never share a key."""
    assert fields_of(routing_key(event_with(values))) == values


@settings(max_examples=80)
@given(five_fields, five_fields)
def test_different_fields_make_different_keys(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """A shared key would deliver one subscriber's events to another, and order strangers behind each other."""
    assert (routing_key(event_with(one)) == routing_key(event_with(other))) == (one == other)


@settings(max_examples=80)
@given(st.tuples(required_words, required_words, words, words, required_words))
def test_every_key_has_five_words_within_the_protocols_bound(values: tuple[str, ...]) -> None:
    """AMQP would refuse a longer key, and with it the connection; a sign that means something would bind at random."""
    event = event_with(values)
    try:
        key = routing_key(event)
    except RoutingKeyTooLongError:
        category, kind, *others = values
        assert len(".".join([plain_word(category), type_word(kind), *map(plain_word, others)]).encode()) > 255
        return

    assert len(key.encode()) <= 255
    assert len(key.split(".")) == 5
    assert all(key.split("."))
    assert not any(sign in "*#" or sign.isspace() for sign in key)
    assert fields_of(key) == values


@pytest.mark.parametrize("field", KEY_FIELDS)
@pytest.mark.parametrize("text", ["x" * 256, "ü" * 128, "*" * 90])
def test_a_key_that_is_too_long_names_the_field_to_shorten(field: str, text: str) -> None:
    """Bad input: refused at ``publish``, with the one thing that the caller can do about it."""
    with pytest.raises(RoutingKeyTooLongError, match=field) as refused:
        routing_key(an_event(**{field: text}))

    assert "255" in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_key_of_exactly_255_bytes_is_taken_and_one_more_is_not() -> None:
    """The bound is AMQP's, in bytes and not in characters."""
    rest = len(routing_key(an_event(resource_uuid="")).encode()) - 1

    assert len(routing_key(an_event(resource_uuid="x" * (255 - rest))).encode()) == 255
    assert len(routing_key(an_event(resource_uuid="é" * ((255 - rest) // 2))).encode()) in (254, 255)
    with pytest.raises(RoutingKeyTooLongError):
        routing_key(an_event(resource_uuid="x" * (256 - rest)))


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        (EventTopic(), "*.*.*.*.*"),
        (EventTopic(event_category="UsageEvent"), "UsageEvent.*.*.*.*"),
        (EventTopic(event_type="VM.START"), "*.VM-START.*.*.*"),
        (EventTopic(event_type="VM.#", event_source="agent.1"), "*.*.*.*.agent%2E1"),
        (EventTopic(resource_type="", resource_uuid="_"), "*.*._.%5F.*"),
    ],
)
def test_a_binding_has_five_words_and_no_number_sign(topic: EventTopic, key: str) -> None:
    """Measured on RabbitMQ 4: bindings with ``#`` inside halve the broker's publish rate."""
    assert binding_key(topic) == key


def test_a_binding_that_is_too_long_is_refused() -> None:
    """No event could match it: the subscription would be silent for ever."""
    with pytest.raises(RoutingKeyTooLongError, match="binding key"):
        binding_key(EventTopic(resource_uuid="x" * 300))


@st.composite
def topics_near(draw: st.DrawFn, values: tuple[str, ...]) -> EventTopic:
    """Draw a topic whose fields are free, equal to the event's, or nearly so."""
    near = {
        name: draw(st.none() | st.just(value) | (tricky_required if name.startswith("event_") else tricky))
        for name, value in zip(KEY_FIELDS, values, strict=True)
    }
    if draw(st.booleans()):
        near["event_type"] = draw(
            st.lists(st.sampled_from(["*", "#", "a", *values[1].split(".")]), min_size=1, max_size=4).map(".".join)
        )
    kind = near["event_type"]
    if kind is not None and any(not word or (len(word) > 1 and set(word) & {"*", "#"}) for word in kind.split(".")):
        near["event_type"] = "VM.#"  # malformed ones are the topic's own test
    return EventTopic(**near)


@settings(max_examples=100)
@given(st.data(), five_fields)
def test_a_binding_brings_what_its_topic_matches(data: st.DataObject, values: tuple[str, ...]) -> None:
    """P2 and P5: a binding narrower than its topic loses events; a wider one needs the consumer's filter."""
    event = event_with(values)
    topic = data.draw(topics_near(values))

    is_brought = words_match(tuple(binding_key(topic).split(".")), tuple(routing_key(event).split(".")))

    if topic.is_pattern:
        assert is_brought == topic.model_copy(update={"event_type": None}).matches(event)
        assert is_brought or not topic.matches(event)
    else:
        assert is_brought == topic.matches(event)
