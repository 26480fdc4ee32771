"""Loose events as the shortcut leaves them, and what becomes of them."""

from pathlib import Path

from bus_amqp.publish.loose_event import add
from bus_amqp.publish.loose_events import LooseEvents
from bus_amqp.publish.outbox_directory import OutboxDirectory

WHOLE = {
    "version": 1, "exchange": "bus.events", "acceptedAt": 1.5, "routingKey": "a.b.c.1.e", "body": '{"a":"ü"}',
    "messageId": "id", "timestamp": 1, "type": "b", "appId": "e", "contentType": "application/json", "mandatory": True,
}  # fmt: skip


def add_some(directory: Path, *numbers: int, exchange: str = "bus.events", now: float = 1_000_000.0) -> None:
    for number in numbers:
        message = (f"a.b.c.{number}.e", b"{}", f"id-{number}", 1, "b", "e")
        assert add(str(directory), exchange, message, is_mandatory=False, now=now)


def stored(directory: Path) -> list[str]:
    """Return the routing keys of all rows in journals that nobody holds, in their order."""
    found: list[str] = []
    outbox = OutboxDirectory(directory, "bus.events")
    for path in outbox.candidates():
        journal = outbox.adopt(path)
        if journal is not None:
            found += [event.message.routing_key for event in journal.read(0, max_events=10_000, max_bytes=10**9)]
            journal.close()
    return found


def gather(loose: LooseEvents) -> None:
    _, journal = loose.gather(loose.look())
    if journal is not None:
        journal.close()
