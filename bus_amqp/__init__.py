"""An event bus for cloud control planes, over RabbitMQ.  The front door: everything public is here.

Each name is loaded from the file that defines it when it is first asked for: who imports the package, and the
shortcut of `bus-amqp publish --spool` before all, waits for nothing that it does not use (pydantic alone: 60 ms).
"""

TYPE_CHECKING = False  # for type checkers true, as typing's own; that would have to be imported
if TYPE_CHECKING:
    from bus_amqp.bus import EventBus
    from bus_amqp.engine.connect import connect
    from bus_amqp.errors import (
        AccessRefusedError,
        BrokerRefusedError,
        BusClosedError,
        ChannelLostError,
        ConnectionLostError,
        DeadlineExceededError,
        EventBusException,
        EventExpiredError,
        EventTooLargeError,
        ForkedProcessError,
        GroupConflictError,
        IllegalTransitionError,
        InvalidArgumentError,
        NotFoundOnBrokerError,
        OutboxDamagedError,
        OutboxFullError,
        OutboxStorageError,
        RoutingKeyTooLongError,
        SettingsError,
        TopologyMismatchError,
        TransitionConflictError,
        TransportError,
        UndecodableError,
        UndeliveredError,
        UnknownSubscriptionError,
        UnroutableError,
    )
    from bus_amqp.event import Event, EventCategory
    from bus_amqp.foreign import ForeignMessage, ForeignSource
    from bus_amqp.health import (
        BusState,
        Gap,
        Health,
        OutboxHealth,
        PublisherHealth,
        Stats,
        SubscriptionHealth,
        SubscriptionStats,
    )
    from bus_amqp.receipt import Receipt, ReceiptState
    from bus_amqp.retry import DEFAULT_RETRY, GROUP_RETRY, NO_RETRY, TEMPORARY_RETRY, Discard, RetryLater, RetryPolicy
    from bus_amqp.settings import Settings, load_settings
    from bus_amqp.subscriber import EventSubscriber, Subscribers
    from bus_amqp.topic import EventTopic

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_RETRY",
    "GROUP_RETRY",
    "NO_RETRY",
    "TEMPORARY_RETRY",
    "AccessRefusedError",
    "BrokerRefusedError",
    "BusClosedError",
    "BusState",
    "ChannelLostError",
    "ConnectionLostError",
    "DeadlineExceededError",
    "Discard",
    "Event",
    "EventBus",
    "EventBusException",
    "EventCategory",
    "EventExpiredError",
    "EventSubscriber",
    "EventTooLargeError",
    "EventTopic",
    "ForeignMessage",
    "ForeignSource",
    "ForkedProcessError",
    "Gap",
    "GroupConflictError",
    "Health",
    "IllegalTransitionError",
    "InvalidArgumentError",
    "NotFoundOnBrokerError",
    "OutboxDamagedError",
    "OutboxFullError",
    "OutboxHealth",
    "OutboxStorageError",
    "PublisherHealth",
    "Receipt",
    "ReceiptState",
    "RetryLater",
    "RetryPolicy",
    "RoutingKeyTooLongError",
    "Settings",
    "SettingsError",
    "Stats",
    "Subscribers",
    "SubscriptionHealth",
    "SubscriptionStats",
    "TopologyMismatchError",
    "TransitionConflictError",
    "TransportError",
    "UndecodableError",
    "UndeliveredError",
    "UnknownSubscriptionError",
    "UnroutableError",
    "connect",
    "load_settings",
]

_NAMES_OF = {
    "bus_amqp.bus": "EventBus",
    "bus_amqp.engine.connect": "connect",
    "bus_amqp.errors": (
        "AccessRefusedError BrokerRefusedError BusClosedError ChannelLostError ConnectionLostError "
        "DeadlineExceededError EventBusException EventExpiredError EventTooLargeError ForkedProcessError "
        "GroupConflictError IllegalTransitionError InvalidArgumentError NotFoundOnBrokerError "
        "OutboxDamagedError OutboxFullError OutboxStorageError RoutingKeyTooLongError SettingsError "
        "TopologyMismatchError TransitionConflictError TransportError UndecodableError UndeliveredError "
        "UnknownSubscriptionError UnroutableError"
    ),
    "bus_amqp.event": "Event EventCategory",
    "bus_amqp.foreign": "ForeignMessage ForeignSource",
    "bus_amqp.health": "BusState Gap Health OutboxHealth PublisherHealth Stats SubscriptionHealth SubscriptionStats",
    "bus_amqp.receipt": "Receipt ReceiptState",
    "bus_amqp.retry": "DEFAULT_RETRY GROUP_RETRY NO_RETRY TEMPORARY_RETRY Discard RetryLater RetryPolicy",
    "bus_amqp.settings": "Settings load_settings",
    "bus_amqp.subscriber": "EventSubscriber Subscribers",
    "bus_amqp.topic": "EventTopic",
}
_HOME_OF = {name: module for module, names in _NAMES_OF.items() for name in names.split()}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for one of ours

    def __getattr__(name: str) -> object:
        """Load a name (PEP 562).  Any thread: two that ask at once load one module once, and bind one object twice."""
        from importlib import import_module

        if f"bus_amqp.{name}" in _NAMES_OF:  # `import bus_amqp` has always brought these files with it
            return import_module(f"bus_amqp.{name}")
        if name not in _HOME_OF:
            import sys

            raise AttributeError(
                f"module 'bus_amqp' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
            )  # Python's own "Did you mean" asks __dir__ of that object
        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value
