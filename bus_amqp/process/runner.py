"""One consumer process: connect, subscribe, say that it is ready, run until a signal, end cleanly."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bus_amqp.bus import EventBus
from bus_amqp.engine.connect import connect
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.process.ledger import Ledger, recorded
from bus_amqp.process.loader import MakeSubscribers, load_subscribers
from bus_amqp.settings import Settings


@dataclass(frozen=True, slots=True)
class Consumer:
    """What one consumer process does.

    ``ready_file`` appears once every subscription is consuming; ``ledger`` gets a line for each event handled.
    """

    reference: str
    client_name: str | None = None
    ready_file: Path | None = None
    ledger: Path | None = None


def run_consumer(consumer: Consumer, settings: Settings) -> None:
    """Run until SIGINT or SIGTERM.  Main thread only; raises what ``connect`` and ``subscribe_all`` raise."""
    make_subscribers = load_subscribers(consumer.reference)  # before connecting: a misspelt name needs no broker
    _set_ready(consumer.ready_file, is_ready=False)  # an earlier run's would tell of us
    with ExitStack() as stack:
        bus = connect(client_name=consumer.client_name, settings=settings)
        stack.callback(bus.close)
        subscribe(bus, make_subscribers, stack, consumer.ledger)
        _set_ready(consumer.ready_file, is_ready=True)
        bus.run_until_signal()


def _set_ready(file: Path | None, *, is_ready: bool) -> None:
    if file is None:
        return
    try:
        if is_ready:
            file.touch()
        else:
            file.unlink(missing_ok=True)
    except OSError as exc:
        raise InvalidArgumentError(f"ready file {file}: {exc.strerror}") from exc


def subscribe(bus: EventBus, make_subscribers: MakeSubscribers, stack: ExitStack, ledger: Path | None = None) -> None:
    """Subscribe on the bus; the stack will close the bus first, then what the subscribers and their books hold."""
    subscribers = stack.enter_context(make_subscribers(bus))
    if ledger is not None:
        subscribers = recorded(subscribers, stack.enter_context(Ledger(ledger)))
    stack.callback(bus.close)  # a handler must not find its database closed
    bus.subscribe_all(subscribers)
