"""What can happen in the simulated cloud: state machines, operations, alerts.  Data; the names are Apache CloudStack's.

Left out of the real machines: states that an operator of the demo would never see (uploads, storage migrations).
"""

from __future__ import annotations

from dataclasses import dataclass

# resource type -> (state, event of the machine) -> next state
MACHINES: dict[str, dict[tuple[str, str], str]] = {
    "VirtualMachine": {
        ("Stopped", "StartRequested"): "Starting",
        ("Starting", "OperationSucceeded"): "Running",
        ("Starting", "OperationFailed"): "Stopped",
        ("Running", "StopRequested"): "Stopping",
        ("Stopping", "OperationSucceeded"): "Stopped",
        ("Stopping", "OperationFailed"): "Running",
        ("Running", "MigrationRequested"): "Migrating",
        ("Migrating", "OperationSucceeded"): "Running",
        ("Migrating", "OperationFailed"): "Running",
        ("Running", "FollowAgentPowerOffReport"): "Stopped",
        ("Stopped", "DestroyRequested"): "Destroyed",
        ("Destroyed", "RecoveryRequested"): "Stopped",
        ("Destroyed", "ExpungeOperation"): "Expunging",
        ("Expunging", "OperationSucceeded"): "Expunging",
    },
    "Volume": {
        ("Allocated", "CreateRequested"): "Creating",
        ("Creating", "OperationSucceeded"): "Ready",
        ("Creating", "OperationFailed"): "Allocated",
        ("Ready", "AttachRequested"): "Attaching",
        ("Attaching", "OperationSucceeded"): "Ready",
        ("Attaching", "OperationFailed"): "Ready",
        ("Ready", "ResizeRequested"): "Resizing",
        ("Resizing", "OperationSucceeded"): "Ready",
        ("Resizing", "OperationFailed"): "Ready",
        ("Ready", "DestroyRequested"): "Destroy",
        ("Destroy", "ExpungingRequested"): "Expunging",
        ("Expunging", "OperationSucceeded"): "Expunged",
    },
    "Network": {
        ("Allocated", "ImplementNetwork"): "Implementing",
        ("Implementing", "OperationSucceeded"): "Implemented",
        ("Implementing", "OperationFailed"): "Shutdown",
        ("Shutdown", "OperationSucceeded"): "Allocated",
        ("Implemented", "DestroyNetwork"): "Shutdown",
        ("Allocated", "DestroyNetwork"): "Destroy",
    },
    "Snapshot": {
        ("Allocated", "CreateRequested"): "Creating",
        ("Creating", "OperationSucceeded"): "CreatedOnPrimary",
        ("Creating", "OperationFailed"): "Error",
        ("CreatedOnPrimary", "BackupToSecondary"): "BackingUp",
        ("BackingUp", "OperationSucceeded"): "BackedUp",
        ("BackedUp", "DestroyRequested"): "Destroying",
        ("Destroying", "OperationSucceeded"): "Destroyed",
    },
}
FIRST_STATE = {"VirtualMachine": "Stopped", "Volume": "Allocated", "Network": "Allocated", "Snapshot": "Allocated"}
FINAL_STATES = frozenset({"Expunging", "Expunged", "Destroy", "Destroyed", "Error"})


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a tenant asks for, or (no command) something that happens to a resource by itself.

    It begins in ``state`` and takes the machine's ``steps``; with ``can_fail`` the last one may be OperationFailed.
    ``usage`` is reported when it has succeeded.
    """

    resource: str
    action: str
    command: str
    state: str
    steps: tuple[str, ...]
    weight: int
    usage: tuple[str, ...]
    is_new: bool
    can_fail: bool
    alert: str


def _operation(
    resource: str, action: str, command: str, state: str, steps: str, weight: int, *usage: str,
    is_new: bool = False, can_fail: bool = False, alert: str = "",
) -> Operation:  # fmt: skip
    # "ok" is short for OperationSucceeded, which would make the table too wide to read.
    names = tuple("OperationSucceeded" if step == "ok" else step for step in steps.split())
    return Operation(resource, action, command, state, names, weight, usage, is_new, can_fail, alert)


_VM = "VirtualMachine"
OPERATIONS: tuple[Operation, ...] = (
    _operation(_VM, "VM.CREATE", "deployVirtualMachine", "Stopped", "StartRequested ok", 14, "VM.CREATE", "VM.START",
               is_new=True),
    _operation(_VM, "VM.START", "startVirtualMachine", "Stopped", "StartRequested ok", 14, "VM.START", can_fail=True),
    _operation(_VM, "VM.STOP", "stopVirtualMachine", "Running", "StopRequested ok", 18, "VM.STOP", can_fail=True),
    _operation(_VM, "VM.REBOOT", "rebootVirtualMachine", "Running", "", 4),
    _operation(_VM, "VM.MIGRATE", "migrateVirtualMachine", "Running", "MigrationRequested ok", 5, can_fail=True),
    _operation(_VM, "VM.DESTROY", "destroyVirtualMachine", "Stopped", "DestroyRequested", 9, "VM.DESTROY"),
    _operation(_VM, "VM.RECOVER", "recoverVirtualMachine", "Destroyed", "RecoveryRequested", 1),
    _operation(_VM, "VM.EXPUNGE", "expungeVirtualMachine", "Destroyed", "ExpungeOperation ok", 8),
    _operation(_VM, "VM.STOP", "", "Running", "FollowAgentPowerOffReport", 1, "VM.STOP", alert="ALERT.USERVM"),
    _operation("Volume", "VOLUME.CREATE", "createVolume", "Allocated", "CreateRequested ok", 8, "VOLUME.CREATE",
               is_new=True),
    _operation("Volume", "VOLUME.ATTACH", "attachVolume", "Ready", "AttachRequested ok", 5, can_fail=True),
    _operation("Volume", "VOLUME.RESIZE", "resizeVolume", "Ready", "ResizeRequested ok", 2, can_fail=True),
    _operation("Volume", "VOLUME.DELETE", "deleteVolume", "Ready", "DestroyRequested ExpungingRequested ok", 6,
               "VOLUME.DELETE"),
    _operation("Network", "NETWORK.CREATE", "createNetwork", "Allocated", "ImplementNetwork ok", 3, is_new=True),
    _operation("Network", "NETWORK.RESTART", "restartNetwork", "Implemented",
               "DestroyNetwork ok ImplementNetwork ok", 2),
    _operation("Network", "NETWORK.DELETE", "deleteNetwork", "Implemented", "DestroyNetwork ok DestroyNetwork", 2),
    _operation("Snapshot", "SNAPSHOT.CREATE", "createSnapshot", "Allocated", "CreateRequested ok BackupToSecondary ok",
               6, "SNAPSHOT.CREATE", is_new=True),
    _operation("Snapshot", "SNAPSHOT.DELETE", "deleteSnapshot", "BackedUp", "DestroyRequested ok", 5,
               "SNAPSHOT.DELETE"),
)  # fmt: skip

ALERTS: tuple[tuple[str, str], ...] = (
    ("ALERT.MEMORY", "System Alert: Low Available Memory in cluster {cluster}"),
    ("ALERT.CPU", "System Alert: Low Unallocated CPU in cluster {cluster}"),
    ("ALERT.STORAGE", "System Alert: Low Available Storage in cluster {cluster}"),
    ("ALERT.STORAGE.ALLOCATED", "System Alert: Remaining unallocated Storage is low in cluster {cluster}"),
    ("ALERT.NETWORK.PUBLICIP", "System Alert: Number of unallocated public IPs is low in zone-1"),
    ("ALERT.COMPUTE.HOST", "Host is down, name: host-{cluster}"),
    ("ALERT.HA.ACTION", "HA starting action for host-{cluster}"),
    ("ALERT.USAGE.SANITY", "Usage Sanity Check failed"),
    ("ALERT.CA.CERT", "Certificate of host-{cluster} expires in 30 days"),
)
