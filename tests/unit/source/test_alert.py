"""``bus_amqp.source.alert``: what an operator hears, when, and how often."""

import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.source.alert import AlertGenerator
from bus_amqp.source.alert_details import AlertDetails, AlertStatus
from bus_amqp.source.alert_type import AlertType
from bus_amqp.source.threshold import ThresholdPolicy
from tests.unit.source.recording import REFUSAL, RecordingPublisher

MEMORY = ThresholdPolicy(
    alert_type=AlertType.MEMORY, raise_above=0.9, clear_below=0.8, resource_type="Cluster",
    subject="{resource} uses {value:.0%} of its memory",
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def publisher() -> RecordingPublisher:
    return RecordingPublisher()


@pytest.fixture
def alerts(publisher: RecordingPublisher, clock: Clock) -> AlertGenerator:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    return AlertGenerator(publisher, fold_seconds=300, clock=clock, now=lambda: noon)


def details_of(event: Event) -> AlertDetails:
    return AlertDetails.from_wire(event.details)


def told(publisher: RecordingPublisher) -> list[tuple[str, int]]:
    return [(details_of(event).status, details_of(event).count) for event in publisher.events]


def test_an_alert_says_what_is_wrong_where_and_whose_it_is(
    alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """The original names zone and pod by internal numbers and no resource: nobody can subscribe to one."""
    is_out = alerts.raise_alert(
        AlertType.COMPUTE_HOST, "Host is down, name: host-7", "no answer for 90 s",
        zone="zone-1", pod="pod-1", cluster="cluster-1", host="host-7", account="acme", domain="/eu",
    )  # fmt: skip

    assert is_out is True
    event = publisher.only
    assert (event.event_category, event.event_type) == ("AlertEvent", "ALERT.COMPUTE.HOST")
    assert (event.resource_type, event.resource_uuid) == ("Host", "host-7")
    assert event.description == "Host is down, name: host-7"
    assert details_of(event) == AlertDetails(
        status=AlertStatus.RAISED, subject="Host is down, name: host-7", body="no answer for 90 s", zone="zone-1",
        pod="pod-1", cluster="cluster-1", host="host-7", account="acme", domain="/eu",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("place", "resource"),
    [
        ({}, ("", "")),
        ({"zone": "z"}, ("DataCenter", "z")),
        ({"zone": "z", "pod": "p"}, ("Pod", "p")),
        ({"zone": "z", "pod": "p", "cluster": "c"}, ("Cluster", "c")),
        ({"zone": "z", "resource": ("VirtualMachine", "6f2d")}, ("VirtualMachine", "6f2d")),
    ],
)
def test_an_alert_is_about_the_most_exact_place(
    place: dict[str, Any], resource: tuple[str, str], alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """Raised and Cleared of one place keep their order only if the event names it as its resource."""
    alerts.raise_alert("ALERT.USERVM", "trouble", **place)

    assert (publisher.only.resource_type, publisher.only.resource_uuid) == resource


def test_repeated_alerts_fold_into_one_with_a_count(
    alerts: AlertGenerator, publisher: RecordingPublisher, clock: Clock
) -> None:
    """The original's documentation says that alerts come several times; people stop reading them."""
    assert alerts.raise_alert("ALERT.STORAGE", "92 % full", zone="z") is True
    for percent in (93, 94):
        clock.now += 100
        assert alerts.raise_alert("ALERT.STORAGE", f"{percent} % full", zone="z") is False
    assert alerts.untold == 2

    clock.now += 101
    assert alerts.raise_alert("ALERT.STORAGE", "95 % full", zone="z") is True

    assert told(publisher) == [("Raised", 1), ("Raised", 3)]
    first, second = publisher.events
    assert second.description == "95 % full"
    assert details_of(second).alert_id == first.event_id


def test_a_count_goes_out_with_any_call_after_its_window(
    alerts: AlertGenerator, publisher: RecordingPublisher, clock: Clock
) -> None:
    """There is no thread: whoever calls next tells what has ended, whatever the call is about."""
    alerts.raise_alert("ALERT.STORAGE", "full", zone="z")
    alerts.raise_alert("ALERT.STORAGE", "full", zone="z")
    clock.now += 300

    alerts.watch(MEMORY).observe(0.5, resource="cluster-1")

    assert told(publisher) == [("Raised", 1), ("Raised", 1)]
    assert alerts.untold == 0


def test_flush_tells_all_counts_now(alerts: AlertGenerator, publisher: RecordingPublisher) -> None:
    """A program that ends has no next call."""
    for _ in range(3):
        alerts.raise_alert("ALERT.STORAGE", "full", zone="z")

    assert alerts.publish_due() == 0
    assert alerts.flush() == 1
    assert told(publisher) == [("Raised", 1), ("Raised", 2)]
    assert alerts.flush() == 0


def test_the_end_is_told_once_and_closes_what_was_opened(alerts: AlertGenerator, publisher: RecordingPublisher) -> None:
    """A monitor turns green again, for that alert and no other."""
    alerts.raise_alert("ALERT.STORAGE", "full", zone="z")
    assert alerts.clear("ALERT.STORAGE", "70 % full", zone="z") is True
    assert alerts.clear("ALERT.STORAGE", "69 % full", zone="z") is False

    raised, cleared = publisher.events
    assert details_of(cleared).status == "Cleared"
    assert details_of(cleared).alert_id == raised.event_id
    assert cleared.resource_uuid == raised.resource_uuid


def test_a_policy_makes_alerts_of_measurements(alerts: AlertGenerator, publisher: RecordingPublisher) -> None:
    """Policy based, as the design document wants it: the code that measures knows no alert."""
    memory = alerts.watch(MEMORY)

    crossings = [memory.observe(value, resource="cluster-1", zone="z") for value in (0.5, 0.93, 0.95, 0.85, 0.7)]

    assert crossings == [None, AlertStatus.RAISED, None, None, AlertStatus.CLEARED]
    raised, cleared = publisher.events
    assert raised.description == "cluster-1 uses 93% of its memory"
    assert (raised.resource_type, raised.resource_uuid) == ("Cluster", "cluster-1")
    assert (details_of(raised).value, details_of(raised).threshold, details_of(raised).zone) == (0.93, 0.9, "z")
    assert (details_of(cleared).value, details_of(cleared).threshold) == (0.7, 0.8)
    assert details_of(cleared).alert_id == raised.event_id


def test_a_clear_that_leaves_out_the_zone_ends_the_same_alert(
    alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """The resource says which alert it is; a zone more or less must not leave it open."""
    memory = alerts.watch(MEMORY)
    memory.observe(0.93, resource="cluster-1", zone="z")

    memory.observe(0.5, resource="cluster-1")

    raised, cleared = publisher.events
    assert details_of(cleared).alert_id == raised.event_id


def test_while_off_nothing_is_taken_and_what_lasts_is_told_afterwards(
    alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """A crossing that happened while alerts were off is still a crossing when they are on again."""
    memory = alerts.watch(MEMORY)
    alerts.is_enabled = False
    assert memory.observe(0.95, resource="cluster-1") is None
    assert alerts.raise_alert("ALERT.STORAGE", "full") is False
    assert alerts.clear("ALERT.STORAGE", "free") is False
    assert alerts.flush() == 0

    alerts.is_enabled = True
    assert memory.observe(0.95, resource="cluster-1") is AlertStatus.RAISED
    assert told(publisher) == [("Raised", 1)]


def test_a_bus_that_fails_breaks_nothing_and_is_owed_the_alert(
    alerts: AlertGenerator, publisher: RecordingPublisher, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Who finds the fault goes on, and the alert comes as soon as the bus takes it."""
    publisher.error = REFUSAL
    memory = alerts.watch(MEMORY)
    assert memory.observe(0.95, resource="cluster-1") is AlertStatus.RAISED
    assert (alerts.failed, alerts.untold) == (1, 1)
    assert "AlertEvent ALERT.MEMORY was not published" in caplog.text

    publisher.error = None
    clock.now += 1
    memory.observe(0.95, resource="cluster-1")

    assert told(publisher) == [("Raised", 1)]
    assert alerts.untold == 0


def test_an_alert_that_no_bus_can_take_is_not_tried_for_ever(
    alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """Too large today is too large tomorrow: it is told in the log, once, and not each second."""
    publisher.error = EventTooLargeError("event has 2,000,000 bytes")
    alerts.raise_alert("ALERT.STORAGE", "full", "x" * 2_000_000)

    assert (alerts.failed, alerts.untold, alerts.flush()) == (1, 0, 0)


def test_an_alert_type_of_ones_own_is_allowed_and_a_slip_is_told(
    alerts: AlertGenerator, publisher: RecordingPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """The list is open; ALERT.MEMROY is published all the same, and somebody hears of it."""
    alerts.raise_alert("ALERT.LOTTERY", "no winner")
    alerts.raise_alert("ALERT.MEMROY", "low")

    assert len(publisher.events) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "unknown event type ALERT.MEMROY: did you mean ALERT.MEMORY? It is published as it is"
    ]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"alert_type": ""}, "alert_type is ''"),
        ({"subject": ""}, "AlertDetails refused: subject"),
        ({"zone": 7}, "AlertDetails refused: zone"),
        ({"value": float("nan")}, "AlertDetails refused: value"),
        ({"zoom": "z"}, "AlertDetails refused: zoom"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(
    arguments: dict[str, Any], fault: str, alerts: AlertGenerator, publisher: RecordingPublisher
) -> None:
    """The programmer learns it from the call, not from a subscriber's dead letters."""
    with pytest.raises(InvalidArgumentError, match=fault):
        alerts.raise_alert(**{"alert_type": "ALERT.MEMORY", "subject": "low", **arguments})

    assert publisher.events == []


def test_a_measurement_with_a_wrong_place_is_not_taken(alerts: AlertGenerator, publisher: RecordingPublisher) -> None:
    """Otherwise the crossing would count as told, and the next measurement would say nothing."""
    memory = alerts.watch(MEMORY)
    with pytest.raises(InvalidArgumentError, match="zone"):
        memory.observe(0.95, resource="cluster-1", zone=7)  # type: ignore[arg-type]  # on purpose

    assert memory.observe(0.95, resource="cluster-1", zone="z") is AlertStatus.RAISED


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_window_must_be_a_time(seconds: float, publisher: RecordingPublisher) -> None:
    """An endless window would fold all that ever happens into one event that never comes."""
    with pytest.raises(InvalidArgumentError, match="fold_seconds"):
        AlertGenerator(publisher, fold_seconds=seconds)


def test_threads_that_raise_at_once_lose_no_count(alerts: AlertGenerator, publisher: RecordingPublisher) -> None:
    """Sources are called from any thread; a count that races would be smaller than the truth."""

    def raise_many() -> None:
        for _ in range(200):
            alerts.raise_alert("ALERT.STORAGE", "full", zone="z")

    threads = [threading.Thread(target=raise_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alerts.flush()

    assert all(details_of(event).to_wire() == event.details for event in publisher.events)
    assert sum(count for _, count in told(publisher)) == 800
    assert len(publisher.events) == 2


@pytest.mark.parametrize("resource", ["host-7", ("Host",), ("Host", UUID(int=7)), ("Host", None), ("Host", ["x"]), 7])
def test_a_resource_that_is_none_is_refused(resource: Any, alerts: AlertGenerator) -> None:
    """Whoever passes a UUID must be told: the bus refused the event of it, so the alert was a line in the log."""
    with pytest.raises(InvalidArgumentError, match="resource is"):
        alerts.raise_alert(AlertType.COMPUTE_HOST, "Host is down", resource=resource)
