"""``bus_amqp.source.state``: what a change of state looks like on the bus."""

import contextlib
from collections.abc import Iterable
from typing import Any

import pytest

from bus_amqp.errors import EventBusException, IllegalTransitionError, InvalidArgumentError, TransitionConflictError
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE
from bus_amqp.source.state import (
    HostStateListener,
    NetworkStateListener,
    NicStateListener,
    ResourceStateEvents,
    SnapshotStateListener,
    UserVmStateListener,
    VolumeStateListener,
)
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.state_machine import StateMachine
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_details import UsageFacts
from tests.unit.source.recording import REFUSAL, RecordingPublisher

VM = StatefulResource("6f2d", UsageFacts(account="acme", domain="root", zone="z1", offering="small", size_bytes=0))


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


def start(machine: StateMachine, resource: object = VM, *, is_stored: bool = True, **fields: Any) -> None:
    """Take a stopped machine to Starting."""
    machine.transit("StartRequested", "Stopped", resource, save=lambda old, new: is_stored, **fields)


def details_of(publisher: RecordingPublisher) -> list[ResourceStateDetails]:
    """Return the details as a subscriber would read them."""
    return [ResourceStateDetails.from_wire(event.details) for event in publisher.events]


def test_pre_and_post_are_told_apart_and_belong_together(publisher: RecordingPublisher) -> None:
    """The original's two are alike but for their time: a consumer takes one change for two."""
    start(VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher, source="cloud-7")), correlation_id="job-1")

    pre, post = publisher.events
    assert [details.phase for details in details_of(publisher)] == [StatePhase.PRE, StatePhase.POST]
    assert pre.details["transitionId"] == post.details["transitionId"] == str(pre.event_id)
    assert post.causation_id == pre.event_id
    assert pre.event_id != post.event_id
    assert pre.correlation_id == post.correlation_id == "job-1"
    for event in (pre, post):
        assert (event.event_category, event.event_type) == ("ResourceStateEvent", "StartRequested")
        assert (event.event_source, event.resource_type, event.resource_uuid) == ("cloud-7", "VirtualMachine", "6f2d")


def test_an_event_tells_from_where_to_where_and_whose_it_is(publisher: RecordingPublisher) -> None:
    """Who bills or shows it has to ask nobody else."""
    start(VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher, phases=["post"])))

    event = publisher.only
    assert event.details == {
        "detailsVersion": 1, "phase": "post", "event": "StartRequested", "oldState": "Stopped", "newState": "Starting",
        "transitionId": event.details["transitionId"], "account": "acme", "domain": "root", "zone": "z1",
        "offering": "small", "sizeBytes": 0,
    }  # fmt: skip
    assert event.description == "Stopped -> Starting, stored"
    assert event.causation_id is None


@pytest.mark.parametrize("error", [None, RuntimeError("amqp://user:hunter2@db refused " + "x" * 1000)])
def test_a_change_that_was_not_stored_is_taken_back(publisher: RecordingPublisher, error: Exception | None) -> None:
    """No phantom is left: who heard pre hears that it did not come true, and why, without the passwords of it."""

    def save(old: str, new: str) -> bool:
        if error is not None:
            raise error
        return False

    with pytest.raises(RuntimeError if error else TransitionConflictError):
        VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher)).transit(
            "StartRequested", "Stopped", VM, save=save
        )

    pre, failed = details_of(publisher)
    assert (pre.phase, failed.phase) == (StatePhase.PRE, StatePhase.FAILED)
    assert failed.transition_id == pre.transition_id
    assert failed.error_class == ("RuntimeError" if error else "TransitionConflictError")
    assert failed.error_message is not None
    assert len(failed.error_message) <= 500
    assert "hunter2" not in failed.error_message
    assert publisher.events[1].causation_id == publisher.events[0].event_id


def test_an_illegal_transition_publishes_nothing(publisher: RecordingPublisher) -> None:
    """It is nothing that has happened."""
    with pytest.raises(IllegalTransitionError):
        VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher)).transit(
            "StartRequested", "Running", VM, save=lambda old, new: True
        )

    assert publisher.events == []


@pytest.mark.parametrize("error", [REFUSAL, RuntimeError("a publisher of somebody's own")])
def test_a_bus_that_refuses_breaks_no_change_and_is_counted(error: Exception) -> None:
    """A machine must start although nobody hears of it."""
    publisher = RecordingPublisher(error)
    listener = UserVmStateListener(publisher)
    machine = VIRTUAL_MACHINE.with_listeners(listener)

    start(machine)

    assert listener.failed == 2
    assert machine.listener_failures == 0
    assert "2 failed" in repr(listener)


def test_a_post_names_no_cause_that_nobody_has_heard(publisher: RecordingPublisher) -> None:
    """When the pre was refused, its id leads nowhere."""
    publisher.error = REFUSAL

    def save(old: str, new: str) -> None:
        publisher.error = None

    VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher)).transit("StartRequested", "Stopped", VM, save=save)

    assert publisher.only.causation_id is None


@pytest.mark.parametrize("resource", [None, StatefulResource(""), 7])
def test_a_resource_that_cannot_be_described_is_counted_and_breaks_no_change(resource: object) -> None:
    """The change is the caller's business, the event is ours.  An empty uuid is an event of no resource, and passes."""
    publisher = RecordingPublisher()
    listener = UserVmStateListener(publisher)

    start(VIRTUAL_MACHINE.with_listeners(listener), resource)

    assert listener.failed + len(publisher.events) == 2


