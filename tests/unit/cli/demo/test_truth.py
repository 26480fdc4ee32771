from datetime import UTC, datetime, timedelta

from bus_amqp.cli.demo.truth import METERED, hours_used
from bus_amqp.event import Event
from docs.examples import billing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_usage(event_type: str, hour: float, *, resource: str = "vm-1", category: str = "UsageEvent") -> Event:
    used_at = (NOON + timedelta(hours=hour)).isoformat()
    return Event(
        event_category=category,
        event_type=event_type,
        event_source="test",
        resource_uuid=resource,
        details={"account": "acme", "more": {"usedAt": used_at}},
    )


def test_hours_are_counted_on_the_clouds_clock_to_the_end() -> None:
    """What still runs is charged up to the end by billing, so it must be counted up to there."""
    history = [
        a_usage("VM.START", 0),
        a_usage("VOLUME.CREATE", 1, resource="v-1"),
        a_usage("VM.START", 1, category="ActionEvent"),
        a_usage("VM.STOP", 2),
        a_usage("VM.STOP", 3),
        a_usage("VM.REBOOT", 3),
    ]

    assert hours_used(history, until=NOON + timedelta(hours=4)) == 2 + 3
    assert hours_used([], until=NOON) == 0


def test_it_counts_what_billing_charges_for() -> None:
    """The two tables are apart on purpose: a meter that billing loses must show, one that it gains must be counted."""
    assert {(start, stop) for start, stop, _ in billing.METERS.values()} == set(METERED.items())
