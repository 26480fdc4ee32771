"""``bus_amqp.ioloop.control`` when something fails that should not, and when it is closed without a broker."""

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.errors import ConnectionLostError
from bus_amqp.ioloop import control as control_module
from bus_amqp.ioloop.control import Control
from bus_amqp.transport.base import Connection
from bus_amqp.transport.signals import Signal
from tests.unit.fakes import WAIT_SECONDS, FakeConnection, FakeConnector, Running, wait_until

LOST = ConnectionLostError("nobody answers")


def a_control(connector: FakeConnector) -> Control:
    return Control([connector], backoff=lambda: Backoff(uniform=lambda low, high: 0.0))


def is_running() -> bool:
    return "bus-control" in {thread.name for thread in threading.enumerate()}


def test_an_idle_connection_that_fails_oddly_is_dropped_and_the_next_request_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P7: a thread that died "running" would leave every later ``subscribe`` and every restore unanswered."""
    connector = FakeConnector()
    control = a_control(connector)

    def fail(timeout_seconds: float) -> Sequence[Signal]:
        raise ZeroDivisionError("in the turn")

    def spoil(connection: FakeConnection) -> None:
        if not connector.connections:
            connection.turn = fail  # type: ignore[method-assign]  # the first connection fails in its first turn

    connector.on_connect = spoil
    with caplog.at_level(logging.ERROR, "bus_amqp.connection"):
        control.run(lambda connection: None, WAIT_SECONDS)
        wait_until(lambda: not is_running(), "the end of the thread")

    assert "in the turn" in caplog.text
    assert connector.connections[0].is_closed
    assert control.run(lambda connection: "served", WAIT_SECONDS) == "served"
    assert control.close(WAIT_SECONDS)


def test_a_thread_that_ends_in_an_unforeseen_way_strands_nobody() -> None:
    """P7: whoever waits is told, and the next request has a thread again."""
    connector = FakeConnector()
    begun, go = threading.Event(), threading.Event()
    faults = [ZeroDivisionError("a fault of the bus")]

    def backoff() -> Backoff:
        if connector.connections and faults:
            begun.set()
            go.wait(WAIT_SECONDS)
            raise faults.pop()
        return Backoff()

    control = Control([connector], backoff=backoff)
    control.run(lambda connection: None, WAIT_SECONDS)
    stranded = [control.submit(lambda connection: None, WAIT_SECONDS)]
    assert begun.wait(WAIT_SECONDS)
    stranded.append(control.submit(lambda connection: None, WAIT_SECONDS))
    go.set()

    assert all(isinstance(future.exception(WAIT_SECONDS), ConnectionLostError) for future in stranded)
    wait_until(lambda: not is_running(), "the end of the thread")
    assert connector.connections[0].is_closed
    assert control.run(lambda connection: "served", WAIT_SECONDS) == "served"
    assert control.close(WAIT_SECONDS)


def test_closing_without_a_broker_tries_once_and_not_for_each_request() -> None:
    """P8: a hundred temporary queues to delete, each with its own connect timeout, would be minutes."""
    connector = FakeConnector(None, *[LOST] * 100)
    control = a_control(connector)
    begun, go = threading.Event(), threading.Event()

    def lose(connection: Connection) -> None:
        begun.set()
        go.wait(WAIT_SECONDS)
        raise LOST

    waiting = [control.submit(lose, WAIT_SECONDS)]
    assert begun.wait(WAIT_SECONDS)
    waiting += [control.submit(lambda connection: None, WAIT_SECONDS) for _ in range(20)]
    closing = Running(lambda: control.close(WAIT_SECONDS))
    wait_until(control._ending.is_set, "the close")
    go.set()

    assert closing.result() is True
    assert all(future.exception(0) is LOST for future in waiting)
    assert len(connector.roles) == 1


def test_a_connection_is_kept_for_a_request_that_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audits come each half-minute: one connection for each of them and each process would be a storm of connects."""
    monkeypatch.setattr(control_module, "IDLE_SECONDS", 0.02)
    connector = FakeConnector()
    connector.on_connect = lambda connection: setattr(connection, "turn", _short_turn(connection))
    control = a_control(connector)
    control.submit(lambda connection: None, WAIT_SECONDS, keep_seconds=WAIT_SECONDS).result(WAIT_SECONDS)
    control.run(lambda connection: None, WAIT_SECONDS)  # announces nothing, and revokes nothing
    turns = connector.connections[0].turns

    wait_until(lambda: connector.connections[0].turns > turns + 10, "more idle turns than IDLE_SECONDS has room for")

    assert is_running()
    assert control.close(WAIT_SECONDS)
    assert len(connector.connections) == 1


def _short_turn(connection: FakeConnection) -> Callable[[float], Sequence[Signal]]:
    return lambda timeout_seconds: FakeConnection.turn(connection, min(0.01, timeout_seconds))
