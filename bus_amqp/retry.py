"""What a subscriber may say by raising."""

from bus_amqp.errors import EventBusException


class Discard(EventBusException):
    """Raised by a subscriber: this event is of no use to me, and I say why.

    The event is acknowledged, logged with ``reason`` and counted; it is not dead-lettered.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
