"""``bus_amqp.source.usage_meter``: which changes of state begin and end usage, and which do not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.usage_meter import DEFAULT_RULES, Meter, Moment, checked_rules, usage_types

METERS = [rule for rule in DEFAULT_RULES if isinstance(rule, Meter)]


def told(resource_type: str, event: str, old: str | None, new: str) -> tuple[str, ...]:
    return usage_types(DEFAULT_RULES, resource_type, event, old, new)


@pytest.mark.parametrize(
    ("resource_type", "change", "expected"),
    [
        ("VirtualMachine", (None, "CreateRequested", "Stopped"), ("VM.CREATE",)),
        ("VirtualMachine", ("Stopped", "StartRequested", "Starting"), ()),
        ("VirtualMachine", ("Starting", "OperationSucceeded", "Running"), ("VM.START",)),
        ("VirtualMachine", ("Running", "AgentReportRunning", "Running"), ()),
        ("VirtualMachine", ("Running", "StopRequested", "Stopping"), ()),
        ("VirtualMachine", ("Stopping", "OperationFailed", "Running"), ()),  # it was never off
        ("VirtualMachine", ("Stopping", "OperationSucceeded", "Stopped"), ("VM.STOP",)),
        ("VirtualMachine", ("Running", "MigrationRequested", "Migrating"), ()),
        ("VirtualMachine", ("Migrating", "OperationSucceeded", "Running"), ()),
        ("VirtualMachine", ("Running", "FollowAgentPowerOffReport", "Stopped"), ("VM.STOP",)),
        ("VirtualMachine", ("Running", "AgentReportShutdowned", "Shutdown"), ("VM.STOP",)),
        ("VirtualMachine", ("Stopped", "StorageMigrationRequested", "Migrating"), ()),
        ("VirtualMachine", ("Unknown", "AgentReportStopped", "Stopped"), ("VM.STOP",)),
        ("VirtualMachine", ("Unknown", "AgentReportRunning", "Running"), ("VM.START",)),
        ("VirtualMachine", ("Stopped", "DestroyRequested", "Destroyed"), ("VM.DESTROY",)),
        ("VirtualMachine", ("Destroyed", "ExpungeOperation", "Expunging"), ()),
        ("VirtualMachine", ("Destroyed", "RecoveryRequested", "Stopped"), ("VM.CREATE",)),
        ("VirtualMachine", ("Starting", "OperationFailedToError", "Error"), ("VM.DESTROY",)),
        ("Volume", ("Allocated", "CreateRequested", "Creating"), ()),
        ("Volume", ("Creating", "OperationSucceeded", "Ready"), ("VOLUME.CREATE",)),
        ("Volume", ("Copying", "CopySucceeded", "Ready"), ("VOLUME.CREATE",)),
        ("Volume", ("Attaching", "OperationSucceeded", "Ready"), ()),
        ("Volume", ("Resizing", "OperationSucceeded", "Ready"), ("VOLUME.RESIZE",)),
        ("Volume", ("Resizing", "OperationFailed", "Ready"), ()),
        ("Volume", ("Ready", "DestroyRequested", "Destroy"), ("VOLUME.DELETE",)),
        ("Volume", ("Destroy", "ExpungingRequested", "Expunging"), ()),
        ("Volume", ("Expunging", "OperationSucceeded", "Expunged"), ()),  # told at Destroy, once
        ("Snapshot", ("Creating", "OperationSucceeded", "CreatedOnPrimary"), ("SNAPSHOT.CREATE",)),
        ("Snapshot", ("BackingUp", "OperationSucceeded", "BackedUp"), ()),
        ("Snapshot", ("BackedUp", "DestroyRequested", "Destroying"), ("SNAPSHOT.DELETE",)),
        ("Snapshot", ("Destroying", "OperationFailed", "BackedUp"), ("SNAPSHOT.CREATE",)),
        ("Snapshot", ("Error", "DestroyRequested", "Destroying"), ()),
        ("Network", ("Implementing", "OperationSucceeded", "Implemented"), ("NETWORK.CREATE",)),
        ("Network", ("Implemented", "DestroyNetwork", "Shutdown"), ("NETWORK.DELETE",)),
        ("Host", ("Connecting", "AgentConnected", "Up"), ()),
    ],
)
def test_a_change_tells_what_it_means_for_billing(
    resource_type: str, change: tuple[str | None, str, str], expected: tuple[str, ...]
) -> None:
    """A start that is missing is money, one too many is a customer."""
    old, event, new = change

    assert told(resource_type, event, old, new) == expected
    if resource_type != "Host":
        assert MACHINES[resource_type].table.target(old, event) == new


@given(st.sampled_from(METERS), st.data())
def test_over_any_life_beginnings_and_ends_take_turns(meter: Meter, data: st.DataObject) -> None:
    """Whatever path a resource takes, its meter is never begun twice in a row, nor ended before it was begun.

    But for two surplus ends that every ledger must bear: of a machine that nobody knew, and one whose storage moved.
    """
    table = MACHINES[meter.resource_type].table
    state: str | None = data.draw(st.sampled_from([table.initial, *table.entries]))
    is_running = state in meter.states
    for _ in range(data.draw(st.integers(0, 25))):
        lines = [line for line in table.transitions if line.state == state]
        if not lines:
            break
        line = data.draw(st.sampled_from(lines))
        said = meter.told(line.event, line.state, line.new_state)

        if said == meter.begins:
            assert not is_running or line.state in meter.uncertain
            is_running = True
        elif said == meter.ends:
            assert is_running or line.state in meter.uncertain or line.state == "Migrating"
            is_running = False
        elif line.state not in meter.uncertain and "Migrating" not in line:
            assert is_running == (line.new_state in meter.states)
        if line.new_state == "Running" and line.state == "Migrating":
            is_running = True  # by OperationFailed of a storage migration: the machine's own table says that it runs
        state = line.new_state


def test_the_states_of_every_rule_are_those_of_its_machine() -> None:
    """A state with a typing error is usage that is never told."""
    for rule in DEFAULT_RULES:
        table = MACHINES[rule.resource_type].table
        if isinstance(rule, Meter):
            named = {*rule.states, *rule.uncertain, *(state for pair in rule.ignored for state in pair)}
            usage = {rule.begins, rule.ends}
        else:
            named, usage = {rule.old_state, rule.new_state}, {rule.usage_type}
            assert table.target(rule.old_state, rule.event) == rule.new_state
        assert named <= set(table.states)
        assert all(usage_type in known_event_types() for usage_type in usage)


def test_a_rule_of_one_s_own_is_added() -> None:
    """A plug-in's resources are billed for one line."""
    rules = checked_rules((*DEFAULT_RULES, Meter("Bucket", frozenset({"Ready"}), "BUCKET.CREATE", "BUCKET.DELETE")))

    assert usage_types(rules, "Bucket", "Made", None, "Ready") == ("BUCKET.CREATE",)
    assert usage_types(rules, "Volume", "OperationSucceeded", "Creating", "Ready") == ("VOLUME.CREATE",)


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ([], "without a rule"),
        (["VM.START"], "no rule of usage"),
        ([Meter("Bucket", frozenset(), "BUCKET.CREATE", "BUCKET.DELETE")], "BUCKET.CREATE has no state"),
    ],
)
def test_rules_that_tell_nothing_are_refused(rules: list[Meter | Moment], fault: str) -> None:
    """Found at the start, and not at the end of the month."""
    with pytest.raises(InvalidArgumentError, match=re.escape(fault)):
        checked_rules(rules)


def test_states_are_several_and_not_one_text() -> None:
    """Whether a state is in a text is another question, which mostly has the wrong answer, and bills by it."""
    meter = Meter("Backup", "Done", "BACKUP.CREATE", "BACKUP.DELETE")  # type: ignore[arg-type]  # on purpose

    with pytest.raises(InvalidArgumentError, match=r"BACKUP\.CREATE.*\{'Done'\}"):
        checked_rules([meter])
