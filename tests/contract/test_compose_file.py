"""The scene in containers: what ``docker compose --profile demo up`` reads."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bus_amqp.process.loader import load_subscribers
from bus_amqp.testing.broker import ARGUMENTS_VARIABLE, BROKER_ARGUMENTS

TOP = Path(__file__).parents[2]
FILE = TOP / "docker-compose.yml"
BROKER, PUBLISHER = "rabbitmq", "publisher"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())["services"]
    return found


@pytest.fixture(scope="module")
def consumers(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if service.get("command", [""])[0] == "run"}


def test_its_broker_is_started_as_ours_are(services: dict[str, Any]) -> None:
    """Whoever starts it by hand must not meet another broker than our tests do."""
    assert services[BROKER]["environment"] == {ARGUMENTS_VARIABLE: BROKER_ARGUMENTS}


def test_the_publisher_waits_until_every_consumer_consumes(services: dict[str, Any], consumers: dict[str, Any]) -> None:
    """What it published before a group's queue was bound would reach nobody, and look like a loss."""
    waits_for = services[PUBLISHER]["depends_on"]

    assert len(consumers) == 4
    assert set(waits_for) == {BROKER, *consumers}
    assert all(each == {"condition": "service_healthy"} for each in waits_for.values())


def test_a_consumer_is_healthy_once_it_has_said_so(consumers: dict[str, Any]) -> None:
    """A check of another file than the one that `run` makes would hold the publisher back for ever."""
    build = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    [here] = [source for source, target in build["force-include"].items() if target == "bus_amqp/examples"]
    for name, service in consumers.items():
        _, reference, option, file = service["command"]

        assert option == "--ready-file", name
        assert service["healthcheck"]["test"] == ["CMD", "test", "-e", file], name
        load_subscribers(reference.replace("bus_amqp.examples", here.replace("/", ".")))


def test_who_has_no_ready_file_is_not_asked_for_it(services: dict[str, Any]) -> None:
    """Compose would report the publisher as unhealthy."""
    assert services[PUBLISHER]["healthcheck"] == {"disable": True}
    assert PUBLISHER not in {name for service in services.values() for name in service.get("depends_on", {})}
