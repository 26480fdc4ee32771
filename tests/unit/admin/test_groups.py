"""Groups on a broker in memory."""

from __future__ import annotations

import pytest

from bus_amqp.admin.groups import Groups, group_names
from bus_amqp.errors import BrokerRefusedError, InvalidArgumentError, NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.topic import EventTopic
from bus_amqp.topology.plan import Plan, Queue
from bus_amqp.wire.codec import encode
from tests.promise.subscribers import an_event
from tests.unit.admin.desk import BUS, DEAD, GROUP, HOME, MAX_BYTES, Desk


@pytest.fixture
def groups(desk: Desk) -> Groups:
    """An operator's view of the desk's broker."""
    return Groups(desk.connect(), BUS)


def publish(desk: Desk, count: int = 1, **fields: object) -> None:
    for number in range(count):
        desk.publish(encode(an_event(number, **fields), max_event_bytes=MAX_BYTES))  # type: ignore[arg-type]  # short hand


def test_events_wait_in_a_group_made_before_its_first_consumer(desk: Desk, groups: Groups) -> None:
    """Publishers are up first after a move: what they say until the consumers come must not be lost."""
    groups.create("early", [EventTopic(event_type="VM.START"), EventTopic(event_type="VM.#")], ordered=False)

    publish(desk, 3)

    assert groups.show("early").ready == 3


def test_a_group_is_made_as_its_subscription_would_make_it(desk: Desk, groups: Groups) -> None:
    """Arguments are for life: a difference would keep the first consumer out."""
    state = groups.create("new", [EventTopic()], ordered=True)

    assert (state.ready, state.consumers, state.dead_letters, state.is_ordered) == (0, 0, 0, True)
    desk.make_group("new-too")
    broker = desk.connector.memory_broker
    assert broker.arguments("bus.new") == {
        **broker.arguments("bus.new-too"), "x-single-active-consumer": True, "x-dead-letter-routing-key": "new",
    }  # fmt: skip
    with pytest.raises(TopologyMismatchError, match="x-single-active-consumer"):
        groups.create("new", [EventTopic()], ordered=False)
    groups.create("new", [EventTopic()], ordered=True)


def test_a_group_tells_what_waits_and_who_consumes(desk: Desk, groups: Groups) -> None:
    """The three numbers that an operator asks for first."""
    desk.fail_many(2)
    consumer = desk.connect().consume_channel(HOME, 1)

    state = groups.show(GROUP)

    assert (state.ready, state.consumers, state.dead_letters, state.is_ordered) == (0, 1, 2, False)
    consumer.close()
    missing = groups.show("missing")
    assert (missing.exists, missing.ready, missing.dead_letters, missing.is_ordered) == (False, None, None, None)


def test_what_cannot_be_found_out_is_not_guessed(desk: Desk, groups: Groups) -> None:
    """Without the right to declare, and for a queue that somebody else has made."""
    assert Groups(desk.connect(), BUS, may_declare=False).show(GROUP).is_ordered is None
    desk.connection.declare(Plan(queues=(Queue("bus.foreign", {"x-queue-type": "classic"}),)))
    assert groups.show("foreign").is_ordered is None


def test_deleting_keeps_the_dead_letters_unless_they_are_meant(desk: Desk, groups: Groups) -> None:
    """They are what is left to repair."""
    desk.fail_many(2)

    assert groups.delete(GROUP, force=False, with_dead_letters=False).dead_letters == 2
    assert groups.show(GROUP).exists is False
    assert len(desk.entries(DEAD)) == 2

    groups.delete(GROUP, force=False, with_dead_letters=True)
    assert groups.show(GROUP).dead_letters is None
    with pytest.raises(NotFoundOnBrokerError, match="is not there"):
        groups.delete(GROUP, force=False, with_dead_letters=True)


def test_a_group_with_consumers_is_not_deleted_by_a_slip(desk: Desk, groups: Groups) -> None:
    """They would make the queue again, without what was in it."""
    desk.connect().consume_channel(HOME, 1)

    with pytest.raises(BrokerRefusedError, match="has 1 consumers: end them first"):
        groups.delete(GROUP, force=False, with_dead_letters=False)
    assert groups.existing(GROUP).consumers == 1

    groups.delete(GROUP, force=True, with_dead_letters=False)
    with pytest.raises(NotFoundOnBrokerError):
        groups.existing(GROUP)


@pytest.mark.parametrize("name", ["", "a.b", "dead", "tmp", "a b", "x" * 65])
def test_a_name_that_no_group_can_have_is_refused(groups: Groups, name: str) -> None:
    """`groups delete dead` must not reach the queue of that name."""
    for action in (
        lambda: groups.create(name, [EventTopic()], ordered=False),
        lambda: groups.show(name),
        lambda: groups.delete(name, force=True, with_dead_letters=True),
    ):
        with pytest.raises(InvalidArgumentError):
            action()


def test_groups_are_found_among_the_queues_of_a_broker() -> None:
    """Waiting rooms, temporary queues and those of other exchanges are none; a group may have dead letters only."""
    queues = [
        "bus.events.billing", "bus.events.billing.dead", "bus.events.gone.dead", "bus.events.tmp.dead",
        "bus.events.tmp.0197f3c2-5b1e-7c44-9d2a-3f6b8e1d7a90", "bus.events.wait.30s", "bus.eventsx.other", "other",
        "bus.events.sub.group", "bus.events", "bus.events.", "bus.events.dead",
    ]  # fmt: skip

    assert group_names("bus.events", queues) == ["billing", "gone"]
