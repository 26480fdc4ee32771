"""A publisher that keeps what it is given, and can be told to refuse it."""

from bus_amqp.errors import EventBusException
from bus_amqp.event import Event


class RecordingPublisher:
    """Stands for a bus: sources need nothing else of one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.events: list[Event] = []
        self.error = error

    def publish(self, event: Event, /) -> Event:
        """Keep the event, or raise."""
        if self.error is not None:
            raise self.error
        self.events.append(event)
        return event

    @property
    def only(self) -> Event:
        """The one event that was published."""
        (event,) = self.events
        return event


REFUSAL = EventBusException("the outbox is full")
