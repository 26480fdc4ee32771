"""The ladder's decisions, rung by rung; the brokers themselves are tried in tests/broker."""

import socket
from pathlib import Path

import pytest

from bus_amqp.errors import ConnectionLostError, InvalidArgumentError, SettingsError, TransportError
from bus_amqp.testing import package_install, real_broker
from bus_amqp.testing.free_port import free_port, is_free
from bus_amqp.testing.greeting import read_version
from bus_amqp.testing.real_broker import start_broker


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Docker engine, no rabbitmq-server."""
    monkeypatch.setattr(real_broker, "engine_answers", lambda: False)
    monkeypatch.setattr(real_broker, "find_rabbitmq_server", lambda: None)


def test_a_given_url_is_used_as_it_is_and_left_alone():
    """Whoever names a broker gets that one: nothing is started, and `stop` does not end what others use."""
    with start_broker(url="amqp://user:secret@127.0.0.1:1/") as broker:
        assert broker.url == "amqp://user:secret@127.0.0.1:1/"
        assert not broker.can_restart
        assert "secret" not in f"{broker!r} {broker.kind}"
        for refused in (broker.kill, broker.start, broker.restart, broker.rabbitmqctl):
            with pytest.raises(InvalidArgumentError, match="given by its url"):
                refused()


@pytest.mark.parametrize("place", ["h:99999", "h:port", "h:0", "[::1", "", "h:12,amqps"])
def test_a_given_url_that_cannot_be_one_is_a_clear_error(place: str):
    """A bare ValueError would show a traceback, and half a password where urllib took it for the port."""
    with pytest.raises(SettingsError, match="the broker's url") as caught:
        start_broker(url=f"amqp://user:s3cret@{place}")

    assert "s3cret" not in str(caught.value)


def test_a_given_cluster_is_known_by_its_first_node():
    """BUS_AMQP_URL may name several nodes: the comma between them must not be read as part of a port."""
    broker = start_broker(url="amqp://a:b@127.0.0.1:1,amqp://a:b@127.0.0.1:2")

    assert broker.kind == "a broker at 127.0.0.1:1"
    assert start_broker(url="memory://").kind == "a broker at memory"


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_with_nothing_gets_the_three_ways_out():
    """The error tells what to do; it is not the failure of the last thing tried."""
    with pytest.raises(SettingsError) as caught:
        start_broker(allow_install=False)

    assert all(way in str(caught.value) for way in ("BUS_AMQP_URL", "Docker engine", "apt-get install rabbitmq-server"))


@pytest.mark.usefixtures("bare_machine")
def test_nothing_is_installed_without_the_right_to(monkeypatch: pytest.MonkeyPatch):
    """A user who is not root, or not on Debian, gets the ways out and no attempt at apt."""
    monkeypatch.setattr(real_broker, "can_install", lambda: False)
    monkeypatch.setattr(real_broker, "install_rabbitmq_server", lambda say: pytest.fail("it tried"))

    with pytest.raises(SettingsError):
        start_broker()


def test_an_engine_without_the_image_is_told_and_passed_over(monkeypatch: pytest.MonkeyPatch):
    """A Docker engine that cannot pull is no reason to give up: the ladder goes on, and says why."""

    def cannot_pull(image: str, say: object) -> None:
        raise TransportError("no such host")

    monkeypatch.setattr(real_broker, "engine_answers", lambda: True)
    monkeypatch.setattr(real_broker, "make_sure_of_image", cannot_pull)
    monkeypatch.setattr(real_broker, "find_rabbitmq_server", lambda: None)
    told: list[str] = []

    with pytest.raises(SettingsError):
        start_broker(image="rabbitmq:none", allow_install=False, say=told.append)

    assert told == ["a Docker engine answers, but it cannot give us rabbitmq:none: no such host"]


@pytest.mark.parametrize("policy_before", [None, "#!/bin/sh\nexit 0\n"])
def test_an_install_starts_no_service_and_restores_the_policy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy_before: str | None
):
    """While apt runs every service start is denied; afterwards the machine's own policy is back, or none as before.

    The first install fails for want of package lists: they are fetched and it is tried again.
    """
    policy = tmp_path / "policy-rc.d"
    if policy_before is not None:
        policy.write_text(policy_before)
    seen: list[tuple[str, str]] = []

    def pretend(arguments: list[str], **options: object) -> str:
        word = next(word for word in arguments if word in {"install", "update"})
        seen.append((word, policy.read_text()))
        if len(seen) == 1:
            raise TransportError("Unable to locate package rabbitmq-server")
        return ""

    monkeypatch.setattr(package_install, "_POLICY", policy)
    monkeypatch.setattr(package_install, "_POLICY_SAVED", tmp_path / "saved")
    monkeypatch.setattr(package_install, "run_command", pretend)
    monkeypatch.setattr(package_install, "_keep_it_from_starting_at_boot", lambda: None)
    told: list[str] = []

    package_install.install_rabbitmq_server(told.append)

    assert [word for word, _ in seen] == ["install", "update", "install"]
    assert {text for _, text in seen} == {"#!/bin/sh\nexit 101\n"}
    assert (policy.read_text() if policy.exists() else None) == policy_before
    assert "installing rabbitmq-server" in told[0]


def test_a_free_port_lies_outside_the_range_of_outgoing_connections():
    """A port of that range may be taken by a client's own connection while the broker is down."""
    port = free_port()

    assert 1024 < port < 32768
    assert is_free(port)


def test_a_port_where_nobody_listens_has_no_version():
    """An absent broker is one of our errors, never a socket's."""
    with pytest.raises(ConnectionLostError, match="no broker answers"):
        read_version("127.0.0.1", free_port())


def test_a_port_that_accepts_and_says_nothing_has_no_version():
    """Docker's proxy accepts before the broker listens: an open port is not a broker."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(ConnectionLostError, match="no broker answers"),
    ):
        read_version("127.0.0.1", listener.getsockname()[1], timeout_seconds=0.05)
