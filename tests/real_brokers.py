"""``RealBrokers``: the two brokers of a test run, and a database, started when first needed, side by side.

RabbitMQ 4 comes out of Docker through testcontainers, RabbitMQ 3.10 is this machine's package as a private node, and
so is PostgreSQL, which the examples are tried with.
Where a run has several workers, each has brokers of its own: tests kill, block and restart them.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bus_amqp.errors import EventBusException, TransportError
from bus_amqp.testing.broker import ARGUMENTS_VARIABLE, BROKER_ARGUMENTS, RealBroker
from bus_amqp.testing.docker_broker import DEFAULT_IMAGE, DockerBroker, engine_answers
from bus_amqp.testing.free_port import free_port
from bus_amqp.testing.private_node import find_rabbitmq_server
from bus_amqp.testing.real_broker import start_private_node

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

DOCKER = "rabbitmq-4-docker"
LOCAL = "rabbitmq-3.10-local"
POSTGRESQL = "postgresql-local"
_RABBITMQ_PORT = "5672/tcp"


Report = tuple[dict[str, str], dict[str, str], dict[str, int]]


class Server(Protocol):
    """What was started, and is ended with the run."""

    @property
    def kind(self) -> str:
        """Version and place."""

    def stop(self) -> None:
        """End it, and leave nothing."""


class RealBrokers:
    """Each broker at most once; used by the thread that runs the tests."""

    def __init__(self) -> None:
        self._expected: set[str] = set()
        self._starts: dict[str, Future[Server]] = {}
        self._missing: Counter[str] = Counter()
        self._kinds: dict[str, str] = {}  # what ran, by name; also in workers that have ended
        self._errors: dict[str, str] = {}  # what did not

    def expect(self, names: Iterable[str]) -> None:
        """Announce what the run will need."""
        self._expected = set(names)

    def get(self, name: str) -> Server:
        """Return the server; the first call starts all that are expected."""
        if name not in self._starts:
            self._start_all({name, *self._expected} - set(self._starts))
        return self._starts[name].result()

    def count_if_missing(self, names: Iterable[str]) -> None:
        """Count a test that did not run, for each of its brokers that could not be started."""
        for name in names:
            start = self._starts.get(name)
            if start is not None and start.exception() is not None:
                self._missing[name] += 1

    def report(self) -> Report:
        """Tell what ran, what did not, and how many tests that cost: plain values, for the process above."""
        for name, start in self._starts.items():
            if (error := start.exception()) is None:
                self._kinds[name] = start.result().kind
            else:
                self._errors[name] = str(error)
        return dict(self._kinds), dict(self._errors), dict(self._missing)

    def absorb(self, report: Report) -> None:
        """Add what a worker reports."""
        kinds, errors, missing = report
        self._kinds.update(kinds)
        self._errors.update(errors)
        self._missing.update(missing)

    def summary(self) -> list[str]:
        """What was used and what could not run, a line each."""
        kinds, errors, missing = self.report()
        return [
            *(
                f"{'database' if name == POSTGRESQL else 'broker'} {name}: {kind}"
                for name, kind in sorted(kinds.items())
            ),
            *(
                f"NOT RUN: {missing.get(name, 0)} tests that need {name}: {error}"
                for name, error in sorted(errors.items())
            ),
        ]

    def stop(self) -> None:
        """End what was started."""
        starts, self._starts = self._starts, {}
        for start in starts.values():
            if start.exception() is None:
                start.result().stop()

    def _start_all(self, names: set[str]) -> None:
        with ThreadPoolExecutor(thread_name_prefix="start-broker") as starters:
            for name in names:
                self._starts[name] = starters.submit(_STARTS[name])


def _start_here() -> RealBroker:
    # It may have to install the package first, and only one of several workers can.
    with Path(tempfile.gettempdir(), "bus-amqp-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find_rabbitmq_server() is None:
            return start_private_node()
    return start_private_node()


def _start_in_docker() -> RealBroker:
    if not engine_answers():  # asked first: the library leaves a socket open behind a connect that fails
        raise TransportError("no RabbitMQ from Docker: no Docker engine answers")
    from docker.errors import DockerException  # here: a run without brokers needs no Docker library
    from testcontainers.core.container import DockerContainer

    try:
        container = DockerContainer(os.environ.get("RABBITMQ_IMAGE") or DEFAULT_IMAGE)
        # One fixed loopback port: a published port that Docker chooses is another one after a restart.
        port = free_port()
        container.ports = {_RABBITMQ_PORT: ("127.0.0.1", port)}
        container.with_env(ARGUMENTS_VARIABLE, BROKER_ARGUMENTS)
        container.start()
    except (DockerException, OSError) as exc:
        raise TransportError(f"no RabbitMQ from Docker: {exc}") from exc
    broker = TestcontainersBroker(container, port)
    try:
        broker.wait_until_it_greets()
    except EventBusException:
        broker.stop()
        raise
    return broker


def _start_postgresql() -> Server:
    from tests.examples.postgresql import PrivatePostgreSQL  # here: a run without it needs no driver

    return PrivatePostgreSQL()


class TestcontainersBroker(DockerBroker):
    """A container that testcontainers made, and removes (its reaper does, should this process be killed)."""

    __test__ = False

    def __init__(self, container: DockerContainer, amqp_port: int) -> None:
        super().__init__(container.get_container_id(), amqp_port=amqp_port)
        self._made_by_testcontainers = container

    def stop(self) -> None:
        """Remove the container and its volume."""
        self._made_by_testcontainers.stop()


_STARTS = {DOCKER: _start_in_docker, LOCAL: _start_here, POSTGRESQL: _start_postgresql}
