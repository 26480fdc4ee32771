"""Who works on a loop in these tests, and how they wait for it."""

from collections.abc import Callable, Sequence

from bus_amqp.errors import AccessRefusedError, ConnectionLostError
from bus_amqp.health import BusState
from bus_amqp.ioloop.loop import Loop
from bus_amqp.transport.base import Connection
from bus_amqp.transport.signals import Signal
from tests.unit.fakes import WAIT_SECONDS, wait_until

LOST = ConnectionLostError("nobody answers")
REFUSED = AccessRefusedError("wrong password")
Start = Callable[..., Loop]


class NotingClient:
    """Writes down what the loop asks of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.connections: list[Connection] = []
        self.signals: list[Signal] = []
        self.finished = True
        self.finishes_in_prepare = False
        self.error: Exception | None = None

    def opened(self, connection: Connection) -> None:
        self.calls.append("opened")
        self.connections.append(connection)
        if self.error is not None:
            raise self.error

    def prepare(self) -> float:
        self.calls.append("prepare")
        self.finished = self.finished or self.finishes_in_prepare
        return WAIT_SECONDS

    def handle(self, signals: Sequence[Signal]) -> None:
        self.signals += signals

    def lost(self) -> None:
        self.calls.append("lost")

    def leaving(self) -> None:
        self.calls.append("leaving")

    def offline(self) -> None:
        self.calls.append("offline")

    def is_finished(self) -> bool:
        return self.finished

    def count(self, call: str) -> int:
        return self.calls.count(call)


def wait_state(loop: Loop, state: BusState) -> None:
    wait_until(lambda: loop.state is state, f"state {state}, not {loop.state},")
