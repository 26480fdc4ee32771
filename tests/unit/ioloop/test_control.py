"""``bus_amqp.ioloop.control``: requests to the broker, on a thread that lives while there are some."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bus_amqp.backoff import Backoff
from bus_amqp.errors import (
    AccessRefusedError,
    BusClosedError,
    ConnectionLostError,
    DeadlineExceededError,
    TopologyMismatchError,
)
from bus_amqp.ioloop import control as control_module
from bus_amqp.ioloop.control import Control
from bus_amqp.topology.plan import Plan
from bus_amqp.transport.base import Connection
from tests.unit.fakes import WAIT_SECONDS, FakeConnection, FakeConnector, Running, wait_until

LOST = ConnectionLostError("nobody answers")
Make = Callable[..., Control]


@pytest.fixture
def make() -> Iterator[Make]:
    """Make controls and close them, whatever the test left."""
    controls: list[Control] = []

    def make(*connectors: FakeConnector, delay: float = 0.0) -> Control:
        controls.append(Control(connectors, backoff=lambda: Backoff(uniform=lambda low, high: delay)))
        return controls[-1]

    yield make

    for control in controls:
        assert control.close(WAIT_SECONDS)


def is_running() -> bool:
    return "bus-control" in {thread.name for thread in threading.enumerate()}


def name_of_thread(connection: Connection) -> str:
    return threading.current_thread().name


def test_requests_share_one_connection_on_a_thread_of_their_own(make: Make) -> None:
    """Design, section 6: an RPC on another connection would stall deliveries and heartbeats."""
    connector = FakeConnector()
    control = make(connector)

    assert [control.run(name_of_thread, WAIT_SECONDS) for _ in range(3)] == ["bus-control"] * 3

    control.run(lambda connection: connection.declare(Plan()), WAIT_SECONDS)
    assert connector.roles == ["control"]
    assert connector.connections[0].declared == [Plan()]


def test_without_a_request_there_is_neither_thread_nor_connection(make: Make) -> None:
    """A process that only publishes has one connection and one thread."""
    connector = FakeConnector()
    make(connector)

    assert not is_running()
    assert connector.roles == []


def test_a_request_is_begun_again_on_a_fresh_connection(make: Make) -> None:
    """P6: a blip while declaring is not the subscriber's business; the next node may do as well."""
    first, second = FakeConnector(None, LOST), FakeConnector()
    control = make(first, second)
    used: list[Connection] = []

    def declare(connection: Connection) -> str:
        used.append(connection)
        if len(used) == 1:
            raise ConnectionLostError("in the middle")
        return connection.broker

    assert control.run(declare, WAIT_SECONDS) == "Fake 1.0 at fake:5672"
    assert used == [first.connections[0], second.connections[0]]
    assert first.connections[0].is_closed


def test_a_broker_that_is_absent_for_a_moment_is_waited_for(make: Make) -> None:
    """A restart of the broker takes longer than one try."""
    connector = FakeConnector(*[LOST] * 20)

    assert make(connector).run(lambda connection: "there", WAIT_SECONDS) == "there"
    assert len(connector.roles) == 21


def test_a_request_ends_at_its_deadline_with_the_error_of_the_last_try(make: Make) -> None:
    """P6: within the given time, and with what is really wrong."""
    control = make(FakeConnector(*[LOST] * 100_000), delay=0.005)

    started = time.monotonic()
    with pytest.raises(ConnectionLostError, match="nobody answers"):
        control.run(lambda connection: None, 0.05)

    assert time.monotonic() - started < 1


