"""A consumer on a fake connection, without any thread."""

from bus_amqp.backoff import Backoff
from bus_amqp.consume.consumer import Consumer
from bus_amqp.consume.consumption import Attach, Consumption
from bus_amqp.consume.dead_letter import DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.errors import (
    ConnectionLostError,
)
from bus_amqp.topology.plan import Plan, Queue
from bus_amqp.transport.signals import Deliveries
from tests.unit.fakes import FakeConnection, FakeConsumeChannel, FakeDelivery, a_subscription_id

LOST = ConnectionLostError("cut by the test")


class Desk:
    """A consumer on a fake connection; what it wants restored is written down."""

    def __init__(self, audit_seconds: float = 1000.0) -> None:
        self.audit_seconds = audit_seconds
        self.restored: list[Consumption] = []
        self.wakes = 0
        self.inspected: list[tuple[Consumption, int]] = []
        self.consumer = Consumer(self._wake, self.restored.append, self._inspect, audit_seconds=self.audit_seconds)
        self.connect()

    def _wake(self) -> None:
        self.wakes += 1

    def _inspect(self, consumption: Consumption, session: int) -> bool:
        self.inspected.append((consumption, session))
        return True

    def connect(self) -> None:
        self.connection = FakeConnection()
        self.consumer.opened(self.connection)

    def consumption(self, name: str = "billing") -> Consumption:
        queue = f"bus.events.{name}"
        return Consumption(
            a_subscription_id(),
            queue=queue,
            plan=Plan(queues=(Queue(queue, {"x-queue-type": "quorum"}),)),
            prefetch=8,
            dispatcher=Dispatcher(is_keyed=True),
            address=DeadLetterAddress("bus.events.dead", name, queue, subscriber="unit"),
            post=self.consumer.post,
            wake=lambda: None,
            backoff=Backoff(uniform=lambda low, high: low),
            republish=lambda message, on_done: None,
            postpone=lambda delivery, chance, address, on_done: None,
        )

    def attached(self, name: str = "billing") -> Consumption:
        consumption = self.consumption(name)
        self.consumer.post(Attach(consumption))
        self.consumer.prepare()
        assert consumption.attached.done()
        return consumption

    def deliver(self, consumption: Consumption, *tags: int) -> None:
        deliveries = [FakeDelivery(tag, routing_key=f"a.b.c.{tag}.e") for tag in tags]
        self.consumer.handle([Deliveries(channel_of(consumption), deliveries)])


def channel_of(consumption: Consumption) -> FakeConsumeChannel:
    assert isinstance(consumption.channel, FakeConsumeChannel)
    return consumption.channel
