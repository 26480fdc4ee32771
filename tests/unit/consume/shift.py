"""Workers on a dispatcher, where the test is the consumer thread."""

import time
from typing import Any

from bus_amqp.consume.dead_letter import DeadLetter
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.handler_watch import HandlerWatch
from bus_amqp.consume.handling import Handling
from bus_amqp.consume.lanes import Lanes
from bus_amqp.consume.patient_lanes import PatientLanes
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.consume.workers import AsyncWorkers, ThreadWorkers, Workers
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.retry import NO_RETRY, RetryPolicy
from bus_amqp.topic import EventTopic
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import Delivery
from tests.unit.fakes import WAIT_SECONDS, FakeDelivery, a_subscription_id, an_event


class NotingSettler:
    """Writes down outcomes; lists are appended to by several workers, which ``list`` allows."""

    def __init__(self) -> None:
        self.accepted: list[tuple[int, int]] = []
        self.asked_soon: list[int] = []  # how many were accepted when a worker said "soon"
        self.dead: list[tuple[int, int, DeadLetter]] = []
        self.retried: list[tuple[int, int, SecondChance]] = []
        self.kept: list[tuple[int, SecondChance]] = []
        self.given_back: list[tuple[int, Exception]] = []
        self.handled_before: set[int] = set()  # tags
        self.faults: list[Exception] = []  # raised one by one, as a fault of the bus would be

    def accept(self, session: int, delivery: Delivery) -> None:
        if self.faults:
            raise self.faults.pop()
        self.accepted.append((session, delivery.tag))

    def was_handled(self, delivery: Delivery) -> bool:
        return delivery.tag in self.handled_before

    def settle_soon(self) -> None:
        self.asked_soon.append(len(self.accepted))

    def dead_letter(self, session: int, delivery: Delivery, letter: DeadLetter) -> None:
        self.dead.append((session, delivery.tag, letter))

    def retry(self, session: int, delivery: Delivery, chance: SecondChance) -> None:
        self.retried.append((session, delivery.tag, chance))

    def keep(self, delivery: Delivery, chance: SecondChance) -> float:
        self.kept.append((delivery.tag, chance))
        return chance.delay_seconds

    def give_back(self, session: int, error: Exception) -> None:
        self.given_back.append((session, error))

    @property
    def tags(self) -> list[int]:
        return [tag for _, tag in self.accepted]


class Shift:
    """Workers on a dispatcher; the test is the consumer thread."""

    def __init__(self, handler: Any, workers: int, async_loop: AsyncLoop | None, retry: RetryPolicy = NO_RETRY) -> None:
        self.subscription_id = a_subscription_id()
        lanes = Lanes(is_keyed=workers > 1)
        if retry.keep_order:
            lanes = PatientLanes(prefetch=100, clock=time.monotonic)
        self.dispatcher = Dispatcher(lanes=lanes)
        self.settler = NotingSettler()
        handling = Handling((EventTopic(event_type="VM.#"),), handler, "Unit.on_event", retry=retry)
        self.watch = HandlerWatch(60.0)
        self.workers: Workers
        if async_loop is None:
            self.workers = ThreadWorkers(
                self.subscription_id, workers, self.dispatcher, handling, self.settler, self.watch
            )
        else:
            self.workers = AsyncWorkers(
                self.subscription_id, workers, self.dispatcher, handling, self.settler, async_loop, self.watch
            )
        self.workers.start()

    def deliver(
        self, *resources: int, first_tag: int = 1, event_type: str = "VM.START", redelivered: bool = False
    ) -> None:
        deliveries = []
        for tag, resource in enumerate(resources, first_tag):
            message = encode(an_event(resource, event_type=event_type, description=str(tag)), max_event_bytes=10_000)
            deliveries.append(FakeDelivery(tag, message.body, routing_key=message.routing_key, redelivered=redelivered))
        self.dispatcher.submit(deliveries)

    def end(self) -> bool:
        self.dispatcher.close(lambda: None)
        return self.workers.join(time.monotonic() + WAIT_SECONDS)
