"""The life of a physical host: connected, lost, in maintenance, taken out.  Ours, with the words of CloudStack."""

from bus_amqp.source.state_machine import StateMachine

HOST = StateMachine(
    "Host",
    [
        (None, "AddRequested", "Connecting"),
        ("Connecting", "AgentConnected", "Up"),
        ("Connecting", "AgentDisconnected", "Disconnected"),
        ("Up", "Ping", "Up"),
        ("Up", "PingTimeout", "Alert"),  # it may be dead, or only the way to it
        ("Up", "AgentDisconnected", "Disconnected"),
        ("Up", "MaintenanceRequested", "PreparingForMaintenance"),
        ("Alert", "Ping", "Up"),
        ("Alert", "AgentConnected", "Up"),
        ("Alert", "HostDown", "Down"),  # somebody has made sure: its machines may be started elsewhere
        ("Alert", "RemoveRequested", "Removed"),
        ("Disconnected", "AgentConnected", "Up"),
        ("Disconnected", "PingTimeout", "Alert"),
        ("Disconnected", "HostDown", "Down"),
        ("Disconnected", "RemoveRequested", "Removed"),
        ("Down", "AgentConnected", "Up"),
        ("Down", "RemoveRequested", "Removed"),
        ("PreparingForMaintenance", "OperationSucceeded", "Maintenance"),
        ("PreparingForMaintenance", "OperationFailed", "ErrorInMaintenance"),
        ("PreparingForMaintenance", "MaintenanceCancelled", "Up"),
        ("PreparingForMaintenance", "HostDown", "Down"),
        ("ErrorInMaintenance", "MaintenanceRequested", "PreparingForMaintenance"),
        ("ErrorInMaintenance", "MaintenanceCancelled", "Up"),
        ("Maintenance", "MaintenanceCancelled", "Connecting"),
        ("Maintenance", "RemoveRequested", "Removed"),
    ],
    initial="Connecting",
)
