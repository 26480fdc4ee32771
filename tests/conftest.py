"""What all tests share: real brokers and a database, an exchange of one's own, and the proof that no thread is left.

A broker starts with the first test that needs it, and not at all in a run that needs none.  Where it cannot be started
the tests that need it are skipped by name in the last lines of the run; with ``CI=true`` they fail.
"""

import gc
import os
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from bus_amqp.errors import EventBusException
from bus_amqp.testing.broker import RealBroker
from bus_amqp.testing.recorder import Recorder
from tests.patience import TIMEOUT_SECONDS
from tests.real_brokers import DOCKER, LOCAL, POSTGRESQL, RealBrokers, Server

if TYPE_CHECKING:
    from tests.examples.postgresql import PrivatePostgreSQL

THREAD_SECONDS = 2.0  # less than the five after which an idle thread ends by itself
# A loaded machine is slow now and then; how long one example takes, or its making, says nothing about the code.
settings.register_profile("tests", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
_FIXTURES = {"rabbitmq_4": DOCKER, "rabbitmq_3_10": LOCAL, "postgresql": POSTGRESQL}
_brokers = pytest.StashKey[RealBrokers]()


def pytest_configure(config: pytest.Config) -> None:
    """One set of brokers for the run, and one patience for all recorders."""
    Recorder.patience_seconds = TIMEOUT_SECONDS
    config.stash[_brokers] = RealBrokers()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a broker, from its fixtures and parameters: nobody can forget to."""
    for item in items:
        if _needed_by(item):
            item.add_marker(pytest.mark.broker)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which brokers the chosen tests need: with the first of them, both start side by side.

    And set aside what was collected, for it stays: the garbage collector, which stops all threads, took a second of CPU
    to go through it, up to 3.7 s on busy cores, and whatever was timed just then had waited for that.
    """
    gc.collect()
    gc.freeze()
    needed = {name for item in session.items for name in _needed_by(item)}
    session.config.stash[_brokers].expect(needed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count what could not run: one broken start is reported by pytest for its fixture, not for each test."""
    report = yield
    if report.when == "setup" and not report.passed:
        item.config.stash[_brokers].count_if_missing(_needed_by(item))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where this is one of several workers, tell the process above which brokers were used."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["brokers"] = session.config.stash[_brokers].report()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take what a worker that has ended tells."""
    if (report := getattr(node, "workeroutput", {}).get("brokers")) is not None:
        node.config.stash[_brokers].absorb(report)  # type: ignore[attr-defined]  # a WorkerController


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the brokers, also when the run was interrupted."""
    config.stash[_brokers].stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which brokers were used and what could not run."""
    for line in config.stash[_brokers].summary():
        terminalreporter.write_line(line, yellow=line.startswith("NOT RUN"))


def _needed_by(item: pytest.Item) -> set[str]:
    parameters = getattr(getattr(item, "callspec", None), "id", "")
    named = {name for name in (DOCKER, LOCAL, POSTGRESQL) if name in parameters}
    return named | {_FIXTURES[fixture] for fixture in set(getattr(item, "fixturenames", ())) & set(_FIXTURES)}


@pytest.fixture(scope="session")
def real_broker(pytestconfig: pytest.Config) -> Callable[[str], RealBroker]:
    """Return the way to a broker by its name, for fixtures that choose among transports."""
    return lambda name: _broker(pytestconfig, name)


@pytest.fixture(scope="session")
def real_server(pytestconfig: pytest.Config) -> Callable[[str], Server]:
    """Return the way to a broker or database by its name, for fixtures that choose."""
    return lambda name: _broker(pytestconfig, name)


@pytest.fixture(scope="session")
def rabbitmq_4(pytestconfig: pytest.Config) -> RealBroker:
    """RabbitMQ 4 in Docker."""
    return _broker(pytestconfig, DOCKER)


@pytest.fixture(scope="session")
def rabbitmq_3_10(pytestconfig: pytest.Config) -> RealBroker:
    """This machine's rabbitmq-server (3.10 on Debian 12) as a private node."""
    return _broker(pytestconfig, LOCAL)


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> "PrivatePostgreSQL":
    """This machine's PostgreSQL as a private cluster."""
    return _broker(pytestconfig, POSTGRESQL)


@pytest.fixture(scope="session", params=[DOCKER, LOCAL])
def rabbitmq(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> RealBroker:
    """Each of the two brokers in turn.  Who kills or blocks it leaves it running and unblocked."""
    return _broker(pytestconfig, request.param)


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: RealBroker) -> str:
    """The url of each of the two brokers in turn."""
    return rabbitmq.url


@pytest.fixture
def exchange() -> str:
    """An exchange name that no other test uses.

    Queues are named after their exchange, so tests do not see each other's; the brokers are thrown away at the end.
    """
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """P8: whatever a test opened ends with it."""
    before = set(threading.enumerate())

    yield

    deadline = time.monotonic() + THREAD_SECONDS
    for thread in _threads_of_the_bus() - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = sorted(thread.name for thread in _threads_of_the_bus() - before)
    assert not left, f"threads left running: {left}"


def _threads_of_the_bus() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(("bus-", "tcp-proxy-"))}


def _broker(config: pytest.Config, name: str) -> Server:
    try:
        return config.stash[_brokers].get(name)
    except EventBusException as exc:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(f"{name} could not be started, which counts as a failure in CI: {exc}", pytrace=False)
        pytest.skip(f"{name} could not be started: {exc}")
