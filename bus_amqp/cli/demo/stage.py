"""``Stage``: the exchange that one run of the demonstration plays on, and what is left of it on the broker.

On a broker of our own it is always the same, and ends with the broker.  On one that was given each run has its own,
since other runs may go on there at the same time, and takes down everything in the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bus_amqp.admin.operator_connection import operator_connection
from bus_amqp.cli import output
from bus_amqp.errors import EventBusException
from bus_amqp.retry import RUNGS_SECONDS
from bus_amqp.settings import Settings, with_exchange
from bus_amqp.topology import names
from bus_amqp.transport.base import Connection

EXCHANGE = "bus.demo"  # our queues stay apart from those of a broker that is in use
GROUPS = ("billing", "workflow")
# The name of a quorum queue costs its broker an Erlang atom for good, so the names of all runs ever are few.
_NUMBERS = 4096


@contextmanager
def stage(settings: Settings, *, is_ours: bool, choose: Callable[[int], int] = random.randrange) -> Iterator[str]:
    """Give the name of the exchange of a run; ``settings``: how to reach a broker that ``is_ours`` or not."""
    if is_ours:
        yield EXCHANGE
        return
    exchange = f"{EXCHANGE}-{choose(_NUMBERS):03x}"
    try:
        yield exchange
    finally:
        try:
            with operator_connection(with_exchange(settings, exchange), client_name="demo") as connection:
                take_down(connection, exchange)
        except EventBusException as exc:
            output.say(f"{exchange} and the queues {exchange}.* stay on the broker: {exc}")


def take_down(connection: Connection, exchange: str) -> None:
    """Delete whatever a run can have left, queues before the exchanges that lead to them.  Absent is no error."""
    waiting = [names.wait_queue(exchange, rung) for rung in RUNGS_SECONDS]
    for group in GROUPS:
        connection.delete_queue(names.group_queue(exchange, group))
    for queue in (*waiting, *(names.dead_queue(exchange, group) for group in (*GROUPS, None))):
        connection.delete_queue(queue)
    others = (names.return_exchange(exchange), names.astray_exchange(exchange), names.dead_exchange(exchange))
    for name in (exchange, *waiting, *others):
        connection.delete_exchange(name)
