"""P9: credentials are in no log line, no error, no repr and no printed text; and a password may change at any time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bus_amqp import EventBusException, EventTopic, Settings, connect, load_settings
from bus_amqp.cli.main import main
from bus_amqp.errors import AccessRefusedError, BrokerRefusedError, ConnectionLostError, SettingsError
from bus_amqp.sections import ConnectionSettings
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.recorder import Recorder
from tests.broker.amqp_workbench import WAIT_SECONDS, with_login
from tests.broker.leaks import Leaks
from tests.promise.subscribers import an_event
from tests.promise.waiting import wait_until

MARK = "Kiwi9qz"  # found by itself, also where a url was cut in the middle of the password
PASSWORD = f"gro/sse@{MARK}:x#7%?&=+ \"'"
TOPIC = EventTopic(event_category="ResourceStateEvent")


@pytest.fixture
def leaks() -> Iterator[Leaks]:
    """Every logger of the process at DEBUG, py-amqp's and kombu's too."""
    handler = Leaks(PASSWORD, MARK)
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    levels = [(logger, logger.level) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


@pytest.fixture
def user(rabbitmq: RealBroker, exchange: str) -> Iterator[str]:
    """A user with full rights and a password in odd characters."""
    name = f"user-{exchange}"
    rabbitmq.rabbitmqctl("add_user", name, PASSWORD)
    rabbitmq.rabbitmqctl("set_permissions", name, ".*", ".*", ".*")
    yield name
    rabbitmq.rabbitmqctl("delete_user", name)


def settings(exchange: str, **options: object) -> Settings:
    connection = ConnectionSettings(connect_timeout_seconds=WAIT_SECONDS, reconnect_pause_seconds=0.1)
    return Settings(exchange=exchange, connection=connection, **options)


def test_a_bus_at_work_shows_no_password(
    leaks: Leaks, rabbitmq: RealBroker, user: str, exchange: str, capfd: pytest.CaptureFixture[str]
):
    """Connect, work, lose the connection, come back: logs, health, statistics and the repr of every object."""
    url = with_login(rabbitmq.url, user, quote(PASSWORD, safe=""))
    chosen = settings(exchange)
    recorder = Recorder()
    with connect(url, settings=chosen) as bus:
        bus.subscribe(TOPIC, recorder, group="g")
        receipt = bus.publish(an_event(1))
        receipt.result(WAIT_SECONDS)
        leaks.look(f"{bus!r} {bus.health()!r} {bus.stats()!r} {receipt!r} {chosen!r}", "the front door")
        assert leaks.look_at_objects(bus) > 50
        rabbitmq.rabbitmqctl("close_all_connections", "moving house")
        wait_until(lambda: bus.stats().reconnects and bus.health().is_healthy, "the bus back", WAIT_SECONDS)
        leaks.look(f"{bus.health()!r}", "health")
        leaks.look_at_objects(bus)
    leaks.look("".join(capfd.readouterr()), "printed")

    assert leaks.records > 5
    assert leaks.found == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda url: url.replace("user-", "nobody-"), AccessRefusedError),
        (lambda url: f"{url}nowhere", AccessRefusedError),
        (lambda url: url.replace("amqp://", "amqps://"), BrokerRefusedError),
        (lambda url: f"{url.rpartition(':')[0]}:{free_port()}/", ConnectionLostError),
        (lambda url: f"{url.rpartition('@')[0]}@no-such-host.invalid/", ConnectionLostError),
    ],
    ids=["a wrong login", "a virtual host that is not there", "no TLS", "nobody there", "no such host"],
)
def test_a_connect_that_fails_shows_no_password(
    leaks: Leaks,
    rabbitmq: RealBroker,
    user: str,
    exchange: str,
    change: Callable[[str], str],
    expected: type[Exception],
):
    """The moment when everybody looks at logs, and pastes them into tickets."""
    url = change(with_login(rabbitmq.url, user, quote(PASSWORD, safe="")))
    quick = Settings(exchange=exchange, connection=ConnectionSettings(connect_timeout_seconds=2))

    with pytest.raises(expected) as caught:
        connect(url, settings=quick)
    leaks.look_at_error(caught.value)
    with connect(url, settings=quick, require_broker=False) as bus:
        wait_until(lambda: bus.health().publisher.reason, "a reason in health", WAIT_SECONDS)
        leaks.look(f"{bus!r} {bus.health()!r}", "the front door")
        leaks.look_at_objects(bus)

    assert leaks.found == []


MALFORMED = [
    f"amqp://user:{PASSWORD}@127.0.0.1/",
    f"amqp://user:{MARK}/{MARK}@127.0.0.1/",
    f"amqp://user:{MARK}#{MARK}@127.0.0.1/",
    f"amqp://user:{MARK}@127.0.0.1:99999/",
    f"amqp://user:{MARK}@127.0.0.1:port/",
    f"amqp://user:{MARK}@127.0.0.1/a/b",
    f"amqp://user:{MARK}@[::1/",
    f"amqp://user:{MARK}@127.0.0.1/?x={MARK}",
    f"http://user:{MARK}@127.0.0.1/",
    f"user:{MARK}@127.0.0.1",
    f"amqp://user:{MARK}@one;two/",
    f"amqp://127.0.0.1:{MARK}",
]


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_shows_no_password(leaks: Leaks, url: str, monkeypatch: pytest.MonkeyPatch, capfd):
    """As an argument, from the environment, and on the command line."""
    with pytest.raises(SettingsError) as caught:
        connect(url)
    leaks.look_at_error(caught.value)
    monkeypatch.setenv("BUS_AMQP_URL", url)
    with pytest.raises(SettingsError) as caught:
        connect()
    leaks.look_at_error(caught.value)
    for command in (["tail"], ["broker", "status"], ["publish", "-c", "A", "-t", "B", "-s", "C"]):
        assert main(command) == 2
    leaks.look("".join(capfd.readouterr()), "printed")

    assert leaks.found == []


def test_settings_that_are_wrong_show_no_password(leaks: Leaks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a file, in a variable and in an argument, beside the fault or in it."""
    good = f"amqp://user:{quote(PASSWORD, safe='')}@127.0.0.1/"
    file = tmp_path / "bus.toml"

    def fault(act: Callable[[], object]) -> None:
        with pytest.raises(EventBusException) as caught:
            act()
        leaks.look_at_error(caught.value)

    for text in (f'password = "{MARK}"', f'url = "{good}"\nuser = 1', f'url = ["{good}"]', f'url = "{good}'):
        file.write_text(text)
        fault(lambda: load_settings(settings_file=file))
    fault(lambda: load_settings(password=MARK))
    fault(lambda: load_settings(url=[good]))
    fault(lambda: load_settings(url=good, exchange=""))
    fault(lambda: connect([good, f"http://user:{MARK}@127.0.0.1/"]))
    for name in ("BUS_AMQP_PASSWORD", "BUS_AMQP_CONNECTION__PASSWORD", "BUS_AMQP_URI"):
        with monkeypatch.context() as patched:
            patched.setenv(name, MARK)
            fault(load_settings)

    leaks.look(repr(load_settings(url=good, password=lambda: MARK)), "settings")
    assert leaks.found == []


