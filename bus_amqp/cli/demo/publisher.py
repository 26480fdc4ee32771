"""The management server: publish the cloud's events at a steady rate, and write down what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bus_amqp.bus import EventBus
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.cli.demo.failures import Failures
from bus_amqp.errors import OutboxFullError
from bus_amqp.event import Event
from bus_amqp.process.ledger import Ledger
from bus_amqp.receipt import Receipt, ReceiptState

_NAP_SECONDS = 0.05
FLUSH_SECONDS = 600.0  # the demonstration's user may kill the broker, look around, and start it again


@dataclass(frozen=True, slots=True)
class Load:
    """How much, how fast (0: as fast as it goes), which stream."""

    events: int = 20_000
    rate: float = 700.0
    seed: int = 1


def publish_stream(
    bus: EventBus, load: Load, ledger: Ledger | None = None, is_wanted: Callable[[], bool] = lambda: True
) -> int:
    """Publish until done or not wanted any more; return how many were accepted.  Does not wait for confirms."""
    start = time.monotonic()
    moments = Cloud(load.seed).moments()
    failures = Failures()
    accepted = 0
    while accepted < load.events:
        if load.rate:
            time.sleep(max(0.0, start + accepted / load.rate - time.monotonic()))
        # The events are made after the pause, because making them stamps them with the time.
        for event in next(moments)[: load.events - accepted]:
            if not _publish(bus, event, ledger, is_wanted):
                return accepted
            accepted += 1
            if ledger is not None:
                for what, failure in failures.note(event):
                    ledger.write(what, failure)
    return accepted


def _publish(bus: EventBus, event: Event, ledger: Ledger | None, is_wanted: Callable[[], bool]) -> bool:
    while is_wanted():
        try:
            receipt = bus.publish(event)
        except OutboxFullError as exc:  # the broker is away for long; a cloud would shed load, a demonstration waits
            if not exc.is_transient:
                raise
            time.sleep(_NAP_SECONDS)
            continue
        if ledger is not None:
            ledger.write("accepted", event)
            receipt.add_done_callback(_note_confirm(ledger, event))
        return True
    return False


def _note_confirm(ledger: Ledger, event: Event) -> Callable[[Receipt], None]:
    def note(receipt: Receipt) -> None:
        ledger.write("confirmed" if receipt.state is ReceiptState.CONFIRMED else "failed", event)

    return note
