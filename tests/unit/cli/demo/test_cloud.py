from collections import defaultdict
from itertools import islice

import pytest

from bus_amqp.cli.demo.catalogue import FIRST_STATE, MACHINES, OPERATIONS
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.event import Event, EventCategory

EVENTS = 5000


@pytest.fixture(scope="module", params=[1, 2])
def stream(request: pytest.FixtureRequest) -> list[Event]:
    return list(islice(Cloud(request.param).events(), EVENTS))


def test_all_five_categories_are_there(stream: list[Event]) -> None:
    """The scene shows the design document's five categories."""
    assert {event.event_category for event in stream} == set(EventCategory)


def test_every_resource_follows_its_state_machine(stream: list[Event]) -> None:
    """A stream that jumps between states would prove nothing about order to those who watch it."""
    state: dict[str, str] = {}
    for event in stream:
        if event.event_category == EventCategory.RESOURCE_STATE:
            old = state.get(event.resource_uuid, FIRST_STATE[event.resource_type])
            assert event.details["old-state"] == old
            new = MACHINES[event.resource_type][old, event.event_type]
            assert event.details["new-state"] == new
            state[event.resource_uuid] = new
    assert len(state) > 100


def test_a_resource_is_in_one_operation_at_a_time(stream: list[Event]) -> None:
    """Two jobs on one VM at once would be refused by any management server."""
    running: dict[str, str] = {}
    ended = 0
    for event in stream:
        if event.event_category != EventCategory.ASYNC_JOB:
            continue
        job = str(event.details["jobId"])
        if event.event_type == "submit":
            assert event.resource_uuid not in running
            running[event.resource_uuid] = job
        else:
            assert running[event.resource_uuid] == job == event.correlation_id
        if event.event_type == "complete":
            del running[event.resource_uuid]
            ended += 1
    assert ended > 100
    assert len(running) > 1  # operations interleave


def test_usage_starts_and_stops_in_turn(stream: list[Event]) -> None:
    """Billing's hours are checked against this stream: it must be one that can be billed."""
    turns = defaultdict(list)
    for event in stream:
        if event.event_category == EventCategory.USAGE and event.event_type in ("VM.START", "VM.STOP"):
            turns[event.resource_uuid].append(event.event_type)
    assert turns
    for types in turns.values():
        assert types == ["VM.START", "VM.STOP"] * (len(types) // 2) + ["VM.START"] * (len(types) % 2)


def test_the_same_seed_gives_the_same_history(stream: list[Event]) -> None:
    """The summary tells how many hours billing must come to by living the same history again."""

    def told(events: list[Event]) -> list[tuple[object, ...]]:
        return [(event.event_type, event.resource_uuid, event.details.get("eventDateTime")) for event in events]

    again = list(islice(Cloud(1).events(), 1000))

    assert told(again) == told(list(islice(Cloud(1).events(), 1000)))
    assert told(again) != told(list(islice(Cloud(2).events(), 1000)))


def test_every_operation_fits_its_machine() -> None:
    """An operation that its state machine does not allow would stop the stream in the middle of a demonstration."""
    for operation in OPERATIONS:
        machine = MACHINES[operation.resource]
        state = operation.state
        assert not operation.is_new or state == FIRST_STATE[operation.resource]
        for step in operation.steps:
            if operation.can_fail and step == operation.steps[-1]:
                assert (state, "OperationFailed") in machine
            state = machine[state, step]
