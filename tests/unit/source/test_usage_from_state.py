"""``bus_amqp.source.usage_from_state``: usage that follows from changes of state, once for each."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bus_amqp.errors import DeadlineExceededError, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.process.loader import load_subscribers
from bus_amqp.retry import delay_after
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.state import ResourceStateEvents
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_details import UsageDetails, UsageFacts
from bus_amqp.source.usage_from_state import UsageFromState, subscribers, usage_subscribers
from bus_amqp.source.usage_meter import DEFAULT_RULES, Meter
from tests.unit.source.recording import RecordingPublisher

VOLUME = StatefulResource("v-1", UsageFacts(account="acme", zone="z1", size_bytes=7))


def changes(machine: str = "Volume", resource: StatefulResource = VOLUME, *steps: str) -> list[Event]:
    """Return all events that a machine publishes on its way through the steps; by default a volume that is made."""
    publisher = RecordingPublisher()
    listening = MACHINES[machine].with_listeners(ResourceStateEvents(publisher))
    state: str | None = listening.table.initial
    for step in steps or ("CreateRequested", "OperationSucceeded"):
        state = listening.transit(step, state, resource, save=lambda old, new: True)
    return publisher.events


def usage_of(events: list[Event], **options: Any) -> list[Event]:
    """Return what comes out when these go in."""
    publisher = RecordingPublisher()
    usage = UsageFromState(publisher, **options)
    for event in events:
        usage.on_event(event)
    return publisher.events


def test_usage_follows_from_a_change_of_state() -> None:
    """No orchestration code publishes it; all that the state event knew of the resource is in it."""
    events = changes()

    (usage,) = usage_of(events)

    cause = events[-1]
    assert (usage.event_category, usage.event_type) == ("UsageEvent", "VOLUME.CREATE")
    assert (usage.resource_type, usage.resource_uuid) == ("Volume", "v-1")
    assert (usage.event_time, usage.causation_id) == (cause.event_time, cause.event_id)
    assert usage.correlation_id == str(cause.event_id)
    assert UsageDetails.from_wire(usage.details) == UsageDetails(account="acme", zone="z1", size_bytes=7)


def test_a_life_of_a_machine_is_billed_once_each() -> None:
    """Pre, failed and self transitions give nothing, nor does a stop that has failed."""
    events = changes(
        "VirtualMachine", VOLUME, "StartRequested", "OperationSucceeded", "AgentReportRunning", "MigrationRequested",
        "OperationSucceeded", "StopRequested", "OperationFailed", "StopRequested", "OperationSucceeded",
        "DestroyRequested", "ExpungeOperation",
    )  # fmt: skip

    assert [usage.event_type for usage in usage_of(events)] == ["VM.START", "VM.STOP", "VM.DESTROY"]


def test_an_event_that_comes_twice_gives_the_same_usage_twice() -> None:
    """At least once means that: the id follows from the cause, so a ledger drops the second."""
    events = changes()

    first, second = usage_of([*events, events[-1]])

    assert first == second
    assert len({usage.event_id for usage in usage_of(changes() + events)}) == 2


def test_facts_are_asked_for_and_go_before_what_the_event_tells() -> None:
    """Offering and size stand in a database; the event's own are from the moment of the change."""
    asked: list[Event] = []

    def facts(event: Event) -> UsageFacts:
        asked.append(event)
        return UsageFacts(offering="gold", size_bytes=9)

    (usage,) = usage_of(changes(), facts=facts)

    assert len(asked) == 1  # not for the changes that mean nothing
    assert UsageDetails.from_wire(usage.details) == UsageDetails(
        account="acme", zone="z1", offering="gold", size_bytes=9
    )


def test_what_nobody_pays_for_gives_no_usage() -> None:
    """A system's own machines are changes like others."""
    assert usage_of(changes(), facts=lambda event: None) == []


