"""``Loop``: one thread that owns one connection, keeps it, and makes another when it is lost.

The reconnect loop of the bus, written once.  What is done with the connection is the client's business
(``publish.publisher``, ``consume.consumer``); the loop knows when to connect, when to wait and when to end.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from bus_amqp.backoff import Backoff
from bus_amqp.errors import BrokerRefusedError, ConnectionLostError, TransportError
from bus_amqp.health import BusState
from bus_amqp.ioloop.service import start_thread
from bus_amqp.transport.base import Connection, Connector
from bus_amqp.transport.signals import Blocked, Signal, Unblocked

logger = logging.getLogger("bus_amqp.connection")

SETTLED_SECONDS = 0.5  # a connection that has lived so long ends a row of failures
PARTING_SECONDS = 0.3  # for the last acknowledgements and a goodbye, where somebody listens
FAREWELL_SECONDS = 1.0  # more than a thread needs to end that waits for nothing any more
GRACE_SECONDS = 1.0  # the connector keeps the same time and says more: its error should win
REFUSED_PAUSE_SECONDS = 5.0  # a wrong password does not become right in 100 ms, and brokers throttle bad logins


class LoopClient(Protocol):
    """Who works on the connection; all methods are called on the loop's thread."""

    def opened(self, connection: Connection) -> None:
        """A fresh connection is there."""

    def prepare(self) -> float:
        """Give the connection what is waiting; return how many seconds a turn may last."""

    def handle(self, signals: Sequence[Signal]) -> None:
        """Take what the turn brought."""

    def lost(self) -> None:
        """The connection is gone, with everything on it."""

    def leaving(self) -> None:
        """The loop ends over an open connection: say what must still be said on it."""

    def offline(self) -> None:
        """Do what can be done without a connection; called between tries and when woken."""

    def is_finished(self) -> bool:
        """Return whether the loop, having been told to end, may."""


