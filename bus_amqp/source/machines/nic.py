"""The life of a network interface of a virtual machine.  Ours: CloudStack's has states and no machine."""

from bus_amqp.source.state_machine import StateMachine

NIC = StateMachine(
    "Nic",
    [
        (None, "CreateRequested", "Allocated"),
        ("Allocated", "ReservationRequested", "Reserving"),  # an address, a VLAN: what it needs to be plugged in
        ("Allocated", "RemoveRequested", "Removed"),
        ("Reserving", "OperationSucceeded", "Reserved"),
        ("Reserving", "OperationFailed", "Allocated"),
        ("Reserved", "PlugRequested", "Plugging"),
        ("Reserved", "ReleaseRequested", "Releasing"),
        ("Plugging", "OperationSucceeded", "Plugged"),
        ("Plugging", "OperationFailed", "Reserved"),
        ("Plugged", "AgentReportPlugged", "Plugged"),
        ("Plugged", "AgentReportUnplugged", "Reserved"),
        ("Plugged", "UnplugRequested", "Unplugging"),
        ("Unplugging", "OperationSucceeded", "Reserved"),
        ("Unplugging", "OperationFailed", "Plugged"),
        ("Releasing", "OperationSucceeded", "Allocated"),
        ("Releasing", "OperationFailed", "Reserved"),
    ],
    initial="Allocated",
)