def test_an_answer_that_does_not_come_ends_the_wait(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport that hangs must not hang the caller too."""
    control = make(FakeConnector())
    go = threading.Event()
    monkeypatch.setattr(control, "submit", lambda work, timeout: Control.submit(control, work, timeout))

    with pytest.raises(ConnectionLostError, match="no answer"):
        control.run(lambda connection: go.wait(WAIT_SECONDS), -0.99)
    go.set()


@pytest.mark.parametrize("error", [TopologyMismatchError("other arguments"), AccessRefusedError("no right")])
def test_a_refusal_is_told_at_once_and_not_tried_again(error: Exception, make: Make) -> None:
    """Bad input: the exact error at ``subscribe``; the refusal may have cost the channel, so start afresh."""
    connector = FakeConnector()
    control = make(connector)
    tries: list[int] = []

    def declare(connection: Connection) -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)) as refused:
        control.run(declare, WAIT_SECONDS)
    assert refused.value is error
    assert len(tries) == 1

    assert control.run(lambda connection: connection is connector.connections[1], WAIT_SECONDS)


def test_a_refused_login_is_told_at_once(make: Make) -> None:
    """Bad input: a wrong password does not become right by trying."""
    connector = FakeConnector(AccessRefusedError("wrong password"))

    with pytest.raises(AccessRefusedError):
        make(connector).run(lambda connection: None, WAIT_SECONDS)

    assert len(connector.roles) == 1


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("ours"), DeadlineExceededError("too slow"), TimeoutError("foreign")]
)
def test_another_error_of_a_request_is_its_callers(error: Exception, make: Make) -> None:
    """The thread serves others: one caller's fault must not end it."""
    control = make(FakeConnector())

    def fail(connection: Connection) -> None:
        raise error

    with pytest.raises((type(error), ConnectionLostError)):
        control.run(fail, WAIT_SECONDS)
    assert control.run(lambda connection: "alive", WAIT_SECONDS) == "alive"


def test_an_idle_control_closes_its_connection_and_ends_its_thread(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept for a request that may never come; the next one opens another connection."""
    monkeypatch.setattr(control_module, "IDLE_SECONDS", 0.02)
    connector = FakeConnector()
    control = make(connector)
    control.run(lambda connection: None, WAIT_SECONDS)

    wait_until(lambda: not is_running(), "the end of the idle thread")
    assert connector.connections[0].is_closed
    assert connector.connections[0].turns > 0, "heartbeats go on while it is kept"
    control.run(lambda connection: None, WAIT_SECONDS)

    assert len(connector.connections) == 2


def test_a_connection_that_is_lost_while_idle_is_dropped(make: Make) -> None:
    """The next request must not be the one that finds out."""
    connector = FakeConnector()
    control = make(connector)
    control.run(lambda connection: None, WAIT_SECONDS)

    connector.connections[0].lose()
    wait_until(lambda: not is_running(), "the end of the thread")

    assert connector.connections[0].is_closed
    assert control.run(lambda connection: connection is connector.connections[1], WAIT_SECONDS)


def test_a_request_ends_the_idle_turn(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request must not wait for the turn that keeps the heartbeats going."""
    monkeypatch.setattr(control_module, "IDLE_SECONDS", 2 * WAIT_SECONDS)
    control = make(FakeConnector())
    control.run(lambda connection: None, WAIT_SECONDS)

    started = time.monotonic()
    control.run(lambda connection: None, WAIT_SECONDS)

    assert time.monotonic() - started < WAIT_SECONDS / 2


def test_closing_serves_what_waits_and_refuses_what_comes_after(make: Make) -> None:
    """P8: the queue of a temporary subscription is still deleted; nothing is left of the thread."""
    control = make(FakeConnector())
    begun, go = threading.Event(), threading.Event()
    served: list[int] = []

    def first(connection: Connection) -> None:
        begun.set()
        go.wait(WAIT_SECONDS)
        served.append(1)

    waiting = [control.submit(first, WAIT_SECONDS), control.submit(lambda connection: served.append(2), WAIT_SECONDS)]
    assert begun.wait(WAIT_SECONDS)
    closing = Running(lambda: control.close(WAIT_SECONDS))
    wait_until(lambda: closed(control), "the close")
    go.set()

    assert closing.result() is True
    assert [future.done() for future in waiting] == [True, True]
    assert served == [1, 2]
    with pytest.raises(BusClosedError):
        control.submit(lambda connection: None, WAIT_SECONDS)
    assert not is_running()


def closed(control: Control) -> bool:
    try:
        control.submit(lambda connection: None, 0)
    except BusClosedError:
        return True
    return False


def test_closing_does_not_sit_out_a_pause_between_tries(make: Make) -> None:
    """P8: a broker that is absent must not delay the end."""
    connector = FakeConnector(*[LOST] * 100)
    control = make(connector, delay=30.0)
    future = control.submit(lambda connection: None, 60)
    wait_until(lambda: connector.roles)

    assert control.close(WAIT_SECONDS)

    assert isinstance(future.exception(0), ConnectionLostError)


def test_closing_from_a_requests_own_callback_does_not_wait_for_itself(make: Make) -> None:
    """Callbacks of futures run on the control thread."""
    control = make(FakeConnector())
    outcome: list[bool] = []
    go = threading.Event()

    future = control.submit(lambda connection: go.wait(WAIT_SECONDS), WAIT_SECONDS)
    future.add_done_callback(lambda _: outcome.append(control.close(WAIT_SECONDS)))
    go.set()

    wait_until(lambda: outcome)
    assert outcome == [True]


@pytest.mark.usefixtures("restless_threads")
def test_a_connection_has_one_owner_however_requests_and_idle_ends_interleave(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread owns one connection: a thread that ends must not leave its connection to the next one."""
    monkeypatch.setattr(control_module, "IDLE_SECONDS", 0.0)
    connector = FakeConnector()
    control = make(connector)
    callers, each = 3, 150

    def ask() -> None:
        for _ in range(each):
            # The fake checks who calls, and that it is still open.
            control.run(lambda connection: connection.declare(Plan()), WAIT_SECONDS)

    for one in [Running(ask) for _ in range(callers)]:
        one.result()
    wait_until(lambda: not is_running(), "the end of the idle thread")

    connections: list[FakeConnection] = connector.connections
    assert sum(len(connection.declared) for connection in connections) == callers * each
    assert all(connection.is_closed for connection in connections)
