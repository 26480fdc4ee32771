"""``bus_amqp.engine.subscriptions``: a subscription whose connection comes and goes is restored once at a time."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bus_amqp import EventTopic, Settings
from bus_amqp.engine.subscriptions import Subscriptions
from bus_amqp.errors import ConnectionLostError
from bus_amqp.ioloop.control import Control
from bus_amqp.ioloop.loop import Loop
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.subscriber import Declared, SubscriptionOptions


class BusyControl(Control):
    """Takes requests and serves none by itself."""

    def __init__(self) -> None:
        super().__init__(())
        self.asked: list[Future[Any]] = []

    def submit(self, work: Callable[..., Any], timeout_seconds: float, *, keep_seconds: float = 0.0) -> Future[Any]:
        self.asked.append(Future())
        return self.asked[-1]


def test_restores_do_not_pile_up_behind_a_slow_control_connection() -> None:
    """A flapping switch: each new connection asked for the queue again, without end, while the first still waited."""
    control = BusyControl()
    subscriptions = Subscriptions(Settings(url="memory://"), control, Loop("consumer", ()), AsyncLoop(), print)
    declared = Declared((EventTopic(),), print, SubscriptionOptions())
    one, other = (subscriptions._builder.build(declared).consumption for _ in range(2))

    for _ in range(100):
        subscriptions._restore(one)
    subscriptions._restore(other)
    assert len(control.asked) == 2

    control.asked[0].set_exception(ConnectionLostError("gone"))
    subscriptions._restore(one)
    assert len(control.asked) == 3
    control.asked[2].set_result(None)
    subscriptions._restore(one)
    assert len(control.asked) == 4
