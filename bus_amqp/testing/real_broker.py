"""The ladder to a real broker, from nothing (design, section 8), in one place for tests, demo and command line.

A given url; else a Docker engine; else the ``rabbitmq-server`` of this machine as a private node; else, as root on
Debian or Ubuntu, that package installed first; else an error with the ways out.  Nothing here prints: what happens is
said through ``say``.  The environment is the caller's business.
"""

import os
from collections.abc import Callable

from bus_amqp.errors import SettingsError, TransportError
from bus_amqp.testing.broker import GivenBroker, RealBroker
from bus_amqp.testing.docker_broker import DEFAULT_IMAGE, DockerBroker, engine_answers, make_sure_of_image
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.package_install import can_install, install_rabbitmq_server
from bus_amqp.testing.private_node import PrivateNode, find_rabbitmq_server

NO_BROKER = (
    "no RabbitMQ to be had on this machine. Ways out: set BUS_AMQP_URL to a broker you have"
    " (amqp://user:password@host:5672/); start a Docker engine; or install the package rabbitmq-server"
    " (Debian and Ubuntu: apt-get install rabbitmq-server)"
)


def start_broker(
    *,
    url: str | None = None,
    image: str | None = None,
    allow_install: bool = True,
    say: Callable[[str], None] = lambda told: None,
) -> RealBroker:
    """Return a broker that answers, by the first rung of the ladder that holds.

    It belongs to the caller, who stops it; a given one is left alone.  Raises ``SettingsError`` when no rung is
    there, ``TransportError`` when the last one broke.
    """
    if url is not None:
        return GivenBroker(url)
    in_docker = start_in_docker(image or DEFAULT_IMAGE, name=f"bus-amqp-{os.getpid()}", say=say)
    if in_docker is not None:
        return in_docker
    return start_private_node(allow_install=allow_install, say=say)


def start_private_node(
    *, amqp_port: int | None = None, allow_install: bool = True, say: Callable[[str], None] = lambda told: None
) -> PrivateNode:
    """Return a node of this machine's ``rabbitmq-server``, which is installed first where that is possible."""
    if find_rabbitmq_server() is None:
        if not (allow_install and can_install()):
            raise SettingsError(NO_BROKER)
        install_rabbitmq_server(say)
    say("starting rabbitmq-server as a private node (about ten seconds)")
    return PrivateNode(amqp_port=amqp_port)


def start_in_docker(
    image: str,
    *,
    name: str,
    amqp_port: int | None = None,
    management_port: int | None = None,
    say: Callable[[str], None] = lambda told: None,
) -> DockerBroker | None:
    """Return a container of the image, or None (and say why) if there is no engine or it cannot give us one."""
    if not engine_answers():
        return None
    try:
        make_sure_of_image(image, say)
        say(f"starting {image} in Docker")
        return DockerBroker.launch(
            image,
            name=name,
            amqp_port=amqp_port or free_port(),
            management_port=management_port or free_port(),
            say=say,
        )
    except TransportError as exc:
        say(f"a Docker engine answers, but it cannot give us {image}: {exc}")
        return None


__all__ = ["NO_BROKER", "RealBroker", "start_broker", "start_in_docker", "start_private_node"]
