"""Messages that wait for their time, and what no binding takes: what a ladder of retries stands on."""

from __future__ import annotations

import pytest

from bus_amqp.testing.conformance.workbench import (
    CLASSIC,
    QUORUM,
    Conformance,
    Workbench,
    collect,
    collect_deliveries,
    confirmed_sequences,
    numbered,
)
from bus_amqp.topology.plan import Binding, Exchange, Plan
from bus_amqp.transport.base import Connection
from bus_amqp.transport.signals import Returned
from bus_amqp.wire.message import Message

WAITING = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


class TestExpiration(Conformance):
    """A queue's bound, a message's own, and where the message goes then."""

    @pytest.mark.parametrize("of_message_ms", [0, 300], ids=["of the queue", "of the message"])
    @pytest.mark.parametrize("arguments", [CLASSIC, {**QUORUM, **WAITING}], ids=["classic", "quorum"])
    def test_a_message_whose_time_is_up_goes_on_with_its_key(
        self, bench: Workbench, arguments: dict[str, str | int | bool], of_message_ms: int
    ) -> None:
        """It waits behind a fanout exchange, and its key is still the name of the queue that it returns to."""
        connection = bench.connect()
        back = _declare_return(bench, connection)
        target = bench.declare_queue(connection, name="target")
        other = bench.declare_queue(connection, name="other")
        wait = bench.declare_queue(
            connection,
            name="wait",
            arguments={
                **arguments,
                "x-message-ttl": 3_600_000 if of_message_ms else 300,
                "x-dead-letter-exchange": back,
            },
        )
        connection.declare(
            Plan(
                exchanges=(Exchange(wait, "fanout"),),
                bindings=(Binding(wait, wait, ""), Binding(back, target, target), Binding(back, other, other)),
            )
        )
        connection.consume_channel(target, 10)

        sent = Message(target, b"1", message_id="m", exchange=wait, mandatory=True, expiration_ms=of_message_ms)
        connection.publish_channel().send([sent])

        [delivery] = collect_deliveries(connection, 1)
        assert (delivery.exchange, delivery.routing_key, delivery.body) == (back, target, b"1")
        assert delivery.properties.message_id == "m"
        bench.wait_ready(connection, wait, 0)
        bench.wait_ready(connection, other, 0)

    def test_what_may_wait_for_ever_does(self, bench: Workbench) -> None:
        """Beside one that may not, in the same queue, and behind it: only the head's time counts."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        short = Message("a", b"short", expiration_ms=1)

        bench.publish(connection, short, numbered(1), numbered(2))

        bench.wait_ready(connection, queue, 2)


class TestAlternateExchange(Conformance):
    """What an exchange cannot route goes to another, and is not lost."""

    def test_what_cannot_be_routed_goes_to_the_alternate_exchange(self, bench: Workbench) -> None:
        """A return that leads nowhere ends in the dead letters; mandatory is content with that."""
        connection = bench.connect()
        back = _declare_return(bench, connection)
        astray = bench.declare_queue(connection, name="astray")
        known = bench.declare_queue(connection, name="known")
        connection.declare(
            Plan(bindings=(Binding(f"{bench.exchange}.astray", astray, "gone.*"), Binding(back, known, "known")))
        )
        channel = connection.publish_channel()

        messages = [Message(key, b"1", exchange=back, mandatory=True) for key in ("gone.1", "known", "nowhere")]
        channel.send(messages)

        signals = collect(connection, lambda signals: confirmed_sequences(signals, channel) == 3)
        bench.wait_ready(connection, astray, 1)
        bench.wait_ready(connection, known, 1)
        assert [one.routing_key for one in signals if isinstance(one, Returned)] == ["nowhere"]

    def test_an_expired_message_takes_the_alternate_exchange_too(self, bench: Workbench) -> None:
        """The way back was deleted while it waited."""
        connection = bench.connect()
        back = _declare_return(bench, connection)
        astray = bench.declare_queue(connection, name="astray")
        wait = bench.declare_queue(
            connection, "wait", name="wait", arguments={**QUORUM, **WAITING, "x-dead-letter-exchange": back}
        )
        connection.declare(Plan(bindings=(Binding(f"{bench.exchange}.astray", astray, "wait"),)))

        bench.publish(connection, Message("wait", b"1", expiration_ms=100))

        bench.wait_ready(connection, astray, 1)
        bench.wait_ready(connection, wait, 0)


def _declare_return(bench: Workbench, connection: Connection) -> str:
    """Declare a direct exchange whose alternate is the topic exchange ``.astray``; return its name."""
    astray, back = f"{bench.exchange}.astray", f"{bench.exchange}.return"
    connection.declare(
        Plan(exchanges=(Exchange(astray, "topic"), Exchange(back, "direct", {"alternate-exchange": astray})))
    )
    return back
