"""Kill the broker and start it again while everything else goes on."""

from __future__ import annotations

import time

from bus_amqp.errors import EventBusException
from bus_amqp.ioloop.service import start_thread
from bus_amqp.testing.real_broker import RealBroker

SOON_SECONDS = 30.0  # a broker that its killer has forgotten is started again after this time


class BrokerSwitch:
    """Off and on for a broker that we started.  ``start`` takes seconds and so gets a thread of its own."""

    def __init__(self, broker: RealBroker | None) -> None:
        self._broker = broker if broker is not None and broker.can_restart else None
        self._due_at: float | None = None  # when it shall be back; written by the starting thread too, when it is done
        self._is_starting = False  # set by the caller, reset by the starting thread
        self._error: EventBusException | None = None  # written by the starting thread

    @property
    def is_ours(self) -> bool:
        """Whether there is anything to switch."""
        return self._broker is not None

    @property
    def is_down(self) -> bool:
        """Whether it is killed and not yet back."""
        return self._due_at is not None

    def kill(self, back_in_seconds: float = SOON_SECONDS) -> None:
        """End the broker without warning; it comes back by itself after that time, if nobody starts it before."""
        if self._broker is not None and not self.is_down:
            self._broker.kill()
            self._due_at = time.monotonic() + back_in_seconds

    def start(self) -> None:
        """Start it again, in the background."""
        if self._broker is not None and self.is_down and not self._is_starting:
            self._is_starting = True
            start_thread("demo-broker", self._start)

    def _start(self) -> None:
        assert self._broker is not None  # there would have been nothing to kill
        try:
            self._broker.start()
            self._due_at = None
        except EventBusException as exc:
            self._error = exc
        finally:
            self._is_starting = False

    def look(self) -> str:
        """Return what there is to tell; start a forgotten broker.  Raises what starting it has raised."""
        if self._error is not None:
            raise self._error
        if not self.is_ours:
            return ""
        if self._is_starting:
            return "the broker is starting ..."
        due_at = self._due_at
        if due_at is None:
            return "K kills the broker"
        left = due_at - time.monotonic()
        if left <= 0:
            self.start()
        return f"the broker is dead: R starts it again (by itself in {max(0, left):.0f} s)"

    def wait_until_settled(self) -> None:
        """Let a start that is under way come to its end, before the broker is stopped for good."""
        while self._is_starting:
            time.sleep(0.1)
