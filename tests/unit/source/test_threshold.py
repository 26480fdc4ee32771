"""``bus_amqp.source.threshold``: each crossing is said once, in both directions, and not for a tremble."""

import logging
from typing import Any
from uuid import UUID

import pytest

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.alert_details import AlertStatus
from bus_amqp.source.threshold import Crossings, ThresholdPolicy

RAISED, CLEARED = AlertStatus.RAISED, AlertStatus.CLEARED
MEMORY = ThresholdPolicy(alert_type="ALERT.MEMORY", raise_above=0.9, clear_below=0.8)
ADDRESSES = ThresholdPolicy(alert_type="ALERT.NETWORK.PUBLICIP", raise_below=10, clear_above=20)


def crossings_of(policy: ThresholdPolicy, values: list[float]) -> list[AlertStatus | None]:
    crossings = Crossings(policy)
    return [crossings.observe("cluster-1", value, now=float(second)) for second, value in enumerate(values)]


def test_a_crossing_is_said_once_in_each_direction() -> None:
    """An alert for every measurement above would bury the one that matters."""
    assert crossings_of(MEMORY, [0.5, 0.91, 0.95, 0.99, 0.7, 0.5, 0.91]) == [
        None, RAISED, None, None, CLEARED, None, RAISED,
    ]  # fmt: skip


def test_between_the_thresholds_nothing_changes() -> None:
    """A value that trembles around one threshold must not raise and clear all day."""
    assert crossings_of(MEMORY, [0.85, 0.91, 0.89, 0.91, 0.85, 0.9, 0.8, 0.79, 0.85]) == [
        None, RAISED, None, None, None, None, None, CLEARED, None,
    ]  # fmt: skip


def test_a_value_may_be_too_low_as_well() -> None:
    """Free addresses run out downwards."""
    assert crossings_of(ADDRESSES, [15, 9, 12, 20, 21, 5]) == [None, RAISED, None, None, CLEARED, RAISED]


def test_one_threshold_is_enough() -> None:
    """Without the second the alert ends as soon as the value is no longer beyond the first."""
    full = ThresholdPolicy(alert_type="ALERT.STORAGE", raise_above=90)

    assert crossings_of(full, [90, 90.1, 90, 90]) == [None, RAISED, CLEARED, None]


def test_so_many_samples_in_a_row_are_waited_for() -> None:
    """One odd measurement is no trouble."""
    policy = ThresholdPolicy(alert_type="ALERT.CPU", raise_above=90, for_samples=3)

    assert crossings_of(policy, [95, 95, 50, 95, 95, 95]) == [None, None, None, None, None, RAISED]


def test_so_many_seconds_are_waited_for() -> None:
    """However often somebody measures: a minute above is a minute above."""
    policy = ThresholdPolicy(alert_type="ALERT.CPU", raise_above=90, for_seconds=60)
    crossings = Crossings(policy)

    assert crossings.observe("host-1", 95, now=0) is None
    assert crossings.observe("host-1", 95, now=59.9) is None
    assert crossings.observe("host-1", 95, now=60) is RAISED


def test_resources_are_apart() -> None:
    """The load of one host is no excuse, and no accusation, for another."""
    crossings = Crossings(MEMORY)

    assert crossings.observe("a", 0.95, now=0) is RAISED
    assert crossings.observe("b", 0.5, now=0) is None
    assert crossings.observe("b", 0.95, now=1) is RAISED
    assert crossings.observe("a", 0.5, now=1) is CLEARED


def test_quiet_resources_take_no_memory() -> None:
    """A cloud has a hundred thousand machines, and few of them in trouble."""
    crossings = Crossings(MEMORY, capacity=1)

    for number in range(1000):
        crossings.observe(f"vm-{number}", 0.5, now=0)

    assert "0 raised, 0 on the way" in repr(crossings)


def test_open_alerts_are_bounded_and_the_bound_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """What is forgotten is never cleared by itself: that must not happen without a word."""
    crossings = Crossings(MEMORY, capacity=2)

    for name in ("a", "b", "c"):
        assert crossings.observe(name, 0.95, now=0) is RAISED

    assert crossings.observe("a", 0.95, now=1) is RAISED
    assert crossings.observe("c", 0.5, now=1) is CLEARED
    assert "a is forgotten, and will not be cleared by itself" in caplog.text


def test_resources_on_the_way_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Who is forgotten on the way begins anew: later, but never wrong."""
    crossings = Crossings(ThresholdPolicy(alert_type="ALERT.CPU", raise_above=90, for_samples=2), capacity=1)

    with caplog.at_level(logging.WARNING):
        assert [crossings.observe(name, 95, now=0) for name in ("a", "b", "a", "a")] == [None, None, None, RAISED]

    assert caplog.records == []


def test_an_alert_of_an_earlier_process_can_be_cleared() -> None:
    """A restarted management server must not leave last night's alerts open for ever."""
    crossings = Crossings(MEMORY)

    crossings.assume_raised("cluster-1")

    assert crossings.observe("cluster-1", 0.85, now=0) is None
    assert crossings.observe("cluster-1", 0.5, now=1) is CLEARED