class Loop:
    """Owns the connection and the thread; any thread may read ``state`` and call ``wake`` and ``stop``."""

    def __init__(self, role: str, connectors: Sequence[Connector], *, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._role = role
        self._connectors = connectors
        self._next_connector = 0  # loop thread only
        self._backoff = backoff()  # loop thread only
        self._opened_at = math.inf  # loop thread only; monotonic
        self._client: LoopClient | None = None
        self._connection: Connection | None = None  # written by the loop thread, read by wake()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # guards what follows, all read by any thread
        self._state = BusState.CONNECTING
        self._reason = ""
        self._broker = ""
        self._error: TransportError | None = None
        self._connects = 0
        self._is_awaited = False  # written before the thread starts
        self._tried: list[str] = []  # addresses, in the order of the first try
        self._failed_in_row = 0  # tries since a connection was open; written by the loop thread
        self._told: set[tuple[BusState, str]] = set()  # loop thread only; what was logged of this outage
        self._nudged = threading.Event()  # interrupts pauses
        self._is_stopping = False  # written by stop(), read by the loop thread
        self._is_abandoned = False  # written by stop(), read by the loop thread

    def __repr__(self) -> str:
        return f"<Loop {self._role} {self.state}{f' ({self._reason})' if self._reason else ''}>"

    @property
    def state(self) -> BusState:
        """The state of this connection."""
        return self._state

    @property
    def reason(self) -> str:
        """Why the state is not ``open``."""
        return self._reason

    @property
    def broker(self) -> str:
        """What answered last, for people."""
        return self._broker

    @property
    def reconnects(self) -> int:
        """How often a lost connection was replaced."""
        return max(0, self._connects - 1)

    def start(self, client: LoopClient, *, is_awaited: bool = False) -> None:
        """Start the thread.

        ``is_awaited``: somebody calls ``wait_open`` next and gives up if refused.  A first refusal is his to tell.
        """
        self._client = client
        self._is_awaited = is_awaited
        self._thread = start_thread(f"bus-{self._role}", lambda: self._run(client))

    def wake(self) -> None:
        """End the current turn early.  From any thread."""
        connection = self._connection
        if connection is not None:
            connection.wake()
        else:
            self._nudged.set()

    def wait_open(self, timeout_seconds: float) -> TransportError | None:
        """Wait until the connection is open.  Return None, or why it is not: at once if refused, else in time.

        With nothing to say by then: ``GRACE_SECONDS`` later.
        """
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while self._state not in (BusState.OPEN, BusState.BLOCKED, BusState.CLOSED):
                remaining = deadline - time.monotonic()
                if self._error is not None and (self._is_refused() or remaining <= 0):
                    return self._error
                if remaining <= -GRACE_SECONDS:
                    tried = ", ".join(self._tried or [connector.address for connector in self._connectors])
                    return ConnectionLostError(f"{self._role}: no connection to {tried} within {timeout_seconds} s")
                self._changed.wait(remaining if remaining > 0 else remaining + GRACE_SECONDS)
            if self._state is BusState.CLOSED:
                return self._error or TransportError(f"{self._role}: closed before it was connected")
        return None

    def _is_refused(self) -> bool:
        # Not by the first node alone: one with an expired certificate must not keep us from the others.
        return isinstance(self._error, BrokerRefusedError) and self._failed_in_row >= len(self._connectors)

    def stop(self, *, at_once: bool = False) -> None:
        """Ask the loop to end: when its client has finished, or ``at_once``."""
        self._is_abandoned = self._is_abandoned or at_once
        self._is_stopping = True
        self.wake()

    def end(self, timeout_seconds: float) -> bool:
        """Wait for the thread, which was asked to stop; then have it end at once, whatever it waits for.

        Return whether it ended by itself.  Takes hardly longer than the time, also with a peer that is silent.
        """
        if self.join(timeout_seconds):
            return True
        self.stop(at_once=True)
        if not self.join(PARTING_SECONDS):
            for connector in self._connectors:
                connector.abort(self._role)
            self.join(FAREWELL_SECONDS)
        return False

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread to end; return whether it did."""
        if self._thread is None or self._thread is threading.current_thread():
            return True
        self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive()

    def _run(self, client: LoopClient) -> None:
        try:
            while not self._is_over(client):
                try:
                    self._serve(client, self._connect())
                except TransportError as error:
                    self._pause(client, self._failed(error))
                except Exception as error:  # the top of a thread: a fault of ours must not end deliveries for good
                    logger.exception("%s: unexpected error; starting afresh", self._role)
                    self._pause(client, self._failed(TransportError(f"unexpected {type(error).__name__}: {error}")))
        finally:
            self._set_state(BusState.CLOSED)

    def _is_over(self, client: LoopClient) -> bool:
        return self._is_stopping and (self._is_abandoned or client.is_finished())

    def _connect(self) -> Connection:
        connector = self._connectors[self._next_connector % len(self._connectors)]
        if connector.address not in self._tried:
            with self._changed:
                self._tried.append(connector.address)
        self._next_connector += 1  # the next try goes to the next node
        connection = connector.connect(self._role)
        self._next_connector -= 1  # and stays with the one that answered
        return connection

    def _serve(self, client: LoopClient, connection: Connection) -> None:
        self._connection = connection
        try:
            client.opened(connection)
            self._opened(connection)
            while not self._is_over(client):
                timeout_seconds = client.prepare()
                # What it was just given may have been the last: nobody would end a turn begun now.
                signals = connection.turn(0.0 if self._is_over(client) else timeout_seconds)
                if signals:
                    self._watch(signals)
                    client.handle(signals)
            client.leaving()
        except TransportError:
            self._next_connector += 1
            raise
        finally:
            self._connection = None
            try:
                client.lost()
            finally:
                connection.close()

    def _watch(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            if isinstance(signal, Blocked):
                self._set_state(BusState.BLOCKED, signal.reason)
                logger.warning("%s: the broker takes no publishes: %s", self._role, signal.reason)
            elif isinstance(signal, Unblocked):
                self._set_state(BusState.OPEN)
                logger.info("%s: the broker takes publishes again", self._role)

    def _opened(self, connection: Connection) -> None:
        self._opened_at = time.monotonic()
        logger.info("%s: connected to %s", self._role, connection.broker)
        with self._changed:
            self._connects += 1
            self._broker = connection.broker
            self._error = None
            self._failed_in_row = 0
        self._told.clear()
        self._set_state(BusState.OPEN)

    def _failed(self, error: TransportError) -> float:
        """Note why there is no connection; return how many seconds to wait before the next try."""
        if time.monotonic() - self._opened_at > SETTLED_SECONDS:
            self._backoff.reset()  # not before: a broker that takes connections and drops them would be flooded
        self._opened_at = math.inf
        with self._changed:
            self._error = error
            self._failed_in_row += 1
            is_refused = self._is_refused()
        never_open = self._connects == 0
        state = BusState.FAILED if is_refused else BusState.CONNECTING if never_open else BusState.RECONNECTING
        is_raised = is_refused and never_open and self._is_awaited  # by wait_open; then nobody tries again
        # One line for each outage and each fault in it, not for each try.
        if (state, str(error)) not in self._told and not is_raised:
            self._told.add((state, str(error)))
            logger.warning("%s: %s; trying again", self._role, error)
        self._set_state(state, str(error))
        return REFUSED_PAUSE_SECONDS if is_refused else self._backoff.next_delay()

    def _pause(self, client: LoopClient, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            self._nudged.clear()  # before looking: a nudge that comes now is seen or ends the wait
            try:
                client.offline()
            except Exception:  # a fault of ours in a chore must not end the thread, and with it all deliveries
                logger.exception("%s: unexpected error without a connection", self._role)
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._is_over(client):
                return
            self._nudged.wait(remaining)

    def _set_state(self, state: BusState, reason: str = "") -> None:
        with self._changed:
            self._state = state
            self._reason = reason
            self._changed.notify_all()
