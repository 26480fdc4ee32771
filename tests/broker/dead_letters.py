"""Dead letters on a real broker, the workbenches that look at them, and what is left in the queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from bus_amqp.admin.operator_connection import operator_connection
from bus_amqp.admin.workbench import Workbench
from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress, dead_letter_message
from bus_amqp.event import Event
from bus_amqp.settings import ConnectionSettings, Settings
from bus_amqp.topology import names
from bus_amqp.topology.plan import subscription_plan, subscription_queue
from bus_amqp.transport.base import Connection
from bus_amqp.transport.memory.entry import Entry, MemoryDelivery
from bus_amqp.transport.signals import Confirmed, Deliveries
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import Message
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

GROUP = "billing"
MAX_BYTES = 1024 * 1024
SECONDS = 60.0


@dataclass(frozen=True)
class Scene:
    """A broker and an exchange of the test's own."""

    url: str
    exchange: str
    is_bulk: bool = True

    @property
    def settings(self) -> Settings:
        connection = ConnectionSettings(use_bulk_frames=self.is_bulk)
        return Settings(url=self.url, exchange=self.exchange, connection=connection)

    @property
    def home(self) -> str:
        return names.group_queue(self.exchange, GROUP)

    @property
    def dead(self) -> str:
        return names.dead_queue(self.exchange, GROUP)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        with operator_connection(self.settings, client_name="test") as connection:
            yield connection

    @contextmanager
    def workbench(self, group: str | None = GROUP) -> Iterator[Workbench]:
        with self.connection() as connection:
            yield Workbench(connection, self.exchange, group)

    def make_group(self, group: str = GROUP, *, ordered: bool = False) -> None:
        queue = subscription_queue(self.exchange, group, uuid4(), ordered=ordered)
        with self.connection() as connection:
            connection.declare(subscription_plan(self.exchange, group, queue, ()))

    def fail_many(self, count: int) -> list[Event]:
        """Make the group, and dead-letter events as its consumers do."""
        self.make_group()
        events = [an_event(number) for number in range(count)]
        address = DeadLetterAddress(names.dead_exchange(self.exchange), GROUP, self.home, "charge")
        messages = []
        for event in events:
            delivery = MemoryDelivery(1, Entry(0, encode(event, max_event_bytes=MAX_BYTES), self.exchange), MAX_BYTES)
            messages.append(dead_letter_message(delivery, DeadLetter("exception", "ValueError: no"), address))
        with self.connection() as connection:
            publish(connection, messages)
        return events

    def ready(self, queue: str) -> int:
        with self.connection() as connection:
            state = connection.queue_state(queue)
            return -1 if state is None else state.ready

    def wait_ready(self, queue: str, count: int) -> None:
        """Wait until a queue has that many: what was given back may take the broker a moment."""
        wait_until(lambda: self.ready(queue) == count, f"{count} in {queue}", SECONDS)

    def read(self, queue: str) -> list[int]:
        """Which events a queue holds, in order; takes them off."""
        with self.connection() as connection:
            state = connection.queue_state(queue)
            count = 0 if state is None else state.ready
            found: list[int] = []
            channel = connection.consume_channel(queue, 0)

            def all_came() -> bool:
                for signal in connection.turn(0.2):
                    if isinstance(signal, Deliveries):
                        channel.accept([one.tag for one in signal.deliveries])
                        for one in signal.deliveries:
                            number = Event.model_validate_json(one.body or b"", by_alias=True).details["number"]
                            assert isinstance(number, int)
                            found.append(number)
                return len(found) >= count

            wait_until(all_came, f"{count} from {queue}", SECONDS)
            channel.close()
        return found


def publish(connection: Connection, messages: list[Message]) -> None:
    """Publish, and wait for the confirms."""
    channel = connection.publish_channel()
    confirmed = 0

    def all_confirmed() -> bool:
        nonlocal confirmed
        for signal in connection.turn(0.2):
            if isinstance(signal, Confirmed):
                confirmed = signal.sequence if signal.multiple else confirmed + 1
        return confirmed >= len(messages)

    for start in range(0, len(messages), 1000):
        channel.send(messages[start : start + 1000])
        while channel.unsent_bytes:
            all_confirmed()
    wait_until(lambda: not messages or all_confirmed(), "the confirms", SECONDS)
    channel.close()