def test_a_resource_that_is_no_more_is_forgotten() -> None:
    """Its name may be given to another one."""
    crossings = Crossings(MEMORY)
    crossings.observe("cluster-1", 0.95, now=0)

    assert crossings.forget("cluster-1") is True
    assert crossings.forget("cluster-1") is False
    assert crossings.observe("cluster-1", 0.5, now=1) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.9", True])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """NaN is neither above nor below: the alert would never be raised, and never be cleared."""
    with pytest.raises(InvalidArgumentError, match=r"value of cluster-1|must be a finite number"):
        Crossings(MEMORY).observe("cluster-1", value, now=0)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({}, "give one of raise_above and raise_below"),
        ({"raise_above": 1, "raise_below": 2}, "give one of raise_above and raise_below"),
        ({"raise_above": 0.8, "clear_below": 0.9}, "clear_below is 0.9, on the wrong side"),
        ({"raise_below": 20, "clear_above": 10}, "clear_above is 10, on the wrong side"),
        ({"raise_above": 0.9, "clear_above": 0.8}, "clear_above does not go with this direction: use clear_below"),
        ({"raise_below": 10, "clear_below": 20}, "clear_below does not go with this direction: use clear_above"),
        ({"raise_above": float("nan")}, "raise_above is nan"),
        ({"raise_above": 1, "clear_below": float("-inf")}, "clear_below is -inf"),
        ({"raise_above": "0.9"}, "raise_above is '0.9'"),
        ({"raise_above": 1, "for_samples": 0}, "for_samples begins at 1"),
        ({"raise_above": 1, "for_seconds": -1}, "for_seconds at 0"),
        ({"raise_above": 1, "subject": "{cluster}"}, "may name {value}, {threshold}, {resource}"),
        ({"raise_above": 1, "subject": "{value:?}"}, "may name"),
        ({"raise_above": 1, "alert_type": ""}, "alert_type is empty"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(arguments: dict[str, Any], fault: str) -> None:
    """Told to who writes it, with what to change, and not by an alert that never comes."""
    with pytest.raises(InvalidArgumentError) as caught:
        ThresholdPolicy(**{"alert_type": "ALERT.MEMORY", **arguments})

    assert fault in str(caught.value)


def test_a_subject_says_which_value_of_what() -> None:
    """An operator reads the subject first, and often nothing else."""
    policy = ThresholdPolicy(
        alert_type="ALERT.MEMORY", raise_above=0.9, subject="{resource} uses {value:.0%} of its memory"
    )

    assert policy.subject_of(0.934, "cluster-1") == "cluster-1 uses 93% of its memory"
    assert MEMORY.subject_of(0.95, "cluster-1") == "ALERT.MEMORY: 0.95 is above 0.9"
    assert ADDRESSES.subject_of(3, "zone-1") == "ALERT.NETWORK.PUBLICIP: 3 is below 10"


@pytest.mark.parametrize("name", ["raise_above", "clear_below", "for_seconds"])
def test_a_number_too_large_for_any_measurement_is_refused(name: str) -> None:
    """By the error that names the field, as for NaN, and not by one of Python's arithmetic."""
    given: dict[str, Any] = {"raise_above": 1.0, name: 10**5000}

    with pytest.raises(InvalidArgumentError, match=f"{name} is too large"):
        ThresholdPolicy(alert_type="ALERT.CPU", **given)
    with pytest.raises(InvalidArgumentError, match="host-1 is too large"):
        Crossings(MEMORY).observe("host-1", 10**5000, now=0)


def test_a_subject_that_takes_no_fractions_is_refused() -> None:
    """It takes the threshold 90, and raises at the first 93.5: the alert would be lost, in the night."""
    with pytest.raises(InvalidArgumentError, match="subject"):
        ThresholdPolicy(alert_type="ALERT.CPU", raise_above=90, subject="{value:d} %")


def test_a_subject_that_takes_fractions_takes_whole_numbers() -> None:
    """``{value:.2}`` is no form of 1, and what is measured may be exactly that."""
    policy = ThresholdPolicy(alert_type="ALERT.CPU", raise_above=0.9, subject="{value:.2} of {resource}")

    assert policy.subject_of(1, "host-1") == "1.0 of host-1"
    assert policy.subject_of(0.987, "host-1") == "0.99 of host-1"


@pytest.mark.parametrize("resource", [None, 7, UUID(int=7), ["host-1"]])
def test_what_is_measured_is_named_by_a_text(resource: Any) -> None:
    """A UUID crossed the threshold, and the event of it was refused by the bus: raised, and nobody had heard of it."""
    crossings = Crossings(MEMORY)

    with pytest.raises(InvalidArgumentError, match="resource"):
        crossings.observe(resource, 0.95, now=0)
    with pytest.raises(InvalidArgumentError, match="resource"):
        crossings.assume_raised(resource)
