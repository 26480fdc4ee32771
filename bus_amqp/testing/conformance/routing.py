"""Where a key leads: the broker and ``EventTopic.matches`` must agree."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus_amqp.event import Event
from bus_amqp.testing.conformance.workbench import Conformance, Workbench, collect, deliveries_in, numbered
from bus_amqp.topic import EventTopic
from bus_amqp.transport.base import Connection
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import Message
from bus_amqp.wire.routing_key import binding_key

SENTINEL = b"the last message"
EXAMPLES = 40

# Few values, so that fields meet; with every character that the encoding of keys treats in a special way.
_categories = st.sampled_from(["ActionEvent", "UsageEvent", "a.b", "a-b", "*", "_"])
_types = st.sampled_from(
    ["VM.START", "VM.STOP", "VM", "VM-START", "VM.SNAPSHOT.START", "START", "a.*", "#", "%2D", "_"]
)
_patterns = st.sampled_from(["VM.#", "*.START", "#.START", "VM.*", "#", "*", "*.*", "VM.*.START", "#.SNAPSHOT.#"])
_resource_types = st.sampled_from(["", "VirtualMachine", "Volume", "_", "Vol ume"])
_uuids = st.sampled_from(["", "6f2d", "6f2d.1", "_", "%5F", "ü"])
_sources = st.sampled_from(["management-server", "agent", "agent.1", "agent%2E1"])

_events = st.builds(
    Event,
    event_category=_categories,
    event_type=_types,
    event_source=_sources,
    resource_type=_resource_types,
    resource_uuid=_uuids,
)
_topics = st.builds(
    EventTopic,
    event_category=st.none() | _categories,
    event_type=st.none() | _patterns | _types.filter(lambda value: value not in ("a.*", "#")),
    resource_type=st.none() | _resource_types,
    resource_uuid=st.none() | _uuids,
    event_source=st.none() | _sources,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A binding key, and routing keys that it takes and leaves."""

    binding: str
    takes: tuple[str, ...]
    leaves: tuple[str, ...]


CASES = (
    Case("a.b.c.d.e", ("a.b.c.d.e",), ("a.b.c.d.f", "a.b.c.d", "a.b.c.d.e.f", "A.b.c.d.e")),
    Case("a.*.*.*.*", ("a.b.c.d.e", "a._._._._"), ("b.b.c.d.e", "a.b.c.d", "a.b.c.d.e.f")),
    Case("*.*.*.u.*", ("a.b.c.u.e",), ("a.b.u.c.e", "u.u.u.v.u")),
    Case("*.*.*.*.*", ("a.b.c.d.e", "a...."), ("a", "", "a.b.c.d", "a.b.c.d.e.f")),
    Case("#", ("a.b.c.d.e", "a", "", "a.b.c.d.e.f"), ()),
    Case("a.#", ("a", "a.b", "a.b.c.d.e"), ("b.a", "")),
    Case("#.e", ("e", "a.b.c.d.e"), ("e.a", "a.b.c.d.ee")),
    Case("a.#.e", ("a.e", "a.b.c.d.e"), ("a", "a.b.c.d")),
)


class TestRouting(Conformance):
    """By words, as AMQP has it."""

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.binding)
    def test_a_binding_takes_what_its_words_match(self, bench: Workbench, case: Case) -> None:
        """A subscriber gets what its topic says, no less and no more."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, case.binding)
        messages = [Message(key, key.encode()) for key in (*case.takes, *case.leaves)]

        bodies = _delivered(connection, queue, messages)

        assert bodies == [key.encode() for key in case.takes]

    def test_several_matching_bindings_bring_one_copy(self, bench: Workbench) -> None:
        """A list of topics is several bindings of one queue: an event that two of them want comes once."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "a.*.*.*.*", "*.b.*.*.*", "#")

        assert _delivered(connection, queue, [numbered(1, "a.b.c.d.e")]) == [b"1"]

    def test_each_matching_queue_gets_its_copy(self, bench: Workbench) -> None:
        """Subscribers do not take events from each other."""
        connection = bench.connect()
        queues = [bench.declare_queue(connection, key, name=f"q{n}") for n, key in enumerate(("a.*.*.*.*", "#", "b.#"))]

        bench.publish(connection, numbered(1, "a.b.c.d.e"))

        for queue, count in zip(queues, (1, 1, 0), strict=True):
            bench.wait_ready(connection, queue, count)

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(topics=st.lists(_topics, min_size=1, max_size=3), events=st.lists(_events, min_size=1, max_size=8))
    def test_the_topic_matches_what_the_broker_delivers(
        self, bench: Workbench, topics: list[EventTopic], events: list[Event]
    ) -> None:
        """Design, section 4: ``topic.matches(event)`` == the broker delivered it and our filter let it by."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, *dict.fromkeys(binding_key(topic) for topic in topics))
        wanted = [event.event_id for event in events if any(topic.matches(event) for topic in topics)]

        bodies = _delivered(connection, queue, [encode(event, max_event_bytes=10_000) for event in events])
        connection.delete_queue(queue)
        connection.close()

        by_body = {encode(event, max_event_bytes=10_000).body: event for event in events}
        delivered = [by_body[body] for body in bodies]
        passed = [event.event_id for event in delivered if any(topic.matches(event) for topic in topics)]
        assert passed == wanted
        if not any(topic.is_pattern for topic in topics):
            assert [event.event_id for event in delivered] == wanted


def _delivered(connection: Connection, queue: str, messages: list[Message]) -> list[bytes]:
    """Publish these messages and return the bodies of those that reach the queue."""
    last = Message(queue, SENTINEL, exchange="")  # straight to the queue, behind all that the bindings bring
    connection.publish_channel().send([*messages, last])
    connection.consume_channel(queue, 100)
    signals = collect(connection, lambda signals: SENTINEL in [one.body for one in deliveries_in(signals)])
    bodies = [delivery.body for delivery in deliveries_in(signals) if delivery.body is not None]
    assert bodies[-1] == SENTINEL
    return bodies[:-1]
