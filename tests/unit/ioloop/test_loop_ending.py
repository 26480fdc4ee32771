"""``bus_amqp.ioloop.loop``: how a loop is woken and how it ends."""

import logging
import threading
import time

import pytest

from bus_amqp.errors import TransportError
from bus_amqp.health import BusState
from tests.unit.fakes import WAIT_SECONDS, FakeConnection, FakeConnector, wait_until
from tests.unit.ioloop.clients import LOST, NotingClient, Start, wait_state


def test_a_loop_that_ended_is_not_open(start: Start) -> None:
    """A thread that died of a fault of ours must not look like a connection."""
    loop = start(FakeConnector(*[LOST] * 10_000))
    loop.stop(at_once=True)
    wait_state(loop, BusState.CLOSED)

    assert isinstance(loop.wait_open(0), TransportError)


def test_a_wake_ends_the_turn(start: Start, client: NotingClient) -> None:
    """What a caller has put into a mailbox is looked at now and not at the next heartbeat."""
    loop = start(FakeConnector())
    loop.wait_open(WAIT_SECONDS)
    wait_until(lambda: client.count("prepare") == 1)

    loop.wake()

    wait_until(lambda: client.count("prepare") == 2)


def test_a_wake_without_a_connection_calls_offline(start: Start, client: NotingClient) -> None:
    """``unsubscribe`` needs no broker: it must not wait for one."""
    loop = start(FakeConnector(*[LOST] * 10_000), delay=lambda low, high: WAIT_SECONDS)
    wait_until(lambda: client.count("offline") == 1)

    loop.wake()

    wait_until(lambda: client.count("offline") == 2)


def test_stopping_while_disconnected_ends_quickly(start: Start, client: NotingClient) -> None:
    """P8: ``close`` during an outage must not sit out the backoff."""
    loop = start(FakeConnector(*[LOST] * 10_000), delay=lambda low, high: 60.0)
    wait_until(lambda: client.count("offline"))
    before = client.count("offline")

    started = time.monotonic()
    loop.stop()

    assert loop.join(WAIT_SECONDS)
    assert time.monotonic() - started < 1
    assert client.count("offline") > before
    assert loop.state is BusState.CLOSED


def test_stopping_waits_until_the_client_has_finished(start: Start, client: NotingClient) -> None:
    """P8: ``close`` flushes; over a lost connection too."""
    client.finished = False
    connector = FakeConnector()
    loop = start(connector)
    loop.wait_open(WAIT_SECONDS)

    loop.stop()
    connector.connections[0].lose()
    wait_until(lambda: loop.reconnects == 1)
    assert not loop.join(0.02)

    client.finished = True
    loop.wake()
    assert loop.join(WAIT_SECONDS)
    assert connector.connections[1].is_closed
    assert client.calls[-1] == "lost"


@pytest.mark.parametrize("script", [(), (LOST,) * 1000])
def test_stopping_at_once_does_not_wait_for_the_client(
    script: tuple[Exception, ...], start: Start, client: NotingClient
) -> None:
    """The time of ``close`` is over: what is left is counted, not sent."""
    client.finished = False
    loop = start(FakeConnector(*script), delay=lambda low, high: 60.0)
    wait_until(lambda: client.calls)

    loop.stop()
    loop.stop(at_once=True)

    assert loop.join(WAIT_SECONDS)


def test_what_is_finished_by_its_last_letter_is_not_followed_by_a_turn(start: Start, client: NotingClient) -> None:
    """P8: nobody would end that turn before the next heartbeat."""
    client.finished = False
    loop = start(FakeConnector())
    loop.wait_open(WAIT_SECONDS)
    wait_until(lambda: client.count("prepare") == 1)
    client.finishes_in_prepare = True

    started = time.monotonic()
    loop.stop()

    assert loop.join(WAIT_SECONDS)
    assert time.monotonic() - started < 1


def test_a_fault_of_ours_is_logged_and_followed_by_a_fresh_start(
    start: Start, client: NotingClient, caplog: pytest.LogCaptureFixture
) -> None:
    """P7: a thread that dies in silence is a bus that looks well and delivers nothing."""
    client.error = ZeroDivisionError("ours")
    connector = FakeConnector()
    with caplog.at_level(logging.ERROR):
        loop = start(connector, delay=lambda low, high: 0.01)
        wait_until(lambda: loop.reason)
        assert "ZeroDivisionError: ours" in loop.reason
        client.error = None
        wait_state(loop, BusState.OPEN)

    assert "Traceback" in caplog.text
    assert connector.connections[0].is_closed
    assert "lost" in client.calls


def test_a_thread_may_not_join_itself(start: Start, client: NotingClient) -> None:
    """``close`` from a callback: the answer is immediate, not a deadlock."""
    outcome: list[bool] = []
    connector = FakeConnector()

    def join_from_inside(connection: FakeConnection) -> None:
        ready.wait(WAIT_SECONDS)
        outcome.append(loop.join(WAIT_SECONDS))

    ready = threading.Event()
    connector.on_connect = join_from_inside
    loop = start(connector)
    ready.set()
    loop.wait_open(WAIT_SECONDS)

    assert outcome == [True]


class HangingConnector(FakeConnector):
    """A node that answers nothing until the connect is aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up = threading.Event()

    def connect(self, role: str) -> FakeConnection:
        self.roles.append(role)
        assert self.given_up.wait(WAIT_SECONDS), "nobody gave up"
        raise LOST

    def abort(self, role: str) -> None:
        super().abort(role)
        self.given_up.set()


def test_a_connect_that_hangs_is_given_up_at_the_end(start: Start) -> None:
    """P8: ``close`` must not take a connect timeout longer than it was given."""
    connector = HangingConnector()
    loop = start(connector)
    wait_until(lambda: connector.roles)

    assert loop.end(0.0) is False

    assert loop.join(0.0)
    assert connector.aborted == connector.roles


def test_who_ends_by_himself_is_not_hurried(start: Start) -> None:
    """The last acknowledgements and the goodbye are worth their milliseconds."""
    connector = FakeConnector()
    loop = start(connector)
    loop.wait_open(WAIT_SECONDS)
    loop.stop()

    assert loop.end(WAIT_SECONDS) is True
    assert connector.aborted == []
