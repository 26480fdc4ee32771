"""``bus_amqp.engine.subscription.declare_again``: a temporary queue whose node is down."""

import time
from uuid import uuid4

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.consume.consumption import Consumption
from bus_amqp.consume.dead_letter import DeadLetter, DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.engine.subscription import declare_again
from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.topology.names import dead_key
from bus_amqp.topology.plan import Plan, subscription_plan, subscription_queue
from bus_amqp.wire.message import Message
from tests.unit.fakes import FakeConnection, FakeDelivery

RETURN = "bus.events.return"


class NodeDown(FakeConnection):
    """Knows of a queue whose node is down: it is not there, and cannot be declared."""

    def __init__(self, queue: str) -> None:
        super().__init__()
        self.queue = queue

    def queue_state(self, queue: str) -> None:
        return None

    def declare(self, plan: Plan) -> None:
        if self.queue in [queue.name for queue in plan.queues]:
            raise NotFoundOnBrokerError(f"home node of durable queue {self.queue!r} is down or inaccessible")
        super().declare(plan)


def consumption_of(group: str | None, sent: list[Message]) -> Consumption:
    queue = subscription_queue("bus.events", group, uuid4(), ordered=False)
    return Consumption(
        uuid4(),
        queue=queue.name,
        plan=subscription_plan("bus.events", group, queue, ["A.*.*.*.*"]),
        prefetch=8,
        dispatcher=Dispatcher(is_keyed=False),
        address=DeadLetterAddress(
            "bus.events.dead", dead_key(group), queue.name, subscriber="unit", return_exchange=RETURN
        ),
        post=lambda letter: None,
        wake=lambda: None,
        backoff=Backoff(),
        republish=lambda message, on_done: sent.append(message),
        postpone=lambda delivery, chance, address, on_done: None,
    )


def test_a_temporary_subscription_gets_a_queue_on_another_node_and_tells_the_gap() -> None:
    """P2, P7: its name can be neither declared nor deleted while the node is down, and that may be for hours."""
    sent: list[Message] = []
    consumption = consumption_of(None, sent)
    old, plan = consumption.queue, consumption.plan
    consumption.outage.lost_at = time.time() - 3
    connection = NodeDown(old)

    gap = declare_again(consumption, connection)

    assert gap is not None
    assert (gap.until - gap.since).total_seconds() >= 3
    assert consumption.queue != old
    assert consumption.queue.startswith("bus.events.tmp.")
    assert connection.declared == [consumption.plan]
    assert old not in repr(consumption.plan)
    assert len(consumption.plan.bindings) == len(plan.bindings)
    assert (RETURN, consumption.queue, consumption.queue) in [
        (one.exchange, one.queue, one.key) for one in consumption.plan.bindings
    ], "what failed returns to the new queue"
    consumption.dead_letter(0, FakeDelivery(body=b"x"), DeadLetter("exception", "why"))
    assert (sent[0].headers or {})["x-bus-queue"] == consumption.queue


def test_a_groups_queue_keeps_its_name() -> None:
    """P2: events wait in it; another name would be another queue."""
    consumption = consumption_of("billing", [])

    with pytest.raises(NotFoundOnBrokerError, match="home node"):
        declare_again(consumption, NodeDown(consumption.queue))

    assert consumption.queue == "bus.events.billing"
