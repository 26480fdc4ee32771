"""Send what an outbox directory holds: what killed processes left, what spools got, what was moved aside.

A bus with that directory does it by itself; this is one without events of its own.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bus_amqp.engine.connect import connect
from bus_amqp.errors import InvalidArgumentError, SettingsError, UndeliveredError
from bus_amqp.health import OutboxHealth
from bus_amqp.publish.aside import send_aside_again
from bus_amqp.publish.outbox_directory import OutboxDirectory
from bus_amqp.settings import Settings

LOOK_SECONDS = 0.05
RESCAN_SECONDS = 1.0  # a spooled event waits no longer than that


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What one run did.  ``renewed``: events that had been moved aside, and were sent after all.

    ``outbox.moved_aside``: events that were too old, or that the broker has refused for good.
    """

    sent: int
    renewed: int
    outbox: OutboxHealth


def forward(
    directory: Path, settings: Settings, *, is_once: bool = False, is_again: bool = False, timeout_seconds: float = 30
) -> Forwarded:
    """Send until SIGINT or SIGTERM, or with ``is_once`` what is there and no more.  Main thread only, unless once.

    ``is_again``: also what was moved aside.  Raises ``InvalidArgumentError``, what ``connect`` raises, and with
    ``is_once`` ``UndeliveredError`` if not all is sent within the time.
    """
    if not directory.is_dir():
        raise InvalidArgumentError(f"{directory} is no directory: name the outbox_directory, or what follows spool:")
    if (settings.url or "").startswith("spool:"):
        raise SettingsError("forward needs the url of a broker, and spool: is none")
    renewed = send_aside_again(OutboxDirectory(directory, settings.exchange)) if is_again else 0
    publisher = settings.publisher.model_copy(
        update={"outbox_directory": directory, "outbox_rescan_seconds": RESCAN_SECONDS}
    )
    own = settings.model_copy(update={"publisher": publisher})
    with connect(client_name="bus-amqp forward", require_broker=is_once, settings=own) as bus:
        if is_once:
            deadline = time.monotonic() + timeout_seconds
            while (outbox := _outbox(bus.health().publisher.outbox)).adopted_files:
                if time.monotonic() >= deadline:
                    health = bus.health().publisher
                    raise UndeliveredError(
                        f"{outbox.adopted_files} files of {directory} are not sent after {timeout_seconds} s "
                        f"({outbox.fault or health.reason or bus.state}); they stay there",
                        count=outbox.adopted_files,  # or more: a file has one event at least
                    )
                threading.Event().wait(LOOK_SECONDS)
        else:
            bus.run_until_signal()
    return Forwarded(bus.stats().confirmed, renewed, _outbox(bus.health().publisher.outbox))


def _outbox(health: OutboxHealth | None) -> OutboxHealth:
    assert health is not None  # the bus has a directory
    return health
