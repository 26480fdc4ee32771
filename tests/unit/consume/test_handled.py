"""``bus_amqp.consume.handled``: what needs no second call, and what must not be mistaken for it."""

from uuid import uuid4

import pytest

from bus_amqp.consume.handled import HandledEvents, key_of
from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import HeaderValue, Properties
from tests.unit.fakes import FakeDelivery

ONE = str(uuid4())


def delivery(message_id: str = ONE, *, routing_key: str = "a.b.c.d.e", **headers: HeaderValue) -> FakeDelivery:
    properties = Properties(message_id=message_id, headers={name.replace("_", "-"): headers[name] for name in headers})
    return FakeDelivery(routing_key=routing_key, properties=properties, redelivered=True)


def test_the_same_message_is_known_again_whatever_the_broker_has_counted() -> None:
    """P2: its acknowledgement died with the connection, and the broker has raised its delivery count."""
    handled = HandledEvents()
    handled.remember([delivery()])

    assert handled.knows(delivery(x_delivery_count=1))
    assert not handled.knows(delivery(str(uuid4())))


@pytest.mark.parametrize(
    "other",
    [
        delivery(routing_key="another"),
        delivery(x_bus_attempts=1),
        delivery("7"),
        delivery(""),
        FakeDelivery(properties=UndecodableError("malformed", reason="properties"), redelivered=True),
    ],
)
def test_what_may_be_another_message_is_handled(other: FakeDelivery) -> None:
    """P2: to spare a call by mistake is to lose an event: a copy for the next attempt has the id of the first."""
    handled = HandledEvents()
    handled.remember([delivery(), FakeDelivery(properties=Properties(message_id="7"), routing_key="a.b.c.d.e")])

    assert not handled.knows(other)


def test_an_id_that_is_no_uuid_proves_nothing() -> None:
    """Foreign programs number their messages from 1 at each start."""
    assert key_of(delivery("1")) is None


def test_the_oldest_are_forgotten() -> None:
    """Bounded: a broker that comes and goes for a week must not fill the memory."""
    handled = HandledEvents(capacity=3)
    ids = [str(uuid4()) for _ in range(5)]
    handled.remember(map(delivery, ids))

    assert [handled.knows(delivery(one)) for one in ids] == [False, False, True, True, True]
