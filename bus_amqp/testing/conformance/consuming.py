"""What a consume channel must do: prefetch, settlement, giving back, dead letters, single active consumers."""

from __future__ import annotations

import pytest

from bus_amqp.errors import NotFoundOnBrokerError
from bus_amqp.testing.conformance.workbench import (
    QUORUM,
    Arguments,
    Conformance,
    Workbench,
    both_kinds_of_queue,
    collect,
    collect_deliveries,
    collect_one,
    deliveries_in,
    numbered,
)
from bus_amqp.transport.signals import Cancelled


def _bodies(*numbers: int) -> list[bytes]:
    return [str(number).encode() for number in numbers]


class TestPrefetch(Conformance):
    """How much a consumer holds."""

    @both_kinds_of_queue
    def test_no_more_than_the_prefetch_is_in_hand(self, bench: Workbench, arguments: Arguments) -> None:
        """P4: it bounds the memory of a slow subscriber."""
        connection, looking = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        bench.publish(connection, *(numbered(number) for number in range(10)))

        channel = connection.consume_channel(queue, 3)
        first = collect_deliveries(connection, 3)
        bench.wait_ready(looking, queue, 7)
        assert not connection.turn(0.05)
        channel.accept([first[1].tag])

        assert [delivery.body for delivery in collect_deliveries(connection, 1)] == _bodies(3)

    def test_accepted_deliveries_are_gone_in_whatever_order(self, bench: Workbench) -> None:
        """Workers finish as they like: an acknowledgement must cover its own deliveries and no other."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, *(numbered(number) for number in range(10)))
        channel = connection.consume_channel(queue, 20)
        tags = [delivery.tag for delivery in collect_deliveries(connection, 10)]

        channel.accept([tags[8], tags[2], tags[5], tags[4], tags[0], tags[1]])
        channel.accept([tags[9]])
        channel.close()
        bench.wait_ready(other, queue, 3)

        other.consume_channel(queue, 20)
        assert [delivery.body for delivery in collect_deliveries(other, 3)] == _bodies(3, 6, 7)

    def test_accepting_nothing_is_harmless(self, bench: Workbench) -> None:
        """A batch may turn out empty; a frame that acknowledges "all so far" must not come of it."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, numbered(0), numbered(1))
        channel = connection.consume_channel(queue, 20)
        collect_deliveries(connection, 2)

        channel.accept([])
        channel.discard([])
        channel.close()

        bench.wait_ready(other, queue, 2)

    def test_settling_a_delivery_twice_is_harmless(self, bench: Workbench) -> None:
        """A worker and the end of its subscription may both settle; a broker closes the channel over it."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, *(numbered(number) for number in range(4)))
        channel = connection.consume_channel(queue, 2)
        tags = [delivery.tag for delivery in collect_deliveries(connection, 2)]

        channel.accept([tags[1]])
        channel.accept([tags[1], tags[1], tags[0]])
        channel.discard([tags[0]])

        assert [delivery.body for delivery in collect_deliveries(connection, 2)] == _bodies(2, 3)

    def test_settling_on_a_closed_channel_does_nothing(self, bench: Workbench) -> None:
        """Workers finish after their channel is gone: the message is the broker's again."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, numbered(0))
        channel = connection.consume_channel(queue, 2)
        tag = collect_deliveries(connection, 1)[0].tag

        channel.close()
        channel.accept([tag])
        channel.discard([tag])

        bench.wait_ready(other, queue, 1)
        assert not connection.turn(0)

    def test_two_channels_of_a_connection_do_not_mix(self, bench: Workbench) -> None:
        """Tags mean something on their channel only; all subscriptions of a process share one connection."""
        connection = bench.connect()
        queues = [bench.declare_queue(connection, f"{name}.*.*.*.*", name=name) for name in ("a", "b")]
        channels = [connection.consume_channel(queue, 10) for queue in queues]

        connection.publish_channel().send([numbered(n, f"{'ab'[n % 2]}.t.r.u.s") for n in range(10)])

        signals = collect(connection, lambda signals: len(deliveries_in(signals)) >= 10)
        assert [one.body for one in deliveries_in(signals, channels[0])] == _bodies(0, 2, 4, 6, 8)
        assert [one.body for one in deliveries_in(signals, channels[1])] == _bodies(1, 3, 5, 7, 9)

    def test_the_members_of_a_group_share_its_messages(self, bench: Workbench) -> None:
        """A group scales out: each message goes to one member, and every member gets some."""
        first, second, publishing = bench.connect(), bench.connect(), bench.connect()
        queue = bench.declare_queue(first, "#")
        first.consume_channel(queue, 6)
        second.consume_channel(queue, 6)

        bench.publish(publishing, *(numbered(number) for number in range(12)))

        bodies = {delivery.body for one in (first, second) for delivery in collect_deliveries(one, 6)}
        assert bodies == set(_bodies(*range(12)))


