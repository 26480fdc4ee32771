"""``bus_amqp.ioloop.loop``: the reconnect loop, against connections that follow a script."""

import logging
import threading
import time

import pytest

from bus_amqp.errors import AccessRefusedError, ConnectionLostError, TopologyMismatchError
from bus_amqp.health import BusState
from bus_amqp.ioloop import loop as loop_module
from bus_amqp.transport.signals import Blocked, Unblocked
from tests.unit.fakes import WAIT_SECONDS, FakeConnector, wait_until
from tests.unit.ioloop.clients import LOST, REFUSED, NotingClient, Start, wait_state


def test_a_loop_connects_and_hands_the_connection_to_its_client(start: Start, client: NotingClient) -> None:
    """The client never connects by itself: the reconnect loop is written once."""
    connector = FakeConnector()

    loop = start(connector)

    assert loop.wait_open(WAIT_SECONDS) is None
    wait_until(lambda: client.count("prepare"))
    assert client.calls[:2] == ["opened", "prepare"]
    assert client.connections == connector.connections
    assert connector.roles == ["unit"]
    assert (loop.state, loop.broker, loop.reason, loop.reconnects) == (BusState.OPEN, "Fake 1.0 at fake:5672", "", 0)


def test_a_lost_connection_is_replaced(start: Start, client: NotingClient) -> None:
    """P7: the client hears of the loss, the old connection is closed, and a fresh one follows."""
    connector = FakeConnector()
    loop = start(connector)
    loop.wait_open(WAIT_SECONDS)

    connector.connections[0].lose()
    wait_until(lambda: loop.reconnects == 1)
    wait_state(loop, BusState.OPEN)

    assert [call for call in client.calls if call != "prepare"][:4] == ["opened", "lost", "offline", "opened"]
    assert connector.connections[0].is_closed
    assert not connector.connections[1].is_closed


@pytest.mark.parametrize(
    ("settled_seconds", "following"),
    [(0.0, [0.1, 0.2]), (3600.0, [0.8, 1.6])],
    ids=["after a settled connection", "after one that was dropped at once"],
)
def test_tries_back_off_and_start_again_after_a_success(
    start: Start, monkeypatch: pytest.MonkeyPatch, settled_seconds: float, following: list[float]
) -> None:
    """An outage must not be answered with a storm, nor a broker that takes connections and drops them; the next
    blip must not wait for yesterday's outage.
    """
    monkeypatch.setattr("bus_amqp.ioloop.loop.SETTLED_SECONDS", settled_seconds)
    bounds: list[float] = []

    def note(low: float, high: float) -> float:
        bounds.append(high)
        return 0.0

    connector = FakeConnector(LOST, LOST, LOST, None, LOST)
    loop = start(connector, delay=note)
    loop.wait_open(WAIT_SECONDS)
    assert bounds == pytest.approx([0.1, 0.2, 0.4])

    connector.connections[0].lose()
    wait_until(lambda: loop.reconnects == 1)

    assert bounds[3:] == pytest.approx(following)


def test_a_failed_node_is_followed_by_the_next_one(start: Start) -> None:
    """A cluster: the node that is down is not tried for ever, and the one that answered is kept."""
    down, up, spare = FakeConnector(LOST, LOST, LOST), FakeConnector(), FakeConnector()

    loop = start(down, up, spare)
    loop.wait_open(WAIT_SECONDS)

    assert (len(down.roles), len(up.roles), len(spare.roles)) == (1, 1, 0)
    up.connections[0].lose()
    wait_until(lambda: loop.reconnects == 1)
    assert (len(down.roles), len(up.roles), len(spare.roles)) == (1, 1, 1), "the node that was lost is not first"
    spare.connections[0].lose()
    wait_until(lambda: loop.reconnects == 2)
    assert (len(down.roles), len(up.roles), len(spare.roles)) == (2, 2, 1)


def test_states_tell_a_first_connection_from_a_lost_one(start: Start) -> None:
    """P7: states are visible, with the reason."""
    never = start(FakeConnector(*[LOST] * 10_000), delay=lambda low, high: WAIT_SECONDS)
    wait_until(lambda: never.reason)
    assert (never.state, never.reason) == (BusState.CONNECTING, "nobody answers")

    connector = FakeConnector(None, *[LOST] * 10_000)
    once = start(connector, delay=lambda low, high: WAIT_SECONDS)
    once.wait_open(WAIT_SECONDS)
    connector.connections[0].lose()
    wait_state(once, BusState.RECONNECTING)
    assert "cut by the test" in once.reason


