from collections import Counter, defaultdict
from itertools import islice, pairwise
from typing import Any

import pytest

from bus_amqp.cli.demo.catalogue import OPERATIONS
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.cli.demo.truth import used_at
from bus_amqp.event import Event, EventCategory
from bus_amqp.source.action_details import ActionDetails, ActionStatus
from bus_amqp.source.alert_details import AlertDetails, AlertStatus
from bus_amqp.source.details import Details
from bus_amqp.source.job_details import AsyncJobDetails, AsyncJobStatus
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.usage_details import UsageDetails
from bus_amqp.source.usage_meter import DEFAULT_RULES, usage_types

EVENTS = 5000
DETAILS: dict[str, type[Details]] = {
    EventCategory.ACTION: ActionDetails,
    EventCategory.ALERT: AlertDetails,
    EventCategory.USAGE: UsageDetails,
    EventCategory.RESOURCE_STATE: ResourceStateDetails,
    EventCategory.ASYNC_JOB: AsyncJobDetails,
}
OUTCOMES = (AsyncJobStatus.COMPLETED, AsyncJobStatus.FAILED)


@pytest.fixture(scope="module", params=[1, 2])
def stream(request: pytest.FixtureRequest) -> list[Event]:
    return list(islice(Cloud(request.param).events(), EVENTS))


def of(stream: list[Event], category: EventCategory) -> list[tuple[Event, Any]]:
    """Return the events of a category, with their details."""
    read = DETAILS[category].from_wire
    return [(event, read(event.details)) for event in stream if event.event_category == category]


def test_all_five_categories_are_there_and_fit_their_models(stream: list[Event]) -> None:
    """The scene shows the design document's five categories, as the sources tell them."""
    assert {event.event_category for event in stream} == set(EventCategory)
    for event in stream:
        DETAILS[event.event_category].from_wire(event.details)


def test_every_resource_follows_its_state_machine(stream: list[Event]) -> None:
    """A stream that jumps between states would prove nothing about order to those who watch it."""
    state: dict[str, str] = {}
    under_way: dict[str, ResourceStateDetails] = {}
    phases: Counter[StatePhase] = Counter()
    for event, told in of(stream, EventCategory.RESOURCE_STATE):
        resource, table = event.resource_uuid, MACHINES[event.resource_type].table
        phases[told.phase] += 1
        if told.phase is StatePhase.PRE:
            begins_in = table.initial if table.allowed(None) == () else None
            assert told.old_state == state.get(resource, begins_in)
            assert told.new_state == table.target(told.old_state, event.event_type)
            under_way[resource] = told
        else:
            assert under_way.pop(resource).transition_id == told.transition_id
        if told.phase is StatePhase.POST:
            state[resource] = told.new_state
    assert len(state) > 100
    assert phases[StatePhase.FAILED] > 0
    assert len(under_way) <= 1, "a change is told before and after in the same moment"


def test_a_resource_is_in_one_operation_at_a_time(stream: list[Event]) -> None:
    """Two jobs on one VM at once would be refused by any management server."""
    running: dict[str, str] = {}
    outcomes: Counter[AsyncJobStatus] = Counter()
    for event, told in of(stream, EventCategory.ASYNC_JOB):
        if told.status is AsyncJobStatus.SUBMITTED:
            assert event.resource_uuid not in running
            running[event.resource_uuid] = told.job_id
        assert running[event.resource_uuid] == told.job_id == event.correlation_id
        if told.status in OUTCOMES:
            outcomes[told.status] += 1
            del running[event.resource_uuid]
    assert all(outcomes[status] for status in OUTCOMES)
    assert len(running) > 1  # operations interleave


