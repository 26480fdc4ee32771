"""What a consume channel must do when its consumer ends before the channel does."""

from __future__ import annotations

from bus_amqp.testing.conformance.workbench import (
    Arguments,
    Conformance,
    Workbench,
    both_kinds_of_queue,
    collect_deliveries,
    deliveries_in,
    numbered,
)


class TestStop(Conformance):
    """Several channels that hold one queue."""

    @both_kinds_of_queue
    def test_several_stopped_channels_give_back_in_order(self, bench: Workbench, arguments: Arguments) -> None:
        """Who looks at a long queue holds it through several channels, and none may take what another gives back."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        bench.publish(connection, *(numbered(number) for number in range(10)))
        first = connection.consume_channel(queue, 4)
        collect_deliveries(connection, 4)
        second = connection.consume_channel(queue, 100)
        collect_deliveries(connection, 6)

        for channel in (first, second):
            channel.stop()
        bench.publish(connection, numbered(10))
        assert not deliveries_in(connection.turn(0.05))
        first.close()
        second.close()

        bench.wait_ready(connection, queue, 11)
        other.consume_channel(queue, 100)
        assert [delivery.body for delivery in collect_deliveries(other, 11)] == [
            str(number).encode() for number in range(11)
        ]
