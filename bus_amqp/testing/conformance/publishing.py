"""What a publish channel must do: confirms, returns, order, and every byte."""

from __future__ import annotations

import pytest

from bus_amqp.errors import ChannelLostError, NotFoundOnBrokerError
from bus_amqp.testing.conformance.workbench import (
    Arguments,
    Conformance,
    Workbench,
    both_kinds_of_queue,
    collect,
    collect_deliveries,
    collect_one,
    confirmed_sequences,
    numbered,
)
from bus_amqp.topology.plan import Exchange, Plan
from bus_amqp.transport.signals import ChannelClosed, Confirmed, Returned
from bus_amqp.wire.message import HeaderValue, Message


class TestConfirms(Conformance):
    """The broker's word for every message."""

    def test_every_sequence_is_confirmed_once(self, bench: Workbench) -> None:
        """P2: a missing confirm is a receipt that never ends, a double one settles somebody else's."""
        connection = bench.connect()
        bench.declare_queue(connection, "#")
        channel = connection.publish_channel()

        for first in range(0, 2000, 400):
            channel.send([numbered(number) for number in range(first, first + 400)])

        signals = collect(connection, lambda signals: confirmed_sequences(signals, channel) >= 2000)
        confirms = [signal for signal in signals if isinstance(signal, Confirmed)]
        assert max(confirm.sequence for confirm in confirms) == 2000

    def test_sequences_start_at_one_with_every_channel(self, bench: Workbench) -> None:
        """The tracker counts with the channel: a broker's number of another channel would settle the wrong event."""
        connection = bench.connect()
        bench.declare_queue(connection, "#")
        first, second = connection.publish_channel(), connection.publish_channel()

        first.send([numbered(1), numbered(2)])
        second.send([numbered(3)])

        signals = collect(
            connection,
            lambda signals: confirmed_sequences(signals, first) == 2 and confirmed_sequences(signals, second) == 1,
        )
        assert max(signal.sequence for signal in signals if isinstance(signal, Confirmed)) == 2

    def test_an_unroutable_message_is_confirmed(self, bench: Workbench) -> None:
        """An event that nobody subscribes to is done, not failed: publishers do not know their subscribers."""
        connection = bench.connect()
        bench.declare_queue(connection, "somewhere.*.*.*.*")
        channel = connection.publish_channel()

        channel.send([numbered(1, "else.where.a.b.c")])

        signals = collect(connection, lambda signals: confirmed_sequences(signals, channel) == 1)
        assert not [signal for signal in signals if isinstance(signal, Returned)]

    def test_a_mandatory_message_is_returned_before_its_confirm(self, bench: Workbench) -> None:
        """The order is what makes it possible to read the confirm as "not stored"."""
        connection = bench.connect()
        bench.declare_queue(connection, "somewhere.*.*.*.*")
        channel = connection.publish_channel()

        channel.send(
            [
                Message("somewhere.b.c.d.e", b"1", message_id="routed", mandatory=True),
                Message("else.where.a.b.c", b"2", message_id="lost", mandatory=True),
            ]
        )

        signals = collect(connection, lambda signals: confirmed_sequences(signals, channel) == 2)
        returned = [signal for signal in signals if isinstance(signal, Returned)]
        assert [(one.exchange, one.routing_key, one.message_id) for one in returned] == [
            (bench.exchange, "else.where.a.b.c", "lost")
        ]
        assert returned[0].reason
        assert returned[0].channel is channel
        before = signals[: signals.index(returned[0])]
        assert confirmed_sequences(before, channel) < 2, "message 2 was confirmed before it was returned"

    def test_a_publish_to_an_absent_exchange_closes_that_channel_only(self, bench: Workbench) -> None:
        """P7: an exchange that an operator deleted must be noticed, and repaired on the same connection."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        channel = connection.publish_channel()

        channel.send([Message("k", b"lost", exchange=f"{bench.exchange}.absent")])
        closed = collect_one(connection, ChannelClosed)

        assert isinstance(closed, ChannelClosed)
        assert closed.channel is channel
        assert isinstance(closed.error, NotFoundOnBrokerError)
        assert f"{bench.exchange}.absent" in str(closed.error)
        assert closed.error.exchange == f"{bench.exchange}.absent"
        with pytest.raises(ChannelLostError):
            channel.send([numbered(0)])
        channel.close()
        bench.publish(connection, numbered(1))
        bench.wait_ready(connection, queue, 1)

    def test_what_the_transport_kept_is_sent_by_turns(self, bench: Workbench) -> None:
        """``unsent_bytes`` bounds memory: it must come down to nothing when the broker takes everything."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        channel = connection.publish_channel()

        channel.send([Message("c.t.r.u.s", bytes(200_000)) for _ in range(60)])  # more than sockets buffer
        collect(connection, lambda signals: confirmed_sequences(signals, channel) == 60)

        assert channel.unsent_bytes == 0
        bench.wait_ready(connection, queue, 60)


