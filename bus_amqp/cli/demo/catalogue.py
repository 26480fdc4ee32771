"""What can happen in the simulated cloud: operations, alerts, measurements.  Data; the names are Apache CloudStack's.

How a resource changes its state is not here: the ready-made machines of ``bus_amqp.source`` know.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus_amqp.source.alert_type import AlertType
from bus_amqp.source.event_type import EventType
from bus_amqp.source.threshold import ThresholdPolicy


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a tenant asks for, or (no command) something that happens to a resource by itself.

    It begins in ``state`` (None: what does not exist yet) and takes the machine's ``steps``; with ``can_fail`` the last
    one may be OperationFailed.
    """

    resource: str
    action: str
    command: str
    state: str | None
    steps: tuple[str, ...]
    weight: int
    is_new: bool
    can_fail: bool


def _operation(
    resource: str, action: str, command: str, state: str | None, steps: str, weight: int,
    *, is_new: bool = False, can_fail: bool = False,
) -> Operation:  # fmt: skip
    # "ok" is short for OperationSucceeded, which would make the table too wide to read.
    names = tuple("OperationSucceeded" if step == "ok" else step for step in steps.split())
    return Operation(resource, action, command, state, names, weight, is_new, can_fail)


_VM, _VOLUME, _NETWORK, _SNAPSHOT = "VirtualMachine", "Volume", "Network", "Snapshot"
OPERATIONS: tuple[Operation, ...] = (
    _operation(_VM, EventType.VM_CREATE, "deployVirtualMachine", None, "CreateRequested StartRequested ok", 14,
               is_new=True),
    _operation(_VM, EventType.VM_START, "startVirtualMachine", "Stopped", "StartRequested ok", 14, can_fail=True),
    _operation(_VM, EventType.VM_STOP, "stopVirtualMachine", "Running", "StopRequested ok", 18, can_fail=True),
    _operation(_VM, EventType.VM_REBOOT, "rebootVirtualMachine", "Running", "", 4),
    _operation(_VM, EventType.VM_MIGRATE, "migrateVirtualMachine", "Running", "MigrationRequested ok", 5,
               can_fail=True),
    _operation(_VM, EventType.VM_DESTROY, "destroyVirtualMachine", "Stopped", "DestroyRequested", 9),
    _operation(_VM, EventType.VM_RECOVER, "recoverVirtualMachine", "Destroyed", "RecoveryRequested", 1),
    _operation(_VM, EventType.VM_EXPUNGE, "expungeVirtualMachine", "Destroyed", "ExpungeOperation ok", 8),
    _operation(_VM, AlertType.USERVM, "", "Running", "FollowAgentPowerOffReport", 1),
    _operation(_VOLUME, EventType.VOLUME_CREATE, "createVolume", "Allocated", "CreateRequested ok", 8, is_new=True),
    _operation(_VOLUME, EventType.VOLUME_ATTACH, "attachVolume", "Ready", "AttachRequested ok", 5, can_fail=True),
    _operation(_VOLUME, EventType.VOLUME_RESIZE, "resizeVolume", "Ready", "ResizeRequested ok", 2, can_fail=True),
    _operation(_VOLUME, EventType.VOLUME_DELETE, "deleteVolume", "Ready", "DestroyRequested ExpungingRequested ok", 6),
    _operation(_NETWORK, EventType.NETWORK_CREATE, "createNetwork", "Allocated", "ImplementNetwork ok", 3,
               is_new=True),
    _operation(_NETWORK, EventType.NETWORK_RESTART, "restartNetwork", "Implemented",
               "DestroyNetwork ok ImplementNetwork ok", 2),
    _operation(_NETWORK, EventType.NETWORK_DELETE, "deleteNetwork", "Implemented",
               "DestroyNetwork ok DestroyNetwork", 2),
    _operation(_SNAPSHOT, EventType.SNAPSHOT_CREATE, "createSnapshot", "Allocated",
               "CreateRequested ok BackupToSecondary ok", 6, is_new=True),
    _operation(_SNAPSHOT, EventType.SNAPSHOT_DELETE, "deleteSnapshot", "BackedUp", "DestroyRequested ok", 5),
)  # fmt: skip

CLUSTERS = tuple(f"cluster-{number}" for number in range(1, 10))
# Of a host, raised by whoever notices; the same one again is folded.
ALERTS: tuple[tuple[str, str], ...] = (
    (AlertType.COMPUTE_HOST, "Host is down"),
    (AlertType.HA_ACTION, "HA starting action"),
    (AlertType.CA_CERT, "Certificate expires in 30 days"),
)
# Raised and cleared by measurements of a cluster, as a share of what it has.
POLICIES = tuple(
    ThresholdPolicy(
        alert_type=alert_type,
        subject=f"System Alert: {what} of {{resource}} is at {{value:.0%}}",
        resource_type="Cluster",
        raise_above=0.85,
        clear_below=0.75,
        for_samples=2,
    )
    for alert_type, what in (
        (AlertType.MEMORY, "memory"),
        (AlertType.CPU, "CPU"),
        (AlertType.STORAGE, "storage"),
    )
)
