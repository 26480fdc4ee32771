"""What a connection must do: turns and wakes, loss, ending."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from bus_amqp.errors import ConnectionLostError
from bus_amqp.ioloop.service import start_thread
from bus_amqp.testing.conformance.harness import OPTIONAL_FEATURES, TransportHarness
from bus_amqp.testing.conformance.workbench import (
    TIMEOUT_SECONDS,
    Conformance,
    Workbench,
    collect_deliveries,
    numbered,
    turn_until_lost,
)
from bus_amqp.topology.plan import Exchange, Plan


class TestFeatures:
    """What a transport may lack."""

    def test_only_the_listed_features_may_differ(self, harness: TransportHarness) -> None:
        """A transport that calls something else optional would excuse itself from the seam."""
        assert harness.features <= OPTIONAL_FEATURES, f"unknown: {sorted(harness.features - OPTIONAL_FEATURES)}"


class TestTurn(Conformance):
    """One thread waits in ``turn`` for the network and for other threads alike."""

    def test_wake_from_another_thread_ends_a_turn(self, bench: Workbench) -> None:
        """Otherwise a published event waits until the network happens to say something."""
        connection = bench.connect()
        started = time.monotonic()

        def wake_in_a_moment() -> None:
            threading.Event().wait(0.05)  # the turn should be waiting; if it is not yet, it must end all the same
            connection.wake()

        waker = start_thread("bus-waker", wake_in_a_moment)
        signals = connection.turn(TIMEOUT_SECONDS)

        waker.join()
        assert not signals
        assert time.monotonic() - started < TIMEOUT_SECONDS / 2

    def test_wake_before_a_turn_ends_the_next_one(self, bench: Workbench) -> None:
        """A wake between two turns must not be lost: what it announces would wait for the next one."""
        connection = bench.connect()

        connection.wake()
        connection.wake()
        started = time.monotonic()
        connection.turn(TIMEOUT_SECONDS)

        assert time.monotonic() - started < TIMEOUT_SECONDS / 2

    def test_a_wake_is_used_up_by_one_turn(self, bench: Workbench) -> None:
        """A wake that stays would make the loop spin at full load for ever."""
        connection = bench.connect()
        connection.wake()
        connection.turn(TIMEOUT_SECONDS)

        started = time.monotonic()
        connection.turn(0.1)

        assert time.monotonic() - started >= 0.09

    def test_a_turn_of_no_time_does_not_block(self, bench: Workbench) -> None:
        """The publisher takes such turns between two batches."""
        connection = bench.connect()

        started = time.monotonic()
        for _ in range(10):
            assert not connection.turn(0)

        assert time.monotonic() - started < 1

    def test_wake_after_close_is_harmless(self, bench: Workbench) -> None:
        """Callers wake whatever connection they saw last."""
        connection = bench.connect()
        connection.close()

        connection.wake()


class TestLoss(Conformance):
    """A connection that is lost says so with one error, from every call."""

    def test_the_turn_says_that_the_connection_is_lost(self, bench: Workbench) -> None:
        """Otherwise the loop would not reconnect, and a foreign exception would end its thread."""
        connection = bench.connect()

        bench.harness.cut_connections()

        assert isinstance(turn_until_lost(connection), ConnectionLostError)

    def test_no_other_error_comes_from_any_call_after_a_loss(self, bench: Workbench) -> None:
        """What calls a transport handles ``bus_amqp.errors`` only."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        publish_channel = connection.publish_channel()
        consume_channel = connection.consume_channel(queue, 10)
        publish_channel.send([numbered(1), numbered(2)])
        collect_deliveries(connection, 2)
        plan = Plan(exchanges=(Exchange(bench.exchange, "topic"),))
        calls: dict[str, Callable[[], object]] = {
            "turn": lambda: connection.turn(0),
            "declare": lambda: connection.declare(plan),
            "queue_state": lambda: connection.queue_state(queue),
            "delete_queue": lambda: connection.delete_queue(queue),
            "delete_exchange": lambda: connection.delete_exchange("absent"),
            "publish_channel": lambda: connection.publish_channel(),
            "consume_channel": lambda: connection.consume_channel(queue, 1),
            "send": lambda: publish_channel.send([numbered(2)]),
            "accept": lambda: consume_channel.accept([1]),
            "discard": lambda: consume_channel.discard([2]),
        }

        bench.harness.cut_connections()
        turn_until_lost(connection)

        silent = []
        for name, call in calls.items():
            try:
                call()
            except ConnectionLostError:
                continue
            silent.append(name)
        assert not silent, f"these did as if the connection were there: {silent}"

    def test_a_request_on_a_cut_connection_fails_before_any_turn(self, bench: Workbench) -> None:
        """The loss may be found by a declare as well as by a turn."""
        connection = bench.connect()

        bench.harness.cut_connections()

        with pytest.raises(ConnectionLostError):
            connection.queue_state(f"{bench.exchange}.queue")

    def test_closing_channels_and_waking_is_harmless_after_a_loss(self, bench: Workbench) -> None:
        """Whoever cleans up after a loss must not have to ask what is left to clean up."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        publish_channel = connection.publish_channel()
        consume_channel = connection.consume_channel(queue, 10)

        bench.harness.cut_connections()
        turn_until_lost(connection)

        publish_channel.close()
        consume_channel.close()
        connection.wake()
        connection.close()
        connection.close()

    def test_what_was_unsettled_comes_again_on_a_new_connection(self, bench: Workbench) -> None:
        """P2: an event in the hands of a lost consumer is not lost, and is marked as seen before."""
        connection = bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, *(numbered(number) for number in range(5)))
        channel = connection.consume_channel(queue, 10)
        first = collect_deliveries(connection, 5)
        channel.accept([first[0].tag])
        bench.wait_ready(bench.connect("look"), queue, 0)
        connection.turn(0)

        bench.harness.cut_connections()
        turn_until_lost(connection)
        connection.close()
        again = bench.connect()
        bench.wait_ready(again, queue, 4)
        again.consume_channel(queue, 10)

        deliveries = collect_deliveries(again, 4)
        assert [delivery.body for delivery in deliveries] == [b"1", b"2", b"3", b"4"]
        assert all(delivery.redelivered for delivery in deliveries)


class TestClose(Conformance):
    """A connection ends, once."""

    def test_closing_twice_is_harmless(self, bench: Workbench) -> None:
        """Several hands may close when a program ends."""
        connection = bench.connect()

        connection.close()
        connection.close()

    def test_calls_after_close_say_that_the_connection_is_lost(self, bench: Workbench) -> None:
        """A closed connection must not silently become a new one."""
        connection = bench.connect()
        connection.close()

        with pytest.raises(ConnectionLostError):
            connection.turn(0)
        with pytest.raises(ConnectionLostError):
            connection.publish_channel()

    def test_unsettled_messages_go_back_when_the_connection_closes(self, bench: Workbench) -> None:
        """P8: what was fetched and not started is left to others, in order."""
        connection, other = bench.connect(), bench.connect()
        queue = bench.declare_queue(connection, "#")
        bench.publish(connection, *(numbered(number) for number in range(4)))
        connection.consume_channel(queue, 10)
        collect_deliveries(connection, 4)

        connection.close()
        bench.wait_ready(other, queue, 4)
        other.consume_channel(queue, 10)

        assert [delivery.body for delivery in collect_deliveries(other, 4)] == [b"0", b"1", b"2", b"3"]

    def test_closing_is_prompt_after_a_refused_request(self, bench: Workbench) -> None:
        """P8: a connection that works must not use up the time that is kept for one that does not."""
        connection = bench.connect()
        assert connection.queue_state(f"{bench.exchange}.absent") is None

        started = time.monotonic()
        connection.close()

        assert time.monotonic() - started < 1.0

    def test_descriptions_tell_the_place_and_no_password(self, bench: Workbench) -> None:
        """P9: these words go to logs and to health."""
        connector = bench.harness.connector("control")
        connection = bench.connect()

        for text in (connector.address, repr(connector), connection.broker, repr(connection)):
            assert text
            assert "guest:" not in text
            assert "password" not in text
