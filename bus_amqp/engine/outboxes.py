"""Which outbox the settings ask for."""

from __future__ import annotations

from bus_amqp.publish.outbox import Outbox
from bus_amqp.settings import Settings


def make_outbox(settings: Settings) -> Outbox:
    """Return an outbox in memory, or with ``outbox_directory`` one on disk.  Raises ``SettingsError``."""
    own = settings.publisher
    if own.outbox_directory is None:
        return Outbox(own.outbox_events, own.outbox_bytes)
    # Imported here: who keeps events in memory needs no SQLite.
    from bus_amqp.publish.disk_outbox import DiskOutbox
    from bus_amqp.publish.outbox_directory import OutboxDirectory

    directory = OutboxDirectory(own.outbox_directory, settings.exchange, synchronous=own.outbox_synchronous)
    return DiskOutbox(
        own.outbox_events, own.outbox_bytes, directory,
        max_age_seconds=own.outbox_max_age_seconds, rescan_seconds=own.outbox_rescan_seconds,
    )  # fmt: skip
