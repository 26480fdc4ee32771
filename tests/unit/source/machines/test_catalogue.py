"""``bus_amqp.source.machines``: the ready-made machines have the names of the field and hang together."""

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.machines.catalogue import MACHINES, machine_of
from bus_amqp.source.machines.host import HOST
from bus_amqp.source.machines.nic import NIC
from bus_amqp.source.machines.virtual_machine import VIRTUAL_MACHINE

# Apache CloudStack's, from its VirtualMachine.java, Volume.java, Network.java and Snapshot.java.
CLOUDSTACK = {
    "VirtualMachine": (
        "Starting Running Stopping Stopped Destroyed Expunging Migrating Error Unknown Shutdown",
        "CreateRequested StartRequested StopRequested DestroyRequested RecoveryRequested AgentReportStopped "
        "AgentReportRunning MigrationRequested StorageMigrationRequested ExpungeOperation OperationSucceeded "
        "OperationFailed OperationFailedToError OperationRetry AgentReportShutdowned AgentReportMigrated "
        "RevertRequested SnapshotRequested FollowAgentPowerOnReport FollowAgentPowerOffReport",
    ),
    "Volume": (
        "Allocated Creating Ready Migrating Snapshotting RevertSnapshotting Resizing Expunging Expunged Destroy "
        "Destroying UploadOp Copying Uploaded NotUploaded UploadInProgress UploadError UploadAbandoned Attaching",
        "CreateRequested CopyRequested CopySucceeded CopyFailed OperationFailed OperationSucceeded OperationRetry "
        "UploadRequested MigrationRequested MigrationCopyRequested MigrationCopySucceeded MigrationCopyFailed "
        "SnapshotRequested RevertSnapshotRequested DestroyRequested RecoverRequested ExpungingRequested "
        "ResizeRequested AttachRequested OperationTimeout OperationRetryFromError",
    ),
    "Network": (
        "Allocated Setup Implementing Implemented Shutdown Destroy",
        "ImplementNetwork DestroyNetwork OperationSucceeded OperationFailed",
    ),
    "Snapshot": (
        "Allocated Creating CreatedOnPrimary BackingUp BackedUp Copying Destroying Destroyed Error",
        "CreateRequested OperationNotPerformed BackupToSecondary BackedupToSecondary DestroyRequested "
        "CopyingRequested OperationSucceeded OperationFailed",
    ),
}


@pytest.mark.parametrize("name", CLOUDSTACK)
def test_a_machine_of_cloudstack_has_all_its_states_and_events_and_no_others(name: str) -> None:
    """A state that the table does not know would stop a resource that the original lets pass."""
    states, events = CLOUDSTACK[name]

    assert set(machine_of(name).table.states) == set(states.split())
    assert set(machine_of(name).table.events) == set(events.split())


def test_the_resources_that_the_design_document_misses_have_a_machine() -> None:
    """Volume, network, nic, "etc": virtual or physical."""
    assert list(MACHINES) == ["VirtualMachine", "Volume", "Network", "Snapshot", "Nic", "Host"]
    assert {name: machine.name for name, machine in MACHINES.items()} == {name: name for name in MACHINES}


@pytest.mark.parametrize("name", MACHINES)
def test_every_resource_can_come_to_its_end(name: str) -> None:
    """A state from which no way leads to an end is a resource that nobody can get rid of."""
    table = MACHINES[name].table
    ends = {"Expunging", "Expunged", "Destroy", "Destroyed", "Removed"}
    saved = ends & set(table.states)
    while new := {line.state for line in table.transitions if line.new_state in saved and line.state} - saved:
        saved |= new

    assert set(table.states) - saved == set()


@pytest.mark.parametrize(
    ("machine", "steps"),
    [
        (VIRTUAL_MACHINE, "CreateRequested Stopped StartRequested Starting OperationSucceeded Running StopRequested "
                          "Stopping OperationFailed Running FollowAgentPowerOffReport Stopped DestroyRequested "
                          "Destroyed RecoveryRequested Stopped ExpungeOperation Expunging"),
        (NIC, "CreateRequested Allocated ReservationRequested Reserving OperationSucceeded Reserved PlugRequested "
              "Plugging OperationSucceeded Plugged UnplugRequested Unplugging OperationSucceeded Reserved "
              "ReleaseRequested Releasing OperationSucceeded Allocated RemoveRequested Removed"),
        (HOST, "AddRequested Connecting AgentConnected Up PingTimeout Alert HostDown Down AgentConnected Up "
               "MaintenanceRequested PreparingForMaintenance OperationSucceeded Maintenance MaintenanceCancelled "
               "Connecting AgentConnected Up AgentDisconnected Disconnected RemoveRequested Removed"),
    ],
)  # fmt: skip
def test_a_life_runs_as_one_would_expect(machine: object, steps: str) -> None:
    """The usual way from the beginning to the end is in the table."""
    assert machine in MACHINES.values()
    table = machine.table  # type: ignore[attr-defined]  # a StateMachine, as the line above says
    state, words = None, steps.split()

    for event, expected in zip(words[::2], words[1::2], strict=True):
        state = table.target(state, event)
        assert state == expected


@pytest.mark.parametrize(
    ("name", "hint"), [("Volumes", "did you mean Volume"), ("Cat", "there are VirtualMachine, .*Host"), (None, "None")]
)
def test_an_unknown_machine_is_refused_with_those_there_are(name: str, hint: str) -> None:
    """The issue's bad input: a name with a typing error."""
    with pytest.raises(InvalidArgumentError, match=hint):
        machine_of(name)
