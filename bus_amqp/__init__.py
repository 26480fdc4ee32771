"""An event bus for cloud control planes, over RabbitMQ.  The front door: everything public is here."""

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
    InvalidArgumentError,
    NotFoundOnBrokerError,
    OutboxDamagedError,
    OutboxFullError,
    OutboxStorageError,
    RoutingKeyTooLongError,
    SettingsError,
    TopologyMismatchError,
    TransportError,
    UndecodableError,
    UndeliveredError,
    UnknownSubscriptionError,
    UnroutableError,
)
from bus_amqp.event import Event, EventCategory
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
from bus_amqp.retry import Discard
from bus_amqp.settings import Settings, load_settings
from bus_amqp.subscriber import EventSubscriber, Subscribers
from bus_amqp.topic import EventTopic

__version__ = "0.1.0"

__all__ = [
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
    "ForkedProcessError",
    "Gap",
    "GroupConflictError",
    "Health",
    "InvalidArgumentError",
    "NotFoundOnBrokerError",
    "OutboxDamagedError",
    "OutboxFullError",
    "OutboxHealth",
    "OutboxStorageError",
    "PublisherHealth",
    "Receipt",
    "ReceiptState",
    "RoutingKeyTooLongError",
    "Settings",
    "SettingsError",
    "Stats",
    "Subscribers",
    "SubscriptionHealth",
    "SubscriptionStats",
    "TopologyMismatchError",
    "TransportError",
    "UndecodableError",
    "UndeliveredError",
    "UnknownSubscriptionError",
    "UnroutableError",
    "connect",
    "load_settings",
]
