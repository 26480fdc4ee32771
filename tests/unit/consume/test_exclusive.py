"""``bus_amqp.consume.exclusive``: the queue of who only looks on, on the consumer's own connection."""

from __future__ import annotations

from uuid import UUID

import pytest

from bus_amqp.consume.consumption import Attach, Consumption
from bus_amqp.consume.dead_letter import NOWHERE, DeadLetter, DeadLetterAddress
from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.topology.plan import exclusive_plan
from tests.unit.consume.desk import Desk
from tests.unit.fakes import FakeDelivery

PLAN = exclusive_plan("bus.events", UUID(int=7), ("#",), bound_to="theirs")


@pytest.fixture
def desk() -> Desk:
    return Desk(audit_seconds=0.0)  # everything that may be audited is due


def looking(desk: Desk) -> Consumption:
    """Return a consumption of an exclusive queue that has begun."""
    consumption = desk.consumption()
    consumption.queue, consumption.plan = PLAN.queues[0].name, PLAN
    consumption.address = DeadLetterAddress(NOWHERE, "tmp", consumption.queue, subscriber="unit")
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()
    assert consumption.attached.done()
    return consumption


def test_the_connection_that_consumes_declares_its_queue(desk: Desk) -> None:
    """The broker lets no other near it."""
    consumption = looking(desk)

    assert desk.connection.declared == [PLAN]
    assert consumption.channel is not None
    assert consumption.gaps == ()


def test_a_new_connection_makes_another_queue_and_tells_the_gap(desk: Desk) -> None:
    """The broker may still take the old connection for alive, and with it the queue of that name for locked."""
    consumption = looking(desk)
    first = consumption.queue

    desk.consumer.lost()
    desk.connect()
    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    [plan] = desk.connection.declared
    assert plan.is_exclusive
    assert plan.queues[0].name == plan.bindings[0].queue == consumption.queue != first
    assert consumption.queue.startswith("bus.events.tmp.")
    assert len(consumption.gaps) == 1


def test_nobody_audits_it(desk: Desk) -> None:
    """A look from the control connection is refused, and would be told as trouble each half-minute."""
    looking(desk)
    other = desk.attached("billing")

    desk.consumer.prepare()

    assert {consumption for consumption, _ in desk.inspected} <= {other}


def test_a_queue_that_cannot_be_made_is_the_subscribers_to_hear(desk: Desk) -> None:
    """Such as an exchange that is not there: `subscribe` raises it."""
    desk.connection.declare_error = NotFoundOnBrokerError("no exchange 'theirs'")
    consumption = desk.consumption()
    consumption.plan = PLAN

    desk.consumer.post(Attach(consumption))
    desk.consumer.prepare()

    assert isinstance(consumption.attached.exception(0), NotFoundOnBrokerError)


def test_what_cannot_be_handled_is_left_out(desk: Desk) -> None:
    """There are no dead letters: a copy that is sent nowhere would come back, and hold up the rest."""
    consumption = looking(desk)
    session = consumption.dispatcher.session

    consumption.dead_letter(session, FakeDelivery(tag=1), DeadLetter("exception", "cannot"))
    desk.consumer.prepare()

    assert consumption.channel.discarded == [1]  # type: ignore[union-attr]  # the fake has it