def test_a_fact_that_does_not_fit_is_told_by_its_name(
    publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad input of the issue: the log names the field."""

    class Row:
        uuid = "6f2d"
        size_bytes = -1

    listener = UserVmStateListener(publisher)
    start(VIRTUAL_MACHINE.with_listeners(listener), Row())

    assert listener.failed == 2
    assert "size_bytes" in caplog.text


def test_a_description_of_one_s_own_is_used(publisher: RecordingPublisher) -> None:
    """A control plane's rows are what they are."""
    listener = VolumeStateListener(
        publisher, describe=lambda row: StatefulResource(f"volume-{row}", UsageFacts(account="acme"))
    )

    MACHINES["Volume"].with_listeners(listener).transit("CreateRequested", "Allocated", 7, save=lambda old, new: True)

    assert {event.resource_uuid for event in publisher.events} == {"volume-7"}


def test_the_switch_and_the_phases_may_be_turned_while_running(publisher: RecordingPublisher) -> None:
    """An operator who has too many events must not have to restart the management server."""
    listener = UserVmStateListener(publisher, is_enabled=False)
    machine = VIRTUAL_MACHINE.with_listeners(listener)

    start(machine)
    assert (publisher.events, listener.is_enabled) == ([], False)

    listener.is_enabled, listener.phases = True, frozenset({StatePhase.POST})
    start(machine)
    assert [details.phase for details in details_of(publisher)] == [StatePhase.POST]

    listener.is_enabled = lambda: False
    start(machine)
    assert len(publisher.events) == 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_change_that_is_under_way_gets_its_end_though_the_switch_is_turned(
    publisher: RecordingPublisher, is_stored: bool
) -> None:
    """Who heard pre waits for how it ends, whatever an operator does meanwhile."""
    listener = UserVmStateListener(publisher)

    def save(old: str, new: str) -> bool:
        listener.is_enabled = False
        listener.phases = frozenset({StatePhase.POST})
        return is_stored

    with contextlib.suppress(TransitionConflictError):
        VIRTUAL_MACHINE.with_listeners(listener).transit("StartRequested", "Stopped", VM, save=save)

    assert [details.phase for details in details_of(publisher)] == ["pre", "post" if is_stored else "failed"]


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        (["past"], "past is no phase of a change: there are pre, post, failed"),
        (["unknown"], "unknown is no phase of a change: there are pre, post, failed"),
        ([], "would publish nothing"),
        (["pre", "post"], "pre needs post and failed too"),
        (["pre"], "pre needs post and failed too"),
        ("post", r"write \['post'\]"),
    ],
)
def test_phases_that_leave_phantoms_are_refused(
    publisher: RecordingPublisher, phases: Iterable[str], told: str
) -> None:
    """A pre without an end is what the original is blamed for."""
    with pytest.raises(InvalidArgumentError, match=told):
        UserVmStateListener(RecordingPublisher(), phases=phases)


@pytest.mark.parametrize(
    ("listener", "resource_type"),
    [
        (UserVmStateListener, "VirtualMachine"), (VolumeStateListener, "Volume"), (NetworkStateListener, "Network"),
        (SnapshotStateListener, "Snapshot"), (NicStateListener, "Nic"), (HostStateListener, "Host"),
    ],
)  # fmt: skip
def test_each_resource_has_its_listener(
    publisher: RecordingPublisher, listener: type[ResourceStateEvents], resource_type: str
) -> None:
    """The design document's four, and those of the resources that it says have none."""
    machine = MACHINES[resource_type].with_listeners(listener(publisher))
    line = machine.table.transitions[0]

    machine.transit(line.event, line.state, "6f2d", save=lambda old, new: True)

    assert [event.resource_type for event in publisher.events] == [resource_type] * 2
    with pytest.raises(InvalidArgumentError, match=f"made for {resource_type}"):
        StateMachine("Door", [("Shut", "Push", "Open")], initial="Shut").with_listeners(listener(publisher))


def test_a_machine_of_one_s_own_has_events_under_its_own_name(publisher: RecordingPublisher) -> None:
    """Whoever adds a kind of resource gets its events for one line."""
    door = StateMachine("Door", [(None, "Build", "Shut")], initial="Shut").with_listeners(
        ResourceStateEvents(publisher)
    )

    door.transit("Build", None, "d-1", save=lambda old, new: True)

    assert [event.resource_type for event in publisher.events] == ["Door"] * 2
    assert "oldState" not in publisher.events[1].details
    assert publisher.events[1].description == "(new) -> Shut, stored"


def test_a_self_transition_is_published(publisher: RecordingPublisher) -> None:
    """That it still runs is news to some; who bills sees that old and new are one."""
    VIRTUAL_MACHINE.with_listeners(UserVmStateListener(publisher, phases=["post"])).transit(
        "AgentReportRunning", "Running", VM, save=lambda old, new: True
    )

    assert publisher.only.details["oldState"] == publisher.only.details["newState"] == "Running"


def test_what_is_no_publisher_is_refused() -> None:
    """Where the listener is made, not at the first change."""
    with pytest.raises(EventBusException, match="has no publish method"):
        UserVmStateListener(object())  # type: ignore[arg-type]  # the fault under test