def test_the_command_line_shows_no_password(leaks: Leaks, rabbitmq: RealBroker, user: str, capfd):
    """A broker that refuses, one that is not there, and one that answers."""
    event = ["publish", "-c", "A", "-t", "B", "-s", "C"]
    good = with_login(rabbitmq.url, user, quote(PASSWORD, safe=""))
    wrong = good.replace("user-", "nobody-")
    away = f"{good.rpartition(':')[0]}:{free_port()}/"

    for url, status in ((good, 0), (wrong, 1), (away, 1), (good.replace("amqp:", "amqps:"), 1)):
        assert main([*event, "--url", url]) == status
    leaks.look("".join(capfd.readouterr()), "printed")

    assert leaks.found == []


@pytest.mark.parametrize("place", ["file", "callable"])
def test_a_password_that_changes_takes_effect_without_a_restart(
    leaks: Leaks, rabbitmq: RealBroker, user: str, exchange: str, tmp_path: Path, place: str
):
    """Rotation: changed on both sides, all connections closed; the bus comes back and loses nothing."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    source = {"password_file": file} if place == "file" else {"password": file.read_text}
    recorder = Recorder()
    url = with_login(rabbitmq.url, f"{user}:never-used", "").replace(":@", "@")
    with connect(url, settings=settings(exchange, **source)) as bus:
        bus.subscribe(TOPIC, recorder, group="g")
        bus.publish(an_event(1)).result(WAIT_SECONDS)

        rabbitmq.rabbitmqctl("change_password", user, f"{PASSWORD}-2")
        rabbitmq.rabbitmqctl("close_all_connections", "rotation")
        # The file comes last, as it does with slow secret stores: until then the broker refuses.
        wait_until(lambda: "refused" in bus.health().publisher.reason, "a refusal in health", WAIT_SECONDS)
        bus.publish(an_event(2))
        file.write_text(f"{PASSWORD}-2")

        assert recorder.wait_for(2, timeout_seconds=2 * WAIT_SECONDS)
        wait_until(lambda: bus.health().is_healthy, "the bus healthy", WAIT_SECONDS)
        leaks.look_at_objects(bus)
    assert leaks.found == []
