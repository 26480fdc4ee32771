"""Events of usage, for the tests of billing."""

from datetime import UTC, datetime, timedelta

from bus_amqp import Event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(hour: float) -> datetime:
    """Return the moment so many hours after noon."""
    return NOON + timedelta(hours=hour)


def a_usage(event_type: str, hour: float, *, resource: str = "vm-1", account: str = "acme") -> Event:
    """Return an event of one account's usage, at an hour after noon."""
    return Event(
        event_category="UsageEvent",
        event_type=event_type,
        event_source="test",
        resource_type="VirtualMachine",
        resource_uuid=resource,
        event_time=at(hour),
        details={"account": account},
    )
