"""The life of a snapshot: taken on primary storage, backed up to secondary, copied, deleted."""

from bus_amqp.source.state_machine import StateMachine

SNAPSHOT = StateMachine(
    "Snapshot",
    [
        ("Allocated", "CreateRequested", "Creating"),
        ("Creating", "OperationSucceeded", "CreatedOnPrimary"),
        ("Creating", "OperationNotPerformed", "BackedUp"),  # nothing has changed since the last one
        ("Creating", "OperationFailed", "Error"),
        ("CreatedOnPrimary", "BackupToSecondary", "BackingUp"),
        ("CreatedOnPrimary", "OperationNotPerformed", "BackedUp"),
        ("CreatedOnPrimary", "DestroyRequested", "Destroying"),
        ("BackingUp", "BackedupToSecondary", "BackedUp"),
        ("BackingUp", "OperationSucceeded", "BackedUp"),
        ("BackingUp", "OperationFailed", "CreatedOnPrimary"),
        ("BackedUp", "CopyingRequested", "Copying"),
        ("BackedUp", "DestroyRequested", "Destroying"),
        ("Copying", "OperationSucceeded", "BackedUp"),
        ("Copying", "OperationFailed", "BackedUp"),
        ("Destroying", "OperationSucceeded", "Destroyed"),
        ("Destroying", "OperationFailed", "BackedUp"),
        ("Error", "DestroyRequested", "Destroying"),
    ],
    initial="Allocated",
)