class TestContent(Conformance):
    """What goes in comes out."""

    @both_kinds_of_queue
    def test_order_is_kept(self, bench: Workbench, arguments: Arguments) -> None:
        """P3 begins here: one channel to one queue."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#", arguments=arguments)
        connection.consume_channel(queue, 2000)
        channel = connection.publish_channel()

        for first in range(0, 1000, 100):
            channel.send([numbered(number) for number in range(first, first + 100)])

        bodies = [delivery.body for delivery in collect_deliveries(connection, 1000)]
        assert bodies == [str(number).encode() for number in range(1000)]

    @pytest.mark.parametrize("size_bytes", [0, 1, 131_064, 131_065, 1024 * 1024])
    def test_bodies_of_every_size_arrive_whole(self, bench: Workbench, size_bytes: int) -> None:
        """Frames have a largest size, and an empty body has no body frame at all: both have lost messages before."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)
        body = bytes(number % 251 for number in range(size_bytes))

        connection.publish_channel().send([numbered(1), Message("c.t.r.u.s", body), numbered(2)])

        deliveries = collect_deliveries(connection, 3)
        assert [delivery.body for delivery in deliveries] == [b"1", body, b"2"]
        assert deliveries[1].body_bytes == size_bytes

    def test_a_body_over_the_bound_is_announced_without_its_bytes(self, bench: Workbench) -> None:
        """P9: no message makes the consumer hold more than the bound; P5: it still can be dead-lettered."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)
        size_bytes = bench.harness.max_body_bytes + 1

        connection.publish_channel().send([Message("c.t.r.u.s", bytes(size_bytes), message_id="big"), numbered(1)])

        too_large, after = collect_deliveries(connection, 2)
        assert too_large.body is None
        assert too_large.body_bytes == size_bytes
        assert too_large.properties.message_id == "big"
        assert after.body == b"1"

    def test_properties_make_the_trip(self, bench: Workbench) -> None:
        """Bare messages get id and time from them, and operators read them in the management pages."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)

        connection.publish_channel().send(
            [
                Message(
                    "c.t.r.ü-u.s",
                    b"{}",
                    message_id="id-1",
                    timestamp=1_700_000_000,
                    type="VM.START",
                    app_id="management-server",
                    content_type="text/plain",
                ),
                Message("c.t.r.u.s", b""),
            ]
        )

        full, bare = collect_deliveries(connection, 2)
        assert (full.routing_key, full.exchange, full.content_type) == ("c.t.r.ü-u.s", bench.exchange, "text/plain")
        assert not full.redelivered
        properties = full.properties
        assert (properties.message_id, properties.timestamp) == ("id-1", 1_700_000_000)
        assert (properties.type, properties.app_id) == ("VM.START", "management-server")
        assert properties.content_type == "text/plain"
        assert (bare.properties.message_id, bare.properties.timestamp, bare.properties.type) == ("", 0, "")
        assert bare.content_type == "application/json"

    def test_headers_make_the_trip(self, bench: Workbench) -> None:
        """Attempt counts and first-failure times are headers: a number that comes back as text ends all retries."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        connection.consume_channel(queue, 10)
        headers: dict[str, HeaderValue] = {
            "text": "ein Grüß",
            "empty": "",
            "number": 7,
            "negative": -7,
            "large": 2**40,
            "yes": True,
            "no": False,
            "nothing": None,
        }

        connection.publish_channel().send([Message("c.t.r.u.s", b"{}", headers=headers)])

        received = collect_deliveries(connection, 1)[0].properties.headers
        assert {name: received.get(name, "missing") for name in headers} == headers
        assert received["yes"] is True
        assert type(received["number"]) is int

    def test_the_default_exchange_leads_to_the_queue_of_that_name(self, bench: Workbench) -> None:
        """Dead letters are put back this way, past all bindings."""
        connection = bench.connect()
        queue = bench.declare_queue(connection)

        bench.publish(connection, Message(queue, b"direct", exchange="", mandatory=True))

        connection.consume_channel(queue, 1)
        delivery = collect_deliveries(connection, 1)[0]
        assert (delivery.body, delivery.exchange) == (b"direct", "")

    def test_a_message_may_name_another_exchange(self, bench: Workbench) -> None:
        """The copies that the bus makes go through other exchanges than its events."""
        connection = bench.connect()
        letters = bench.declare_dead_letters(connection)
        connection.declare(Plan(exchanges=(Exchange(bench.exchange, "topic"),)))

        bench.publish(connection, Message("letter", b"copy", exchange=f"{bench.exchange}.dead"))

        bench.wait_ready(connection, letters, 1)
