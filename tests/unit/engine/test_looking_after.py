"""``bus_amqp.engine.subscription``: what audits and cancelled subscriptions do on the control connection."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.consume import outage
from bus_amqp.consume.consumption import Consumption
from bus_amqp.consume.dead_letter import DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.engine.subscription import declare_again, look_after
from bus_amqp.engine.subscriptions import look_seconds
from bus_amqp.errors import ChannelLostError, NotFoundOnBrokerError
from bus_amqp.sections import ConsumerSettings
from bus_amqp.topology.plan import Plan, subscription_plan, subscription_queue
from bus_amqp.transport.base import QueueState
from tests.unit.fakes import FakeConnection


class Queue(FakeConnection):
    """A connection to a broker with one queue, or without it."""

    def __init__(self, state: QueueState | None = None) -> None:
        super().__init__()
        self.state = state
        self.goes_meanwhile = False

    def queue_state(self, queue: str) -> QueueState | None:
        return self.state

    def declare(self, plan: Plan) -> None:
        if self.goes_meanwhile:
            self.state = None
        super().declare(plan)


@pytest.fixture
def consumption() -> Consumption:
    queue = subscription_queue("bus.events", "billing", uuid4(), ordered=False)
    return Consumption(
        uuid4(),
        queue=queue.name,
        plan=subscription_plan("bus.events", "billing", queue, ["A.*.*.*.*"]),
        prefetch=8,
        dispatcher=Dispatcher(is_keyed=False),
        address=DeadLetterAddress("bus.events.dead", "billing", queue.name, subscriber="unit"),
        post=lambda letter: None,
        wake=lambda: None,
        backoff=Backoff(),
        republish=lambda message, on_done: None,
        postpone=lambda delivery, chance, address, on_done: None,
    )


def test_everything_but_the_queue_itself_is_made_sure_of(consumption: Consumption) -> None:
    """P2, P7: a queue that an audit made again would be one whose gap nobody reports."""
    connection = Queue(QueueState(ready=3, consumers=1))

    assert look_after(consumption, connection, is_declaring=True) == QueueState(3, 1)

    [plan] = connection.declared
    assert [queue.name for queue in plan.queues] == ["bus.events.billing.dead"]
    assert (plan.exchanges, plan.bindings) == (consumption.plan.exchanges, consumption.plan.bindings)


def test_a_queue_that_is_gone_is_left_to_be_restored(consumption: Consumption) -> None:
    """Also when it goes between the look and the bindings."""
    gone, going = Queue(None), Queue(QueueState(0, 1))
    going.declare_error = NotFoundOnBrokerError("no queue")
    going.goes_meanwhile = True

    assert look_after(consumption, gone, is_declaring=True) is None
    assert look_after(consumption, going, is_declaring=True) is None
    assert gone.declared == []


def test_a_missing_exchange_of_others_is_not_taken_for_a_missing_queue(consumption: Consumption) -> None:
    """The queue is there and is consumed; a session begun anew would change nothing but the order."""
    connection = Queue(QueueState(ready=3, consumers=1))
    connection.declare_error = NotFoundOnBrokerError("no exchange 'theirs'")

    with pytest.raises(NotFoundOnBrokerError, match="theirs"):
        look_after(consumption, connection, is_declaring=True)


def test_a_queue_that_may_go_in_a_moment_is_not_declared(consumption: Consumption) -> None:
    """P2: RabbitMQ cancels before it deletes.  Declared in between it can come out as a new one, the gap untold."""
    connection = Queue(QueueState(ready=3, consumers=0))
    consumption.outage.begin(was_consuming=True)
    consumption.outage.cancelled()

    with pytest.raises(ChannelLostError, match="about to delete"):
        declare_again(consumption, connection)
    assert connection.declared == []

    connection.state = None
    assert declare_again(consumption, connection) is not None
    assert connection.declared == [consumption.plan]


def test_a_queue_that_stays_after_a_cancel_is_declared_and_no_gap_is_told(
    consumption: Consumption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: the arguments count too; an operator may have made it again with others."""
    connection = Queue(QueueState(ready=3, consumers=0))
    consumption.outage.begin(was_consuming=True)
    consumption.outage.cancelled()
    monkeypatch.setattr(outage, "DELETION_SECONDS", 0.0)

    assert declare_again(consumption, connection) is None
    assert connection.declared == [consumption.plan]


def test_who_may_not_declare_only_looks(consumption: Consumption) -> None:
    """P9: with ``declare=False`` an operator has made the objects, and the user has no right to."""
    connection = Queue(QueueState(ready=0, consumers=1))

    assert look_after(consumption, connection, is_declaring=False) == QueueState(0, 1)
    assert connection.declared == []


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 1.0),
        ({"audit_seconds": 0.4}, 0.1),
        ({"handler_timeout_seconds": 2}, 0.5),
        ({"handler_timeout_seconds": 0}, 1.0),
    ],
)
def test_the_consumer_looks_around_often_enough(options: dict[str, float], seconds: float) -> None:
    """A limit of two seconds that is looked at each ten is one of ten; without work a look costs next to nothing."""
    make: Callable[..., ConsumerSettings] = ConsumerSettings
    assert look_seconds(make(**options)) == pytest.approx(seconds)
