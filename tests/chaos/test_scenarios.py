"""The register: the issue's list of faults is complete, and none of them is skipped in silence."""

from __future__ import annotations

import pytest

from tests.chaos import faults  # noqa: F401 -- registers the scenarios
from tests.chaos.scenario import REGISTER, STAGES, FaultDidNotBiteError, Scenario, bitten, register

# What the suite was asked for: a scenario that disappears is noticed here.
ASKED_FOR = (
    "broker-killed", "broker-restarted", "connections-closed", "reset", "blackhole-up", "blackhole-down",
    "half-open", "latency", "throttled", "dribbled", "memory-alarm", "disk-alarm", "publisher-killed",
    "consumer-killed", "rolling-restart", "rolling-upgrade", "queues-deleted", "bindings-deleted",
    "consumers-cancelled", "channels-closed", "cluster-leader-killed", "cluster-follower-killed",
    "cluster-partitioned", "cluster-restarted", "handlers-raise", "handlers-hang", "handlers-exit", "poison-flood",
    "outbox-disk-full", "clock-set-back",
)  # fmt: skip


def nothing(scene: object) -> str:
    return "nothing"


def test_every_fault_that_was_asked_for_has_its_scenario():
    """At least those: more are welcome."""
    assert set(ASKED_FOR) - set(REGISTER) == set()


@pytest.mark.parametrize("scenario", REGISTER.values(), ids=lambda scenario: scenario.name)
def test_a_scenario_has_a_stage_and_says_what_it_does(scenario: Scenario):
    """One without a stage would never be played."""
    assert scenario.stages
    assert set(scenario.stages) <= set(STAGES)
    assert scenario.title
    assert scenario.inflict.__doc__


def test_a_name_is_given_once():
    """Two of one name: one of them would never be played."""
    with pytest.raises(ValueError, match="two scenarios"):
        register(Scenario("reset", "again", nothing))


def test_what_a_scenario_needs_is_looked_for_in_the_bus():
    """A scenario of a feature that is not there yet is named as not run; one whose feature is there is played."""
    there = Scenario("one", "one", nothing, needs=("publisher.confirm_window", "bus_amqp.Discard"))
    not_there = Scenario("two", "two", nothing, needs=("publisher.no_such", "bus_amqp.NoSuch", "consumer.prefetch"))

    assert there.missing() == []
    assert not_there.missing() == ["publisher.no_such", "bus_amqp.NoSuch"]


def test_a_fault_that_left_no_trace_fails_its_scenario():
    """A fault that did not bite proves nothing by being survived."""
    assert bitten(3, "sockets cut") == "sockets cut"
    with pytest.raises(FaultDidNotBiteError, match="sockets cut"):
        bitten(0, "sockets cut")


def test_duplicates_are_bounded_by_what_is_in_hand():
    """Prefetch of each consumer and window of each publisher, for each time that they are interrupted."""
    scenario = Scenario("one", "one", nothing)

    assert scenario.bounds_for(3, 0).duplicates == 0
    assert scenario.bounds_for(3, 2).duplicates == 2 * (3 * 100 + 2 * 256)
