"""A publisher on a fake connection whose broker is the test."""

from bus_amqp.publish.outbox import Entry, Outbox
from bus_amqp.publish.publisher import Publisher
from bus_amqp.topology.plan import Plan, publisher_plan
from bus_amqp.transport.signals import Confirmed, Rejected, Returned
from tests.unit.fakes import FakeConnection, FakePublishChannel, an_entry

PLAN = publisher_plan("bus.events")
CONFIRM_SECONDS = 30.0


class Desk:
    """A publisher, its outbox, and what it has sent."""

    def __init__(self, *, window: int = 1000, plan: Plan | None = PLAN) -> None:
        self.now = 1000.0
        self.outbox = Outbox(10_000, 10**9)
        self.failed: list[Entry] = []
        self.exchanges_gone: list[str] = []
        self.publisher = Publisher(
            self.outbox,
            window=window,
            confirm_timeout_seconds=CONFIRM_SECONDS,
            plan=plan,
            on_failed=self.failed.append,
            on_exchange_gone=self.exchanges_gone.append,
            clock=lambda: self.now,
        )
        self.made = 0
        self.connect()

    def connect(self) -> None:
        self.connection = FakeConnection()
        self.publisher.opened(self.connection)

    def reconnect(self) -> None:
        self.publisher.lost()
        self.connect()

    @property
    def channel(self) -> FakePublishChannel:
        return self.connection.publish_channels[-1]

    @property
    def sent(self) -> list[int]:
        """The numbers of the entries that this channel has sent."""
        return [int(message.routing_key.split(".")[3]) for message in self.channel.sent]

    def put(self, count: int = 1, *, mandatory: bool = False, message_id: str | None = None) -> list[Entry]:
        entries = []
        for _ in range(count):
            self.made += 1
            entries.append(an_entry(self.made, mandatory=mandatory, message_id=message_id))
            self.outbox.put(entries[-1], 0)
        return entries

    def confirm(self, sequence: int, *, multiple: bool = False) -> None:
        self.publisher.handle([Confirmed(self.channel, sequence, multiple)])

    def reject(self, sequence: int, *, multiple: bool = False) -> None:
        self.publisher.handle([Rejected(self.channel, sequence, multiple)])

    def give_back(self, entry: Entry) -> None:
        message = entry.message
        self.publisher.handle(
            [Returned(self.channel, "bus.events", message.routing_key, message.message_id, "NO_ROUTE")]
        )