def test_a_refused_login_is_a_failure_and_tried_again_slowly(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotated password: health is false, the broker is not hammered, and the right password ends it."""
    monkeypatch.setattr(loop_module, "REFUSED_PAUSE_SECONDS", WAIT_SECONDS)
    connector = FakeConnector(REFUSED)
    with caplog.at_level(logging.WARNING, "bus_amqp.connection"):
        loop = start(connector)
        wait_state(loop, BusState.FAILED)
        assert loop.reason == "wrong password"
        assert isinstance(loop.wait_open(0), AccessRefusedError)
    assert len(connector.roles) == 1
    assert "wrong password" in caplog.text

    monkeypatch.setattr(loop_module, "REFUSED_PAUSE_SECONDS", 0.0)
    mended = start(FakeConnector(REFUSED, REFUSED))
    wait_state(mended, BusState.OPEN)


def test_waiting_for_the_connection_ends_at_once_when_refused(start: Start) -> None:
    """Bad input: the exact error at ``connect``, not after the timeout."""
    loop = start(FakeConnector(REFUSED, REFUSED))

    started = time.monotonic()
    error = loop.wait_open(WAIT_SECONDS)

    assert error is REFUSED
    assert time.monotonic() - started < WAIT_SECONDS / 2


def test_a_node_that_refuses_does_not_keep_us_from_the_next_one(start: Start) -> None:
    """One node of a cluster with an expired certificate: ``connect`` goes on to the others, without a long pause."""
    refusing, up = FakeConnector(*[REFUSED] * 10), FakeConnector()

    loop = start(refusing, up)

    assert loop.wait_open(WAIT_SECONDS) is None
    assert (len(refusing.roles), len(up.roles)) == (1, 1)


def test_a_cluster_that_refuses_as_a_whole_is_told_when_all_were_asked(start: Start) -> None:
    """A wrong password is wrong on each node: at once, and not after the timeout."""
    nodes = [FakeConnector(*[REFUSED] * 10) for _ in range(3)]

    loop = start(*nodes)
    started = time.monotonic()

    assert loop.wait_open(WAIT_SECONDS) is REFUSED
    assert time.monotonic() - started < WAIT_SECONDS / 2
    assert [len(node.roles) for node in nodes] == [1, 1, 1]
    wait_state(loop, BusState.FAILED)


def test_waiting_for_the_connection_ends_in_time_with_the_last_error(start: Start) -> None:
    """Bad input: a broker that is absent at ``connect``; the error says what was tried."""
    loop = start(FakeConnector(*[LOST] * 10_000), delay=lambda low, high: 0.01)
    wait_until(lambda: loop.reason)

    assert loop.wait_open(0.03) is LOST


def test_a_client_that_is_refused_what_it_needs_fails_the_connection(start: Start, client: NotingClient) -> None:
    """An exchange of another type: the operator's move, so no quick retries and a state that says so."""
    client.error = TopologyMismatchError("another type")
    connector = FakeConnector()

    loop = start(connector)
    wait_state(loop, BusState.FAILED)

    assert isinstance(loop.wait_open(WAIT_SECONDS), TopologyMismatchError)
    assert connector.connections[0].is_closed
    assert client.count("lost") == 1


def test_blocked_and_unblocked_are_states_and_reach_the_client(start: Start, client: NotingClient) -> None:
    """P7: an alarm on the broker is visible; a blocked bus is connected."""
    connector = FakeConnector()
    loop = start(connector)
    loop.wait_open(WAIT_SECONDS)

    connector.connections[0].bring(Blocked("disk"))
    wait_state(loop, BusState.BLOCKED)
    assert loop.reason == "disk"
    assert loop.wait_open(0) is None
    connector.connections[0].bring(Unblocked())
    wait_state(loop, BusState.OPEN)

    assert loop.reason == ""
    assert client.signals == [Blocked("disk"), Unblocked()]


def test_a_connector_that_hangs_is_named_when_the_time_is_over(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad input: a black hole at ``connect``; the error says where, and that trying again may help."""
    monkeypatch.setattr(loop_module, "GRACE_SECONDS", 0.03)
    released = threading.Event()
    connector = FakeConnector(address="black.hole:5672")

    def hang(connection: object) -> None:
        released.wait(WAIT_SECONDS)

    connector.on_connect = hang
    loop = start(FakeConnector(address="never.tried:5672"), connector)
    try:
        loop.wait_open(WAIT_SECONDS)
        hanging = start(connector)
        error = hanging.wait_open(0.02)
    finally:
        released.set()

    assert isinstance(error, ConnectionLostError)
    assert error.is_transient
    assert str(error) == "unit: no connection to black.hole:5672 within 0.02 s"


def test_the_connectors_own_error_wins_over_the_wait(start: Start) -> None:
    """Both keep the same time: the one who knows what was tried must be heard, though he speaks a moment later."""
    waiting = threading.Event()
    connector = FakeConnector()

    def fail_late(connection: object) -> None:
        waiting.wait(WAIT_SECONDS)
        raise LOST

    connector.on_connect = fail_late
    loop = start(connector, delay=lambda low, high: WAIT_SECONDS)
    threading.Timer(0.1, waiting.set).start()

    assert loop.wait_open(0.01) is LOST


@pytest.mark.parametrize("first", [[], [None]], ids=["never connected", "lost"])
def test_an_outage_is_logged_once_and_again_when_its_reason_changes(
    start: Start, caplog: pytest.LogCaptureFixture, first: list[None]
) -> None:
    """Operators see the first outage of a bus that starts without a broker, and no line for each try."""
    other = ConnectionLostError("no route to host")
    connector = FakeConnector(*first, *[LOST] * 5, *[other] * 5, *[LOST] * 5)
    with caplog.at_level(logging.WARNING, "bus_amqp.connection"):
        loop = start(connector)
        if first:
            loop.wait_open(WAIT_SECONDS)
            connector.connections[0].lose()
        wait_until(lambda: len(connector.roles) == 16 + len(first))
        wait_state(loop, BusState.OPEN)
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "cut by the test" not in line] == [
        "unit: nobody answers; trying again",
        "unit: no route to host; trying again",
    ]

    caplog.clear()
    connector._script = [LOST] * 5
    connector.connections[-1].lose()
    wait_until(lambda: len(connector.roles) == 22 + len(first))
    wait_state(loop, BusState.OPEN)
    assert sum("nobody answers" in record.getMessage() for record in caplog.records) == 1, "a new outage, a new line"