def test_usage_of_which_nobody_knows_who_pays_is_refused_and_named() -> None:
    """It is dead-lettered, where somebody sees it, and can be put back once the facts are known."""
    with pytest.raises(InvalidArgumentError, match="account: nobody knows who pays for Volume v-2"):
        usage_of(changes("Volume", StatefulResource("v-2")))


@pytest.mark.parametrize("details", [{}, {"phase": "past"}, {"old-state": "Creating", "new-state": "Ready"}])
def test_an_event_that_is_no_change_of_state_is_refused_with_the_field(details: dict[str, Any]) -> None:
    """A foreign body under our category must neither be billed nor be dropped in silence."""
    event = Event(
        event_category="ResourceStateEvent", event_type="x", event_source="s", resource_type="Volume", details=details
    )

    with pytest.raises(InvalidArgumentError, match=r"ResourceStateDetails refused: .*phase"):
        usage_of([event])


def test_it_asks_for_the_resources_of_its_rules_and_no_others() -> None:
    """A host's thousand pings need not travel to billing."""
    usage = UsageFromState(
        RecordingPublisher(), rules=(*DEFAULT_RULES, Meter("Bucket", frozenset({"Ready"}), "B.CREATE", "B.DELETE"))
    )

    assert [topic.resource_type for topic in usage.topics] == [
        "VirtualMachine", "Volume", "Snapshot", "Network", "Bucket",
    ]  # fmt: skip
    assert {(topic.event_category, topic.event_source) for topic in usage.topics} == {("ResourceStateEvent", None)}


def test_the_changes_of_one_source_may_be_billed_alone() -> None:
    """A bridged CloudStack publishes usage of its own: its changes must not be billed a second time."""
    (declared,) = usage_subscribers(RecordingPublisher(), only_source="cloud-7")

    assert {topic.event_source for topic in declared.topics} == {"cloud-7"}


def test_the_event_is_kept_until_its_usage_is_confirmed() -> None:
    """Acknowledged before, the usage would be lost with the process: what is not confirmed has failed."""

    class Unconfirmed:
        def result(self, timeout: float) -> None:
            raise DeadlineExceededError(f"not confirmed within {timeout} seconds")

    class Publisher:
        def publish(self, event: Event, /) -> Unconfirmed:
            return Unconfirmed()

    usage = UsageFromState(Publisher(), confirm_timeout_seconds=7)
    *_, made = changes()

    with pytest.raises(DeadlineExceededError, match="7 seconds"):
        usage.on_event(made)


def test_the_switch_may_be_turned_while_running() -> None:
    """What comes while it is off is not billed."""
    publisher = RecordingPublisher()
    usage = UsageFromState(publisher, is_enabled=False)
    *_, made = changes()

    usage.on_event(made)
    usage.is_enabled = True
    usage.on_event(made)

    assert usage.is_enabled is True
    assert len(publisher.events) == 1


def test_it_is_declared_as_bus_amqp_run_takes_it() -> None:
    """A consumer process that the operator starts as often as needed; bad events are not tried again."""
    (declared,) = subscribers(RecordingPublisher())
    (own,) = usage_subscribers(RecordingPublisher(), group="mine", workers=2)

    assert declared.options.group == "usage-from-state"
    assert (own.options.group, own.options.workers) == ("mine", 2)
    assert delay_after(1, InvalidArgumentError("account"), declared.options.retry) is None  # type: ignore[arg-type]  # a RetryPolicy
    assert delay_after(1, ConnectionError("database"), declared.options.retry) is not None  # type: ignore[arg-type]  # the same
    assert callable(load_subscribers("bus_amqp.source.usage_from_state:subscribers"))


def test_a_beginning_and_its_moment_are_made_of_facts_of_that_moment() -> None:
    """Dates are the cause's own: a backlog of a day must not move the usage by a day."""
    *_, made = changes()
    made = made.model_copy(update={"event_time": datetime(2026, 1, 1, tzinfo=UTC)})

    (usage,) = usage_of([made])

    assert usage.event_time == datetime(2026, 1, 1, tzinfo=UTC)
