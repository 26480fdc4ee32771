"""The life of a network: implemented when somebody needs it, shut down when nobody does."""

from bus_amqp.source.state_machine import StateMachine

NETWORK = StateMachine(
    "Network",
    [
        ("Allocated", "ImplementNetwork", "Implementing"),
        ("Allocated", "DestroyNetwork", "Destroy"),
        ("Implementing", "OperationSucceeded", "Implemented"),
        ("Implementing", "OperationFailed", "Shutdown"),
        ("Implemented", "DestroyNetwork", "Shutdown"),
        ("Shutdown", "OperationSucceeded", "Allocated"),
        ("Shutdown", "OperationFailed", "Shutdown"),
        ("Shutdown", "DestroyNetwork", "Shutdown"),  # again, after it has failed
        ("Setup", "DestroyNetwork", "Destroy"),
    ],
    initial="Allocated",
    entries=["Setup"],  # nothing to implement: it was set up by hand
)
