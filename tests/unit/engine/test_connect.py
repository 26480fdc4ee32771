"""``bus_amqp.engine.connect``: where the url comes from, and what ``connect`` refuses before it starts anything."""

import logging
import os
import threading
from typing import Any

import pytest

import bus_amqp.transport.amqp.connector as amqp_connector
from bus_amqp.engine.connect import _from_anywhere, connect
from bus_amqp.errors import AccessRefusedError, InvalidArgumentError, SettingsError
from bus_amqp.sections import ConnectionSettings, PublisherSettings
from bus_amqp.settings import Settings
from tests.unit.fakes import FakeConnector, an_event, wait_until

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("BUS_AMQP_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def connectors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the connectors of the network; return the urls that they were given."""
    urls: list[str] = []

    def connector(url: str, settings: ConnectionSettings, **options: object) -> FakeConnector:
        urls.append(url)
        return FakeConnector(address=url)

    monkeypatch.setattr(amqp_connector, "AmqpConnector", connector)
    return urls


def test_settings_without_a_url_leave_it_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that sets a timeout in code must still run where the operator says."""
    monkeypatch.setenv("BUS_AMQP_URL", "memory://from-environment")

    with connect(settings=Settings(exchange="mine")) as bus:
        assert "from-environment" in bus.health().broker
        assert "mine" in repr(bus)
    with connect(settings=Settings(url="memory://from-settings")) as bus:
        assert "from-settings" in bus.health().broker
    with connect("memory://from-argument", settings=Settings(url="memory://from-settings")) as bus:
        assert "from-argument" in bus.health().broker


def test_without_any_url_the_ways_are_named() -> None:
    """Never a silent guest@localhost, with settings in hand or without."""
    with pytest.raises(SettingsError, match="BUS_AMQP_URL"):
        connect()
    with pytest.raises(SettingsError, match="BUS_AMQP_URL"):
        connect(settings=Settings())


def test_a_fleet_does_not_sit_on_the_first_node() -> None:
    """Each process begins with a node of its own choice, and goes through the others in their order."""
    nodes = [FakeConnector(address=name) for name in ("one", "two", "three")]

    orders = [[node.address for node in _from_anywhere(nodes, lambda count, first=n: first)] for n in range(3)]

    assert orders == [["one", "two", "three"], ["two", "three", "one"], ["three", "one", "two"]]
    assert {_from_anywhere(nodes)[0].address for _ in range(200)} == {"one", "two", "three"}


@pytest.mark.parametrize(
    "url", ["amqp://one,amqps://two:5671", ["amqp://one", "amqps://two:5671"]], ids=["commas", "a list"]
)
def test_the_nodes_of_a_cluster_may_be_a_list_or_one_text(url: str | list[str], connectors: list[str]) -> None:
    """What works in ``BUS_AMQP_URL`` works as an argument."""
    connect(url, require_broker=False).close(5)

    assert connectors == ["amqp://one", "amqps://two:5671"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqp://[::1", "invalid host"),
        (f"amqp://bus:{SECRET}@[::1", "invalid host"),
        ("", "write amqp://"),
        ("broker:5672", "write amqp://"),
        ("memory:", "write amqp://"),
        ("memory://a,amqp://b", "write amqp://"),
        ([], "empty"),
        ([5], "each url must be a string, not int"),
        ([f"amqp://bus:{SECRET}@broker".encode()], "each url must be a string, not bytes"),
        (f"amqp://bus:{SECRET}@broker".encode(), "string or a sequence of them, not bytes"),
        (5, "string or a sequence of them, not int"),
    ],
)
def test_what_is_no_url_is_refused(url: Any, told: str) -> None:
    """Bad input: one kind of error, never a foreign one, and no password in it."""
    before = threading.active_count()

    with pytest.raises(SettingsError, match=told) as refused:
        connect(url)

    assert SECRET not in str(refused.value)
    assert threading.active_count() == before


@pytest.mark.parametrize("exchange", ["", 5, "e" * 300], ids=["empty", "a number", "too long"])
def test_what_cannot_be_an_exchange_is_refused(exchange: Any) -> None:
    """Bad input: found here by name, not by the broker on a reconnect that never ends."""
    with pytest.raises(SettingsError, match="exchange"):
        connect("memory://", exchange=exchange)
    with pytest.raises(SettingsError, match="exchange"):
        connect("memory://", settings=Settings().model_copy(update={"exchange": exchange}))


@pytest.mark.parametrize("settings", [{"exchange": "mine"}, {}, PublisherSettings(), "mine"])
def test_what_is_no_settings_is_refused(settings: Any) -> None:
    """Bad input: an empty mapping must not pass for the defaults either."""
    with pytest.raises(SettingsError, match=f"settings must be a bus_amqp.Settings, not {type(settings).__name__}"):
        connect("memory://", settings=settings)


def test_another_exchange_keeps_the_other_settings() -> None:
    """The check of the exchange must not bring back defaults, nor the environment."""
    settings = Settings(publisher=PublisherSettings(outbox_events=1, publish_timeout_seconds=0))

    with connect("memory://keeps", exchange="other", settings=settings) as bus:
        with pytest.raises(Exception, match="1 events"):
            bus.publish_many([an_event(1), an_event(2)])
        assert "other" in repr(bus)


@pytest.mark.parametrize(
    ("value", "told"),
    [(float("nan"), "finite"), (float("inf"), "finite"), ({1: 2}, "not a string"), ({"deeper": [1e999]}, "finite")],
)
def test_details_that_changed_to_what_json_is_not_are_refused(value: Any, told: str) -> None:
    """NaN would travel as null: the receiver would work with a value that nobody sent."""
    event = an_event(details={"load": 1.0})
    event.details["load"] = value

    with connect("memory://details") as bus:
        with pytest.raises(InvalidArgumentError, match=told):
            bus.publish(event)
        assert bus.stats().accepted == 0


def test_a_refusal_is_raised_or_logged_and_only_then_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever has just got the error must not read "trying again" in the log: nobody does."""
    refused = AccessRefusedError("login as 'bus' refused")
    monkeypatch.setattr(amqp_connector, "AmqpConnector", lambda url, settings, **options: FakeConnector(refused))

    with caplog.at_level(logging.WARNING), pytest.raises(AccessRefusedError):
        connect("amqp://bus:x@one")
    assert caplog.messages == []

    with caplog.at_level(logging.WARNING):
        bus = connect("amqp://bus:x@one", require_broker=False)
        wait_until(lambda: caplog.messages)
        bus.close(5)
    assert caplog.messages == ["publisher: login as 'bus' refused; trying again"]
