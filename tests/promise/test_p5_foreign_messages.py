"""P5, for what others publish: it is understood where it can be, else dead-lettered, and the consumer goes on."""

import json

import pytest

from bus_amqp import EventTopic
from bus_amqp.consume import dead_letter
from bus_amqp.testing.recorder import Recorder
from bus_amqp.topology import names
from tests.promise.amqp_world import AmqpWorld
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until
from tests.promise.world import World

SIX_FIELDS = {
    "eventCategory": "ActionEvent",
    "eventType": "USER.LOGIN",
    "eventSource": "management-server",
    "resourceType": "User",
    "resourceUUID": "u-1",
    "description": "logged in",
}
FIVE_MEBIBYTES = 5 * 1024 * 1024


def a_body(**changes: object) -> bytes:
    return json.dumps({**SIX_FIELDS, **changes}).encode()


@pytest.mark.parametrize("group", [None, "billing"])
@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        pytest.param(b"<event/>", "application/json", "not-json", id="not-json"),
        pytest.param(b"\x80\x04\x95pickled", "application/json", "not-json", id="bytes"),
        pytest.param(b"[" * 100_000, "application/json", "not-json", id="brackets"),
        pytest.param(b"[]", "application/json", "not-an-event", id="a-list"),
        pytest.param(b'{"eventCategory": "ActionEvent"}', "application/json", "not-an-event", id="fields-missing"),
        pytest.param(a_body(eventType=7), "application/json", "not-an-event", id="wrong-type"),
        pytest.param(a_body(eventTime="2024-01-01T00:00:00"), "application/json", "not-an-event", id="naive-time"),
        pytest.param(a_body(details={"x": float("nan")}), "application/json", "not-an-event", id="nan"),
        pytest.param(a_body(), "application/x-python-serialize", "content-type", id="foreign-content-type"),
    ],
)
def test_p5_what_is_no_event_is_dead_lettered_with_the_reason(
    world: World, group: str | None, body: bytes, content_type: str, reason: str
) -> None:
    """Thrown away it would be missed; requeued it would come back for ever; raised it would end the consumer."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder, group=group)
    queue = bus.health().subscriptions[0].queue

    world.publish_raw(body, content_type=content_type, message_id="m-1")
    after = an_event()
    bus.publish(after)

    [letter] = world.wait_dead_letters(1, group)
    assert (letter.body, letter.content_type) == (body, content_type)
    assert letter.headers[dead_letter.REASON] == reason
    assert letter.headers[dead_letter.QUEUE] == queue
    assert letter.headers[dead_letter.ROUTING_KEY] == "A.B.C.D.E"
    assert recorder.wait_for(1).ids == [after.event_id]
    wait_until(lambda: (state := world.queue_state(queue)) and state.ready == 0, "an empty queue")
    [stats] = bus.stats().subscriptions.values()
    assert stats.dead_lettered == 1


@pytest.mark.parametrize("group", [None, "billing"])
def test_p5_a_message_over_the_limit_is_set_aside_whole(world: World, group: str | None) -> None:
    """Five mebibytes are never buffered by the bus: the broker itself moves them to the dead letters."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder, group=group)
    body = a_body(description="x" * FIVE_MEBIBYTES)

    world.publish_raw(body)
    bus.publish(an_event())

    recorder.wait_for(1)
    [letter] = world.wait_dead_letters(1, group)
    assert letter.body == body
    assert letter.headers["x-first-death-reason"] == "rejected"


@pytest.mark.parametrize("routing_key", ["", "ten", "one.two.three", "a.b.c.d.e.f.g"])
def test_p5_a_key_of_other_words_with_a_fine_body_is_handled(world: World, routing_key: str) -> None:
    """The event travels whole in the body: nobody needs the key to understand it."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(event_type="USER.#"), recorder, group="audit", workers=2)
    world.bind(names.group_queue(world.exchange, "audit"), "#")

    world.publish_raw(a_body(), routing_key=routing_key)

    [event] = recorder.wait_for(1).events
    assert event.resource_uuid == "u-1"


@pytest.mark.parametrize("sign", [b"\xff", b"\xed\xa0\x80"], ids=["latin-1", "half a pair"])
def test_p5_a_key_that_is_not_text_does_not_keep_an_event_away(amqp_world: AmqpWorld, sign: bytes) -> None:
    """AMQP's keys are bytes: one that cannot be read must neither end the connection nor come again for ever."""
    recorder = Recorder()
    bus = amqp_world.connect()
    bus.subscribe(EventTopic(), recorder, group="billing")

    amqp_world.publish_raw(a_body(), routing_key=b"A.B.%s.D.E" % sign)
    amqp_world.publish_raw(b"not json", routing_key=b"A.B.%s.D.E" % sign)
    bus.publish(an_event())

    assert recorder.wait_for(2).events[0].event_type == "USER.LOGIN"
    [letter] = amqp_world.wait_dead_letters(1, "billing")
    assert letter.headers[dead_letter.ROUTING_KEY].startswith("A.B.\ufffd")
    assert bus.stats().reconnects == 0


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_p5_bare_json_of_the_six_fields_is_handled(world: World, content_type: str) -> None:
    """What the design document's own examples send."""
    recorder = Recorder()
    bus = world.connect()
    bus.subscribe(EventTopic(), recorder)

    message_id = "018f3a5e-0000-7000-8000-000000000000"

    world.publish_raw(a_body(resourceType=None), content_type=content_type, message_id=message_id)

    [event] = recorder.wait_for(1).events
    assert (event.event_type, event.resource_type, event.description) == ("USER.LOGIN", "", "logged in")
    assert str(event.event_id) == message_id


@pytest.mark.parametrize(
    "headers",
    [
        {"x-list": ["a", 1, {"b": 2}]},
        {"x-table": {"deep": {"deeper": "x"}}},
        {"x-float": 1.5, "x-big": 2**40, "x-minus": -5, "x-true": True, "x-bytes": "ü"},
        {"x-long": "y" * 20_000},
    ],
    ids=["list", "table", "numbers", "long"],
)
def test_p5_foreign_headers_do_not_keep_a_message_from_being_set_aside(
    amqp_world: AmqpWorld, headers: dict[str, object]
) -> None:
    """A header table of any shape may come; what we cannot copy of it must not cost the message."""
    recorder = Recorder()
    bus = amqp_world.connect()
    bus.subscribe(EventTopic(), recorder, group="billing")

    amqp_world.publish_raw(b"not json", headers=headers)
    bus.publish(an_event())

    recorder.wait_for(1)
    [letter] = amqp_world.wait_dead_letters(1, "billing")
    assert letter.headers[dead_letter.REASON] == "not-json"
