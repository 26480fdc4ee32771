"""Dead letters on a broker in memory, as consumers, the broker and strangers leave them there."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from bus_amqp.admin.letter import Letter
from bus_amqp.admin.workbench import Workbench
from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.event import Event
from bus_amqp.topology import names
from bus_amqp.topology.plan import subscription_plan, subscription_queue
from bus_amqp.transport.memory.connection import MemoryConnection, MemoryConnector
from bus_amqp.transport.memory.entry import Entry, MemoryDelivery
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import HeaderValue, Message
from tests.promise.subscribers import an_event

BUS = "bus"
GROUP = "billing"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MAX_BYTES = 1024 * 1024


class Desk:
    """A broker with one group; tests look under its bonnet through ``bodies`` and ``ready``."""

    def __init__(self) -> None:
        self.connector = MemoryConnector(f"test-{uuid.uuid4().hex[:8]}", exchange=BUS)
        self.url = self.connector.address
        self._connections: list[MemoryConnection] = []
        self.connection = self.connect()
        self.make_group(GROUP)

    def connect(self) -> MemoryConnection:
        connection = self.connector.connect("test")
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.connector.close()

    def make_group(self, group: str | None, subscription_id: uuid.UUID | None = None) -> str:
        queue = subscription_queue(BUS, group, subscription_id or uuid.uuid4(), ordered=False)
        self.connection.declare(subscription_plan(BUS, group, queue, ()))
        return queue.name

    def workbench(self, group: str | None = GROUP) -> Workbench:
        return Workbench(self.connect(), BUS, group)

    def fail(
        self, event: Event, *, group: str | None = GROUP, queue: str = "", reason: str = "exception",
        explanation: str = "ValueError: no", attempts: int = 1, failed_at: datetime = NOON,
        headers: Mapping[str, HeaderValue] | None = None,
    ) -> None:  # fmt: skip
        """Dead-letter an event as a consumer does."""
        message = encode(event, max_event_bytes=MAX_BYTES)
        message.headers = headers
        address = DeadLetterAddress(
            names.dead_exchange(BUS), names.dead_key(group), queue or names.group_queue(BUS, group or "tmp"), "charge"
        )
        delivery = MemoryDelivery(1, Entry(0, message, BUS), MAX_BYTES)
        letter = DeadLetter(reason, explanation, attempts)
        self.publish(dead_letter_message(delivery, letter, address, failed_at=failed_at))

    def fail_many(self, count: int) -> list[Event]:
        """Dead-letter events that failed a minute after each other."""
        events = [an_event(number) for number in range(count)]
        for number, event in enumerate(events):
            self.fail(event, failed_at=NOON + timedelta(minutes=number))
        return events

    def publish(self, message: Message) -> None:
        """Publish past every check, as a stranger may."""
        with self.connector.memory_broker.lock:
            assert self.connector.memory_broker.objects.store(message, message.exchange or BUS), "unroutable"
            self.connector.memory_broker.objects.dispatch()

    def leave(self, body: bytes, *, headers: Mapping[str, HeaderValue] | None = None, group: str = GROUP) -> None:
        """Leave a message with the dead letters of a group, as a stranger may."""
        self.publish(Message(group, body, headers=headers, exchange=names.dead_exchange(BUS)))

    def entries(self, queue: str) -> list[Message]:
        """What waits in a queue, in order."""
        with self.connector.memory_broker.lock:
            found = self.connector.memory_broker.objects.existing_queue(queue)
            return [entry.message for entry in found._ready]

    def numbers(self, queue: str) -> list[int]:
        """Which events wait in a queue, in order."""
        found = [Event.model_validate_json(one.body, by_alias=True).details["number"] for one in self.entries(queue)]
        return [one for one in found if isinstance(one, int)]


DEAD = names.dead_queue(BUS, GROUP)
HOME = names.group_queue(BUS, GROUP)


@contextmanager
def a_desk() -> Iterator[Desk]:
    desk = Desk()
    try:
        yield desk
    finally:
        desk.close()


def never() -> bool:
    return False


def numbers_of(letters: Iterable[Letter]) -> list[object]:
    return [letter.event.details["number"] for letter in letters if letter.event is not None]