def test_an_action_ends_as_its_job_and_is_the_cause_of_its_changes(stream: list[Event]) -> None:
    """Operations take turns in one thread: none may pass for the cause of what another one does."""
    actions: defaultdict[str, list[tuple[Event, ActionDetails]]] = defaultdict(list)
    for event, told in of(stream, EventCategory.ACTION):
        actions[event.correlation_id or ""].append((event, told))
    action_of = {event.event_id: job for job, events in actions.items() for event, _ in events}
    changes = [event for event, told in of(stream, EventCategory.RESOURCE_STATE) if told.phase is StatePhase.PRE]
    caused = [event for event in changes if event.causation_id is not None]

    assert len(caused) > len(changes) * 0.9, "some happen by themselves"
    for event in caused:
        assert event.causation_id is not None
        assert action_of[event.causation_id] == event.correlation_id
        assert event.resource_uuid == actions[event.correlation_id][0][0].resource_uuid
    for _, told in of(stream, EventCategory.ASYNC_JOB):
        if told.status in OUTCOMES:
            last = actions[told.job_id][-1][1]
            is_well = told.status is AsyncJobStatus.COMPLETED
            assert last.status is (ActionStatus.COMPLETED if is_well else ActionStatus.FAILED)
            assert (last.error_class is None) is is_well


def test_usage_is_what_the_states_mean_and_can_be_billed(stream: list[Event]) -> None:
    """No orchestration code tells usage; billing's hours are checked against this stream."""
    told = Counter(event.event_type for event, _ in of(stream, EventCategory.USAGE))
    meant = Counter(
        usage
        for event, change in of(stream, EventCategory.RESOURCE_STATE)
        if change.phase is StatePhase.POST
        for usage in usage_types(DEFAULT_RULES, event.resource_type, change.event, change.old_state, change.new_state)
    )
    turns = defaultdict(list)
    for event, _ in of(stream, EventCategory.USAGE):
        if event.event_type in ("VM.START", "VM.STOP"):
            turns[event.resource_uuid].append(event.event_type)

    assert (meant - told).total() + (told - meant).total() <= 2  # the stream may be cut within a moment
    assert turns
    for types in turns.values():
        assert types == ["VM.START", "VM.STOP"] * (len(types) // 2) + ["VM.START"] * (len(types) % 2)


def test_the_clouds_clock_goes_on_and_the_events_are_of_now(stream: list[Event]) -> None:
    """Hours are charged by the cloud's clock; how long an event was under way is measured by ours."""
    used = [used_at(event) for event, _ in of(stream, EventCategory.USAGE)]

    assert all(earlier <= later for earlier, later in pairwise(used))
    assert (used[-1] - used[0]).total_seconds() > 3600
    assert (stream[-1].event_time - stream[0].event_time).total_seconds() < 60


def test_alerts_are_raised_and_cleared_by_measurements_and_by_people(stream: list[Event]) -> None:
    """Each of the generator's ways is shown: a policy, somebody who notices, what a resource does by itself."""
    told = {(event.resource_type, details.status) for event, details in of(stream, EventCategory.ALERT)}

    assert {("Cluster", AlertStatus.RAISED), ("Cluster", AlertStatus.CLEARED)} <= told
    assert {("Host", AlertStatus.RAISED), ("Host", AlertStatus.CLEARED)} <= told
    assert ("VirtualMachine", AlertStatus.RAISED) in told


def test_the_key_of_a_session_is_in_no_event(stream: list[Event]) -> None:
    """Whoever listens would be able to act for the tenant."""
    keys = [str(details.parameters["sessionkey"]) for _, details in of(stream, EventCategory.ASYNC_JOB)
            if details.status is AsyncJobStatus.SUBMITTED]  # fmt: skip

    assert set(keys) == {"[redacted]"}


def test_the_same_seed_gives_the_same_history() -> None:
    """The summary tells how many hours billing must come to by living the same history again."""

    def told(seed: int) -> list[tuple[object, ...]]:
        cloud = Cloud(seed)
        events = list(islice(cloud.events(), 2000))
        return [(cloud.now, event.event_type, event.resource_uuid, event.details.get("more")) for event in events]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_every_operation_fits_its_machine() -> None:
    """An operation that its state machine does not allow would stop the stream in the middle of a demonstration."""
    for operation in OPERATIONS:
        table = MACHINES[operation.resource].table
        state = operation.state
        assert not operation.is_new or state in (None, table.initial)
        for step in operation.steps:
            if operation.can_fail and step == operation.steps[-1]:
                table.target(state, "OperationFailed")
            state = table.target(state, step)
