"""One consumer process: connect, subscribe, say that it is ready, run until a signal, end cleanly."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bus_amqp.bus import EventBus
from bus_amqp.engine.connect import connect
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.process.installed import Crew
from bus_amqp.process.ledger import Ledger, recorded
from bus_amqp.process.loader import MakeSubscribers, load_subscribers
from bus_amqp.process.plug_ins import Choice
from bus_amqp.settings import Settings


@dataclass(frozen=True, slots=True)
class Consumer:
    """What one consumer process does.

    ``subscribers``: ``package.module:name``, which of the installed plug-ins, or what makes them for a bus.
    ``ready_file`` appears once every subscription is consuming; ``ledger`` gets a line for each event handled.
    """

    subscribers: str | Choice | MakeSubscribers
    client_name: str | None = None
    ready_file: Path | None = None
    ledger: Path | None = None


def run_consumer(consumer: Consumer, settings: Settings) -> None:
    """Run until SIGINT or SIGTERM.  Main thread only; raises what ``connect`` and ``subscribe_all`` raise."""
    subscribe_on = _loaded(consumer)  # before connecting: a misspelt name needs no broker
    _set_ready(consumer.ready_file, is_ready=False)  # an earlier run's would tell of us
    with ExitStack() as stack:
        bus = connect(client_name=consumer.client_name, settings=settings)
        stack.callback(bus.close)
        subscribe_on(bus, stack)
        _set_ready(consumer.ready_file, is_ready=True)
        bus.run_until_signal()


def _loaded(consumer: Consumer) -> Callable[[EventBus, ExitStack], None]:
    if isinstance(consumer.subscribers, Choice):
        crew = Crew(consumer.subscribers)
        return lambda bus, stack: crew.subscribe(bus, stack, _ledger(consumer.ledger, stack))
    given = consumer.subscribers
    make_subscribers = load_subscribers(given) if isinstance(given, str) else given
    return lambda bus, stack: subscribe(bus, make_subscribers, stack, consumer.ledger)


def _ledger(file: Path | None, stack: ExitStack) -> Ledger | None:
    return None if file is None else stack.enter_context(Ledger(file))


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
    if (books := _ledger(ledger, stack)) is not None:
        subscribers = recorded(subscribers, books)
    stack.callback(bus.close)  # a handler must not find its database closed
    bus.subscribe_all(subscribers)
