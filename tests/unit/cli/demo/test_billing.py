from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_amqp import Discard, Event
from bus_amqp.cli.demo.billing import UsageLedger
from bus_amqp.cli.demo.cloud import Cloud
from bus_amqp.cli.demo.truth import hours_used

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _usage(event_type: str, hour: float, *, vm: str = "vm-1", account: str = "acme") -> Event:
    return Event(
        event_category="UsageEvent",
        event_type=event_type,
        event_source="test",
        resource_uuid=vm,
        event_time=NOON + timedelta(hours=hour),
        details={"account": account},
    )


def _billed(events: list[Event]) -> dict[tuple[str, str], float]:
    with TemporaryDirectory() as directory:
        ledger = UsageLedger(Path(directory) / "billing.sqlite")
        try:
            for event in events:
                ledger.on_event(event)
            return ledger.hours()
        finally:
            ledger.close()


def test_a_start_and_a_stop_are_hours_of_the_account() -> None:
    """What somebody pays for."""
    events = [_usage("VM.START", 0), _usage("VM.STOP", 1.5), _usage("VM.START", 0, vm="vm-2", account="fjord")]

    assert _billed(events) == {("acme", "vm running"): pytest.approx(1.5)}


def test_a_repeated_start_is_the_same_stretch_and_a_lone_stop_is_none() -> None:
    """A lost stop must not charge the time between two runs twice, nor a stop without a start anything."""
    told = [("VM.STOP", 0), ("VM.START", 1), ("VM.START", 2), ("VM.STOP", 4), ("VM.STOP", 9)]
    events = [_usage(event_type, hour) for event_type, hour in told]

    assert _billed(events) == {("acme", "vm running"): pytest.approx(3)}


def test_what_is_free_is_discarded_with_a_reason(tmp_path: Path) -> None:
    """Events nothing is charged for are no failures: they must not end as dead letters."""
    ledger = UsageLedger(tmp_path / "billing.sqlite")

    with pytest.raises(Discard, match=r"VM\.CREATE"):
        ledger.on_event(_usage("VM.CREATE", 0))
    ledger.close()


_PAYABLE = [
    event
    for event in islice(Cloud(5).events(), 2000)
    if event.event_category == "UsageEvent" and event.event_type not in ("VM.CREATE", "VM.DESTROY")
]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(_PAYABLE))), st.lists(st.sampled_from(_PAYABLE), max_size=20))
def test_hours_are_right_in_any_order_of_arrival_and_with_duplicates(order: list[int], again: list[Event]) -> None:
    """At least once, shared by two processes: events arrive twice and out of order, and the bill must not change."""
    arrived = [_PAYABLE[index] for index in order] + again

    assert sum(_billed(arrived).values()) == pytest.approx(hours_used(_PAYABLE))


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    """The group's members write to the same books, and each sees what the other wrote."""
    one, other = UsageLedger(tmp_path / "billing.sqlite"), UsageLedger(tmp_path / "billing.sqlite")

    one.on_event(_usage("VM.STOP", 2))
    other.on_event(_usage("VM.START", 0))

    assert one.hours() == other.hours() == {("acme", "vm running"): pytest.approx(2)}
    one.close()
    other.close()
