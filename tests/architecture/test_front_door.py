"""What importing the package costs and shows, seen from a fresh interpreter."""

import subprocess
import sys
from functools import cache

import pytest

NAMES_OF_THE_DESIGN = (
    "connect",
    "Event",
    "EventTopic",
    "EventCategory",
    "Subscribers",
    "EventBus",
    "EventBusException",
    # What users catch, annotate and build with, met in review.
    "NotFoundOnBrokerError",
    "ChannelLostError",
    "Gap",
    "SubscriptionHealth",
    "SubscriptionStats",
    "PublisherHealth",
    "load_settings",
)


@cache
def imported_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter holds after the statement."""
    told = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("unwanted", ["kombu", "amqp", "pydantic_settings", "typer", "rich"])
def test_importing_the_package_loads_neither_kombu_nor_settings(unwanted: str):
    """A script that only builds events must not wait for libraries it does not use (pydantic-settings: 200 ms)."""
    assert unwanted not in imported_by("import bus_amqp")


@pytest.mark.parametrize("name", NAMES_OF_THE_DESIGN)
def test_the_front_door_has_the_names_of_the_design(name: str):
    """Users import from the package root and from nowhere else."""
    import bus_amqp

    assert hasattr(bus_amqp, name)
    assert name in bus_amqp.__all__


def test_every_name_of_the_front_door_is_there():
    """A name that `__all__` promises and nobody defines breaks the first user who imports it."""
    import bus_amqp

    assert [name for name in bus_amqp.__all__ if not hasattr(bus_amqp, name)] == []
