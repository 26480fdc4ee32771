"""What only RabbitMQ can show of its transport; what every transport must do is in the conformance suite."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bus_amqp.errors import (
    AccessRefusedError,
    InvalidArgumentError,
    NotFoundOnBrokerError,
    TopologyMismatchError,
    TransportError,
)
from bus_amqp.testing.broker import RealBroker
from bus_amqp.topology.plan import Exchange, Plan
from bus_amqp.transport.signals import Cancelled, ChannelClosed, Confirmed, Deliveries, Returned
from bus_amqp.wire.message import Message
from tests.broker.amqp_workbench import (
    MAX_BODY_BYTES,
    Connect,
    a_plan,
    receive,
    turn_until,
    turns,
    with_login,
)


def test_ten_thousand_events_make_the_trip_in_order(connect: Connect, exchange: str):
    """The whole pipeline: windows of confirms, partial writes, batches of deliveries, batches of acknowledgements."""
    publisher, consumer = connect("publisher"), connect("consumer")
    publisher.declare(a_plan(exchange))
    channel = publisher.publish_channel()
    consuming = consumer.consume_channel(f"{exchange}.q", 500)
    total, sent, confirmed = 10_000, 0, set()
    bodies: list[bytes] = []
    deadline = time.monotonic() + 60
    while len(bodies) < total or len(confirmed) < total:
        assert time.monotonic() < deadline, f"{sent} sent, {len(confirmed)} confirmed, {len(bodies)} received"
        if sent < total:
            channel.send([Message(f"k.{n}", b"%d" % n * (n % 90)) for n in range(sent, sent + 1000)])
            sent += 1000
        for signal in publisher.turn(0):
            assert isinstance(signal, Confirmed)
            confirmed |= set(range(1 if signal.multiple else signal.sequence, signal.sequence + 1))
        for signal in consumer.turn(0.05):
            assert isinstance(signal, Deliveries)
            bodies += [one.body for one in signal.deliveries]
            consuming.accept([one.tag for one in signal.deliveries])

    assert bodies == [b"%d" % n * (n % 90) for n in range(total)]
    assert confirmed == set(range(1, total + 1))
    consuming.close()
    assert consumer.queue_state(f"{exchange}.q").ready == 0


def test_a_body_over_many_frames_and_an_oversized_one(connect: Connect, exchange: str):
    """3 MiB are 25 frames each way; what is too large is announced, and what follows it is unharmed."""
    connection = connect()
    connection.declare(a_plan(exchange))
    body = bytes(range(256)) * (3 * 4096)
    channel = connection.publish_channel()
    bodies = [body, b"x" * (MAX_BODY_BYTES + 1), b"", b"end"]
    channel.send([Message("k", one) for one in bodies])
    consuming = connection.consume_channel(f"{exchange}.q", 10)

    found = receive(connection, 4)

    assert [one.body for one in found] == [body, None, b"", b"end"]
    assert [one.body_bytes for one in found] == [len(body), MAX_BODY_BYTES + 1, 0, 3]
    consuming.accept([one.tag for one in found])
    assert connection.queue_state(f"{exchange}.q").ready == 0


def test_a_return_comes_before_its_confirm(connect: Connect, exchange: str):
    """A return means: not stored.  After the confirm it would come too late."""
    connection = connect()
    connection.declare(Plan(exchanges=(Exchange(exchange, "topic"),)))
    channel = connection.publish_channel()

    channel.send([Message("nobody", b"body", message_id="id-1", mandatory=True)])

    signals = turns(connection, lambda found: len(found) >= 2)
    assert signals == [Returned(channel, exchange, "nobody", "id-1", "NO_ROUTE"), Confirmed(channel, 1, False)]


def test_a_channel_that_the_broker_closes_takes_nothing_with_it(connect: Connect, exchange: str):
    """404 for a publish closes the channel: the others go on, and the next channel is in confirm mode."""
    connection = connect()
    connection.declare(a_plan(exchange))
    consuming = connection.consume_channel(f"{exchange}.q", 10)
    channel = connection.publish_channel()
    channel.send([Message("key", b"", exchange=f"{exchange}.absent")])

    closed = turn_until(connection, ChannelClosed)

    assert closed.channel is channel
    assert isinstance(closed.error, NotFoundOnBrokerError)
    assert f"{exchange}.absent" in str(closed.error)
    with pytest.raises(TransportError):
        channel.send([Message("key", b"")])
    again = connection.publish_channel()
    again.send([Message("key", b"again")])
    signals = turns(connection, lambda found: len(found) >= 2)
    assert {type(one) for one in signals} == {Confirmed, Deliveries}
    consuming.close()


def test_a_deleted_queue_cancels_its_consumer(connect: Connect, exchange: str):
    """The ghost consumer: a subscription that looks alive and hears nothing."""
    connection, control = connect("consumer"), connect("control")
    connection.declare(a_plan(exchange))
    consuming = connection.consume_channel(f"{exchange}.q", 10)

    control.delete_queue(f"{exchange}.q")

    assert turn_until(connection, Cancelled) == Cancelled(consuming)
    assert control.queue_state(f"{exchange}.q") is None


def test_requests_and_deliveries_share_a_connection(connect: Connect, exchange: str):
    """What arrives while a request waits for its answer is kept, in order."""
    connection = connect()
    connection.declare(a_plan(exchange))
    connection.publish_channel().send([Message("k", b"%d" % n) for n in range(2000)])
    consuming = connection.consume_channel(f"{exchange}.q", 1000)

    states = [connection.queue_state(f"{exchange}.q") for _ in range(20)]

    assert all(state.consumers == 1 for state in states)
    found = receive(connection, 1000)
    consuming.accept([one.tag for one in found])
    found += receive(connection, 1000)
    assert [one.body for one in found] == [b"%d" % n for n in range(2000)]


def assert_refused(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(AccessRefusedError) as caught:
        call()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("is_bulk", [True], ids=["bulk"])
class TestDeclaring:
    """What the broker says to a plan; the kind of channel makes no difference."""

    def test_another_argument_is_a_mismatch_with_both_values(self, connect: Connect, exchange: str):
        """406 names the queue, the argument, both values and the way out."""
        connection = connect()
        connection.declare(a_plan(exchange, **{"x-max-length": 5}))

        with pytest.raises(TopologyMismatchError) as caught:
            connection.declare(a_plan(exchange, **{"x-max-length": 6}))

        for word in (f"'{exchange}.q'", "x-max-length", "'5'", "'6'", "delete queue", "another group name"):
            assert word in str(caught.value)
        connection.declare(a_plan(exchange, **{"x-max-length": 5}))

    def test_another_exchange_kind_is_a_mismatch(self, connect: Connect, exchange: str):
        """The same for exchanges."""
        connection = connect()
        connection.declare(Plan(exchanges=(Exchange(exchange, "topic"),)))

        with pytest.raises(TopologyMismatchError, match="delete exchange") as caught:
            connection.declare(Plan(exchanges=(Exchange(exchange, "direct"),)))

        for word in (f"'{exchange}'", "type", "'topic'", "'direct'"):
            assert word in str(caught.value)

    def test_a_publisher_needs_no_configure_right_where_the_exchange_exists(
        self, connect: Connect, exchange: str, rabbitmq: RealBroker
    ):
        """Least privilege (P9): write on the exchange is enough, and what is missing is named."""
        connect().declare(Plan(exchanges=(Exchange(exchange, "topic"),)))
        rabbitmq.rabbitmqctl("add_user", exchange, "s3cret")
        rabbitmq.rabbitmqctl("set_permissions", exchange, "^$", f"^{exchange}$", "^$")
        connection = connect(url=with_login(rabbitmq.url, exchange, "s3cret"))

        connection.declare(Plan(exchanges=(Exchange(exchange, "topic"),)))
        connection.publish_channel().send([Message("key", b"")])
        assert turns(connection, bool)[0].sequence == 1

        new = Plan(exchanges=(Exchange(f"{exchange}.new", "topic"),))
        assert_refused(lambda: connection.declare(new), "configure access", f"exchange '{exchange}.new'")
        assert_refused(lambda: connection.declare(a_plan(exchange)), "configure access", f"queue '{exchange}.q'")
        connect().declare(a_plan(exchange))
        assert_refused(lambda: connection.declare(a_plan(exchange)), "write access", f"queue '{exchange}.q'")
        consuming = f"{exchange}.q"
        assert_refused(lambda: connection.consume_channel(consuming, 1), "read access", f"queue '{exchange}.q'")
        assert connection.queue_state(f"{exchange}.q") is not None
        rabbitmq.rabbitmqctl("delete_user", exchange)

    def test_a_name_that_amqp_cannot_carry_costs_nothing(self, connect: Connect, exchange: str):
        """The programmer's move; the connection and its other channels are unharmed."""
        connection = connect()

        with pytest.raises(InvalidArgumentError):
            connection.queue_state("q" * 256)

        connection.declare(a_plan(exchange))

    def test_a_message_that_amqp_cannot_carry_takes_its_whole_batch_back(self, connect: Connect, exchange: str):
        """The publisher sends the others again one by one: what had gone out before would come twice, out of step."""
        connection = connect()
        connection.declare(a_plan(exchange))
        channel = connection.publish_channel()

        with pytest.raises(InvalidArgumentError, match="cannot be sent over AMQP"):
            channel.send([Message("k.1", b"good"), Message("k.2", b"bad", message_id="x" * 256)])
        channel.send([Message("k.3", b"only")])

        assert turn_until(connection, Confirmed).sequence == 1
        assert connection.queue_state(f"{exchange}.q").ready == 1
