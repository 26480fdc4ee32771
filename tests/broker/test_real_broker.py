"""The brokers that tests, demo and command line stand on: they return with what they held, and go without a trace."""

import subprocess
import sys
from pathlib import Path

import pytest

from bus_amqp.errors import ConnectionLostError
from bus_amqp.testing import standing_broker
from bus_amqp.testing.broker import GivenBroker, RealBroker
from bus_amqp.testing.docker_broker import DockerBroker
from bus_amqp.testing.greeting import read_version
from bus_amqp.testing.private_node import PrivateNode

UP = """
import sys, pathlib
from bus_amqp.testing import standing_broker
broker = standing_broker.up(image=sys.argv[2], name=sys.argv[3], state_directory=pathlib.Path(sys.argv[1]), say=print)
print(broker.url)
"""


def test_each_asks_again_soon_for_what_it_could_not_dead_letter(rabbitmq: RealBroker):
    """By default a retry whose time came while the broker was down may come three minutes after it is up."""
    asked = rabbitmq.rabbitmqctl("eval", "application:get_env(rabbit, dead_letter_worker_publisher_confirm_timeout).")

    assert asked.split() == ["{ok,10000}"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill", "restart"])
def test_a_broker_comes_back_on_its_url_with_what_it_held(rabbitmq: RealBroker, fault: str):
    """Tests of an outage would prove nothing with a broker that returns elsewhere, or empty."""
    vhost = f"kept-through-{fault}"
    rabbitmq.rabbitmqctl("add_vhost", vhost)
    host, port = "127.0.0.1", int(rabbitmq.url.rpartition(":")[2].strip("/"))

    if fault == "kill":
        rabbitmq.kill()
        with pytest.raises(ConnectionLostError):
            read_version(host, port)
        rabbitmq.start()
    else:
        rabbitmq.restart()

    assert read_version(host, port) == rabbitmq.version
    assert vhost in rabbitmq.rabbitmqctl("list_vhosts").split()
    rabbitmq.rabbitmqctl("delete_vhost", vhost)


def test_a_given_broker_tells_its_version(rabbitmq: RealBroker):
    """The demo's summary names the broker it ran on, also one that it did not start."""
    assert GivenBroker(rabbitmq.url).kind.startswith(f"RabbitMQ {rabbitmq.version} at 127.0.0.1:")


@pytest.mark.slow
@pytest.mark.usefixtures("rabbitmq_3_10")
def test_a_standing_node_outlives_its_command_and_goes_without_a_trace(tmp_path: Path):
    """`broker up`, `status` and `down` are three processes; after the third no process and no file is left."""
    url = up(tmp_path, image="bus-amqp/no-such-image", name="unused")

    standing = standing_broker.status(tmp_path)
    assert isinstance(standing, PrivateNode)
    assert standing.url == url
    assert standing.rabbitmqctl("list_vhosts").split() == ["/"]
    pids = [int((standing.directory / name).read_text().split()[0]) for name in ("node.pid", "epmd.pid")]
    assert standing_broker.up(state_directory=tmp_path).url == url

    ended = standing_broker.down(tmp_path)

    assert ended is not None
    assert not standing.directory.exists()
    assert [pid for pid in pids if runs(pid)] == []
    assert standing_broker.status(tmp_path) is None
    assert standing_broker.down(tmp_path) is None


@pytest.mark.slow
def test_a_standing_container_outlives_its_command_and_goes_without_a_trace(rabbitmq_4: RealBroker, tmp_path: Path):
    """The same with Docker: the container and its volume are gone in the end."""
    assert isinstance(rabbitmq_4, DockerBroker)
    image = docker("inspect", "--format", "{{.Config.Image}}", rabbitmq_4.container)
    name = f"bus-amqp-test-{tmp_path.name.replace('_', '-')}".lower()
    url = up(tmp_path, image=image, name=name)

    standing = standing_broker.status(tmp_path)
    assert isinstance(standing, DockerBroker)
    assert standing.url == url

    standing_broker.down(tmp_path)

    assert standing_broker.status(tmp_path) is None
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
    assert docker("volume", "ls", "--quiet", "--filter", f"name={name}") == ""


def up(state_directory: Path, *, image: str, name: str) -> str:
    """Start a standing broker in a process that ends; return its url."""
    ended = subprocess.run(
        [sys.executable, "-c", UP, str(state_directory), image, name],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def runs(pid: int) -> bool:
    """Whether there is such a process (not counting one that ended and waits to be collected)."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(told.stdout.strip()) and not told.stdout.strip().startswith("Z")
