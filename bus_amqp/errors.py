"""Every error of the bus, in one tree under ``EventBusException``.

Each class says whose move it is.  ``is_transient`` tells a caller whether the same
call may succeed later without anybody changing anything.  Foreign exceptions (kombu,
py-amqp, sockets) are translated at the transport and never reach a caller.
"""


class EventBusException(Exception):  # noqa: N818 -- the design document's own name
    """Any error of the bus."""

    is_transient = False


class SettingsError(EventBusException, ValueError):
    """A url or a setting is missing, unknown or out of range.  The operator's move."""


class InvalidArgumentError(EventBusException, ValueError, TypeError):
    """A call was given something that it cannot take.  The programmer's move."""


class RoutingKeyTooLongError(InvalidArgumentError):
    """The five words of an event do not fit AMQP's 255 bytes.  The message names the field to shorten."""


class EventTooLargeError(InvalidArgumentError):
    """The encoded event is larger than ``max_event_bytes``."""


class GroupConflictError(InvalidArgumentError):
    """Two subscriptions of one process name the same group with different topics or options."""


class UnknownSubscriptionError(InvalidArgumentError):
    """No subscription of this bus has that id (or it belongs to another subscriber)."""


class IllegalTransitionError(EventBusException):
    """A state machine does not know this event in this state; ``allowed`` are the events that it knows there.

    Nothing was stored, and no listener was told.
    """

    def __init__(self, message: str, *, machine: str, state: str | None, event: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.machine = machine
        self.state = state
        self.event = event
        self.allowed = allowed


class TransitionConflictError(EventBusException):
    """The storage did not take a transition: somebody else has changed the state meanwhile.  Read it again."""

    is_transient = True


class BusClosedError(EventBusException):
    """The bus was closed; nothing can be done with it any more."""


class ForkedProcessError(BusClosedError):
    """The object belongs to the process that forked this one.  Ask it there, or make one of your own here."""


class OutboxFullError(EventBusException):
    """The outbox holds as much as it may and the broker is not taking it.  Try later, or shed load."""

    is_transient = True


class OutboxStorageError(EventBusException):
    """The disk outbox could not write or read its file: the disk is full, most likely.

    What ``publish`` raises it for was not accepted; what was accepted before stays.  Works again when there is room.
    """

    is_transient = True


class OutboxDamagedError(OutboxStorageError):
    """A file of an outbox directory is no whole outbox of ours.  It is set aside; the operator's move."""

    is_transient = False


class EventExpiredError(EventBusException):
    """An event waited longer than ``outbox_max_age_seconds``; it was moved aside, from where it can be sent again."""


class UndeliveredError(EventBusException):
    """``flush`` or ``close`` ran out of time; ``count`` accepted events are not confirmed by the broker."""

    is_transient = True

    def __init__(self, message: str, *, count: int) -> None:
        super().__init__(message)
        self.count = count


class UnroutableError(EventBusException):
    """A ``mandatory`` event matched no queue.  It was stored nowhere."""


class UndecodableError(EventBusException):
    """A message is no event of ours; ``reason`` is the word that its dead letter carries."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TransportError(EventBusException):
    """The broker or the way to it failed."""


class ConnectionLostError(TransportError):
    """The connection to the broker is gone (or could not be made).  The bus reconnects by itself."""

    is_transient = True


class ChannelLostError(TransportError):
    """The broker closed one channel; the connection goes on.  The bus rebuilds the channel."""

    is_transient = True


class BrokerRefusedError(TransportError):
    """The broker said no, and will say so again.  The operator's move."""


class AccessRefusedError(BrokerRefusedError):
    """Wrong user or password, a forbidden virtual host, or a missing right."""


class TopologyMismatchError(BrokerRefusedError):
    """An object exists on the broker with another type or other arguments, which are for life."""


class NotFoundOnBrokerError(BrokerRefusedError):
    """A queue or exchange is not there.  ``exchange`` is its name; empty: it is a queue, or the broker did not say."""

    def __init__(self, message: str, *, exchange: str = "") -> None:
        super().__init__(message)
        self.exchange = exchange


class DeadlineExceededError(EventBusException, TimeoutError):
    """A call ran out of the time it was given; the message says what was still going on."""

    is_transient = True
