"""What ``declare`` and its kind must do."""

from __future__ import annotations

import pytest

from bus_amqp.errors import BrokerRefusedError, NotFoundOnBrokerError, TopologyMismatchError
from bus_amqp.testing.conformance.workbench import (
    CLASSIC,
    Arguments,
    Conformance,
    Workbench,
    both_kinds_of_queue,
    collect_deliveries,
    numbered,
)
from bus_amqp.topology.plan import Binding, Exchange, Plan, Queue
from bus_amqp.transport.base import QueueState


class TestDeclare(Conformance):
    """Objects come to be, once."""

    @both_kinds_of_queue
    def test_declaring_again_changes_nothing(self, bench: Workbench, arguments: Arguments) -> None:
        """Every start and every reconnect declares: neither messages nor bindings may suffer or double."""
        first, second = bench.connect(), bench.connect()
        queue = bench.declare_queue(first, "a.*.*.*.*", arguments=arguments)
        bench.publish(first, numbered(1, "a.b.c.d.e"))

        bench.declare_queue(first, "a.*.*.*.*", arguments=arguments)
        bench.declare_queue(second, "a.*.*.*.*", arguments=arguments)
        bench.publish(first, numbered(2, "a.b.c.d.e"))

        bench.wait_ready(second, queue, 2)

    def test_a_second_plan_adds_bindings(self, bench: Workbench) -> None:
        """A subscription whose topics widen keeps its queue and what is in it."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "a.*.*.*.*")
        bench.publish(connection, numbered(1, "a.b.c.d.e"), numbered(2, "z.b.c.d.e"))

        bench.declare_queue(connection, "a.*.*.*.*", "z.*.*.*.*")
        bench.publish(connection, numbered(3, "z.b.c.d.e"))

        connection.consume_channel(queue, 10)
        assert [delivery.body for delivery in collect_deliveries(connection, 2)] == [b"1", b"3"]

    @pytest.mark.parametrize("other", [{"x-expires": 61_000}, {"x-expires": 60_000, "x-single-active-consumer": True}])
    def test_other_queue_arguments_are_a_mismatch_and_no_more(self, bench: Workbench, other: Arguments) -> None:
        """The error must name queue and argument, or nobody finds the way out; the connection must survive it."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, arguments={**CLASSIC, "x-expires": 60_000})

        with pytest.raises(TopologyMismatchError) as caught:
            bench.declare_queue(connection, arguments={**CLASSIC, **other})

        assert queue in str(caught.value)
        assert ("x-expires" if other["x-expires"] != 60_000 else "x-single-active-consumer") in str(caught.value)
        assert connection.queue_state(queue) == QueueState(ready=0, consumers=0)

    def test_another_exchange_type_is_a_mismatch(self, bench: Workbench) -> None:
        """Events would be routed by other rules than the subscriber thinks."""
        connection = bench.connect()
        connection.declare(Plan(exchanges=(Exchange(f"{bench.exchange}.other", "direct"),)))

        with pytest.raises(TopologyMismatchError) as caught:
            connection.declare(Plan(exchanges=(Exchange(f"{bench.exchange}.other", "fanout"),)))

        assert f"{bench.exchange}.other" in str(caught.value)

    def test_binding_to_an_absent_exchange_is_refused(self, bench: Workbench) -> None:
        """A subscription that is bound to nothing would wait in silence."""
        connection = bench.connect()
        queue = bench.declare_queue(connection)

        with pytest.raises(NotFoundOnBrokerError):
            connection.declare(Plan(bindings=(Binding(f"{bench.exchange}.absent", queue, "#"),)))

        assert connection.queue_state(queue) is not None

    def test_binding_an_absent_queue_is_refused(self, bench: Workbench) -> None:
        """The same from the other end; with another error for a queue that is there, both would be repaired alike."""
        connection = bench.connect()
        bench.declare_queue(connection)

        with pytest.raises(BrokerRefusedError):
            connection.declare(Plan(bindings=(Binding(bench.exchange, f"{bench.exchange}.absent", "#"),)))

    def test_a_large_plan_is_declared_whole(self, bench: Workbench) -> None:
        """A subscription may have hundreds of topics; each binding counts."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, *(f"c.t{number}.*.*.*" for number in range(150)))

        bench.publish(connection, *(numbered(number, f"c.t{number}.r.u.s") for number in range(150)))

        bench.wait_ready(connection, queue, 150)


class TestQueues(Conformance):
    """Looking at queues and deleting them."""

    def test_the_state_of_an_absent_queue_is_none(self, bench: Workbench) -> None:
        """The audit asks for queues that an operator may have deleted; the connection must survive the answer."""
        connection = bench.connect()

        assert connection.queue_state(f"{bench.exchange}.absent") is None
        assert connection.queue_state(f"{bench.exchange}.absent") is None

    def test_the_state_tells_messages_and_consumers(self, bench: Workbench) -> None:
        """Health leans on it: a queue without consumers is the failure that users of other libraries find too late."""
        connection, looking = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, numbered(1), numbered(2), numbered(3))
        bench.wait_ready(looking, queue, 3)
        connection.consume_channel(queue, 1)
        collect_deliveries(connection, 1)

        bench.wait_ready(looking, queue, 2)

        assert looking.queue_state(queue) == QueueState(ready=2, consumers=1)

    def test_a_deleted_queue_is_gone_with_its_messages(self, bench: Workbench) -> None:
        """A temporary subscription that ends leaves nothing behind."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, numbered(1))

        connection.delete_queue(queue)
        assert connection.queue_state(queue) is None
        bench.declare_queue(connection)

        assert connection.queue_state(queue) == QueueState(ready=0, consumers=0)

    def test_deleting_an_absent_queue_is_no_error(self, bench: Workbench) -> None:
        """Two may clean up at once."""
        connection = bench.connect()

        connection.delete_queue(f"{bench.exchange}.absent")

        assert connection.queue_state(f"{bench.exchange}.absent") is None

    def test_a_deleted_exchange_is_gone_with_its_bindings(self, bench: Workbench) -> None:
        """What is made again under the name may be of another kind, and leads nowhere at first."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")

        connection.delete_exchange(bench.exchange)
        connection.delete_exchange(bench.exchange)
        connection.declare(Plan(exchanges=(Exchange(bench.exchange, "direct"),)))
        bench.publish(connection, numbered(1, "key"))

        assert connection.queue_state(queue) == QueueState(ready=0, consumers=0)

    def test_an_unused_queue_may_be_declared_with_an_expiry(self, bench: Workbench) -> None:
        """Temporary subscriptions are declared so; ``Queue`` arguments of every type must get across."""
        connection = bench.connect()
        arguments: Arguments = {**CLASSIC, "x-expires": 60_000, "x-single-active-consumer": True}

        queue = bench.declare_queue(connection, arguments=arguments)
        connection.declare(Plan(queues=(Queue(queue, arguments),)))

        assert connection.queue_state(queue) is not None

    def test_an_exclusive_queue_goes_with_its_consumer(self, bench: Workbench) -> None:
        """Who only looks on leaves nothing behind: neither on closing its channel nor on losing its connection."""
        watching, looking = bench.connect(), bench.connect()
        bench.declare_queue(looking)  # and with it the exchange
        names = [f"{bench.exchange}.mine-{number}" for number in range(2)]
        for connection, name in ((watching, names[0]), (bench.connect(), names[1])):
            queue = Queue(name, CLASSIC, is_exclusive=True)
            connection.declare(Plan(queues=(queue,), bindings=(Binding(bench.exchange, name, "#"),)))
            channel = connection.consume_channel(name, 10)
            bench.publish(looking, numbered(1))
            assert len(collect_deliveries(connection, 1)) == 1
            if connection is watching:
                channel.close()
            else:
                connection.close()

        bench.wait_gone(looking, names[0])
        bench.wait_gone(looking, names[1])