class TestGivingBack(Conformance):
    """Closing the channel is how messages are given back."""

    @both_kinds_of_queue
    def test_unsettled_messages_go_back_in_order(self, bench: Workbench, arguments: Arguments) -> None:
        """P3 across reconnects: before all that came later, in their old order, and marked as seen before."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        bench.publish(connection, *(numbered(number) for number in range(20)))
        channel = connection.consume_channel(queue, 10)
        taken = collect_deliveries(connection, 10)
        assert not any(delivery.redelivered for delivery in taken)

        channel.close()
        channel.close()
        bench.wait_ready(other, queue, 20)
        other.consume_channel(queue, 100)

        deliveries = collect_deliveries(other, 20)
        assert [delivery.body for delivery in deliveries] == _bodies(*range(20))
        assert [delivery.redelivered for delivery in deliveries] == [True] * 10 + [False] * 10

    def test_a_closed_channel_delivers_nothing_more(self, bench: Workbench) -> None:
        """What it brought after its end would be handled twice."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        channel = connection.consume_channel(queue, 10)

        channel.close()
        bench.publish(connection, numbered(1))

        assert not deliveries_in(connection.turn(0.05))
        bench.wait_ready(connection, queue, 1)

    @both_kinds_of_queue
    def test_the_next_single_active_consumer_takes_over_in_order(self, bench: Workbench, arguments: Arguments) -> None:
        """P3: one process works, the others stand by and get nothing until it is gone."""
        active, standing_by, publishing = bench.connect(), bench.connect(), bench.connect()
        queue = bench.declare_queue(active, "#", arguments={**arguments, "x-single-active-consumer": True})
        channel = active.consume_channel(queue, 4)
        standing_by.consume_channel(queue, 100)
        bench.publish(publishing, *(numbered(number) for number in range(10)))
        first = collect_deliveries(active, 4)
        assert not standing_by.turn(0.05)

        channel.accept([first[0].tag])
        collect_deliveries(active, 1)
        channel.close()

        assert [delivery.body for delivery in collect_deliveries(standing_by, 9)] == _bodies(*range(1, 10))

    def test_a_message_that_came_back_too_often_is_dead_lettered(self, bench: Workbench) -> None:
        """P5: an event that kills its consumer must not do so for ever."""
        connection = bench.connect()
        letters = bench.declare_dead_letters(connection)
        arguments = {**QUORUM, "x-delivery-limit": 2, **bench.dead_lettering()}
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        bench.publish(connection, numbered(1))

        for _ in range(3):  # the first delivery and two more
            channel = connection.consume_channel(queue, 1)
            collect_deliveries(connection, 1)
            channel.close()

        bench.wait_ready(connection, letters, 1)
        bench.wait_ready(connection, queue, 0)


class TestDiscard(Conformance):
    """Dead letters."""

    @both_kinds_of_queue
    def test_discarded_messages_go_through_the_dead_letter_exchange(
        self, bench: Workbench, arguments: Arguments
    ) -> None:
        """P5: nothing disappears; body, properties and headers stay, and the reason is added."""
        connection = bench.connect()
        letters = bench.declare_dead_letters(connection)
        queue = bench.declare_queue(connection, "#", arguments={**arguments, **bench.dead_lettering()})
        bench.publish(connection, *(numbered(number) for number in range(4)))
        channel = connection.consume_channel(queue, 10)
        deliveries = collect_deliveries(connection, 4)

        channel.discard([deliveries[1].tag, deliveries[3].tag])
        channel.accept([deliveries[0].tag, deliveries[2].tag])
        bench.wait_ready(connection, letters, 2)
        connection.consume_channel(letters, 10)

        dead = collect_deliveries(connection, 2)
        assert [letter.body for letter in dead] == _bodies(1, 3)
        assert [letter.properties.message_id for letter in dead] == ["message-1", "message-3"]
        assert (dead[0].exchange, dead[0].routing_key) == (f"{bench.exchange}.dead", "letter")
        headers = dead[0].properties.headers
        assert headers["x-first-death-reason"] == "rejected"
        assert headers["x-first-death-queue"] == queue
        assert headers["x-first-death-exchange"] == bench.exchange

    def test_discarding_makes_room_for_more(self, bench: Workbench) -> None:
        """A reject settles as well as an acknowledgement: else the consumer would starve on bad messages."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, *(numbered(number) for number in range(4)))
        channel = connection.consume_channel(queue, 2)

        channel.discard([delivery.tag for delivery in collect_deliveries(connection, 2)])

        assert [delivery.body for delivery in collect_deliveries(connection, 2)] == _bodies(2, 3)


class TestLostQueues(Conformance):
    """Queues that are not there, or not any more."""

    def test_consuming_from_an_absent_queue_is_refused(self, bench: Workbench) -> None:
        """P6: ``subscribe`` raises; P7: the bus sees that it must declare again; the connection goes on."""
        connection = bench.connect()

        with pytest.raises(NotFoundOnBrokerError) as caught:
            connection.consume_channel(f"{bench.exchange}.absent", 10)

        assert f"{bench.exchange}.absent" in str(caught.value)
        queue = bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)
        connection.publish_channel().send([numbered(1)])
        collect_deliveries(connection, 1)

    @both_kinds_of_queue
    def test_the_consumer_hears_that_its_queue_was_deleted(self, bench: Workbench, arguments: Arguments) -> None:
        """P7: without this signal a process is up, called healthy, and consumes nothing."""
        connection, operator = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        channel = connection.consume_channel(queue, 10)

        operator.delete_queue(queue)

        cancelled = collect_one(connection, Cancelled)
        assert isinstance(cancelled, Cancelled)
        assert cancelled.channel is channel

    def test_what_a_deleted_queue_delivered_may_still_be_accepted(self, bench: Workbench) -> None:
        """A worker cannot know that the queue of its event is gone: settling it must not break the connection."""
        connection, operator = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, numbered(1))
        channel = connection.consume_channel(queue, 10)
        tag = collect_deliveries(connection, 1)[0].tag
        operator.delete_queue(queue)
        collect_one(connection, Cancelled)

        channel.accept([tag])
        channel.close()

        assert connection.queue_state(queue) is None
        bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)
        bench.publish(connection, numbered(2))
