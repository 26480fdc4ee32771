"""Several processes of ours, started and stopped together; on memory, so no broker is needed."""

import signal
from pathlib import Path

import pytest

from bus_amqp.errors import DeadlineExceededError, EventBusException
from bus_amqp.process.supervisor import Supervisor
from bus_amqp.settings import child_environment

MONITORING = "docs.examples.monitoring:subscribers"


@pytest.fixture
def environment() -> dict[str, str]:
    return child_environment(url="memory://")


def test_processes_are_ready_when_they_say_so_and_end_with_the_block(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """A publisher that starts before the consumers have subscribed would publish to nobody."""
    names = ("one", "two")
    with Supervisor(tmp_path, environment) as supervisor:
        children = [supervisor.start(name, ["run", MONITORING, "--ready-file", f"{name}.ready"]) for name in names]
        supervisor.wait_until_ready([tmp_path / f"{name}.ready" for name in names], timeout_seconds=30)
        supervisor.check()
        assert [child.process.poll() for child in children] == [None, None]

    assert [child.process.returncode for child in children] == [0, 0]


def test_a_process_that_fails_is_told_with_its_last_words(tmp_path: Path, environment: dict[str, str]) -> None:
    """Waiting for the deadline, and then saying no more than 'not ready', would hide the reason."""
    with Supervisor(tmp_path, environment) as supervisor:
        supervisor.start("wrong", ["run", "nowhere:subscribers"])

        with pytest.raises(EventBusException, match="process wrong ended with status 2: error: there is no module"):
            supervisor.wait_until_ready([tmp_path / "wrong.ready"], timeout_seconds=30)


def test_a_process_that_is_never_ready_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    """A start-up that hangs has to end."""
    with Supervisor(tmp_path, environment) as supervisor:
        supervisor.start("slow", ["run", MONITORING])

        with pytest.raises(DeadlineExceededError, match=r"not ready within 0\.1 s: slow"):
            supervisor.wait_until_ready([tmp_path / "slow.ready"], timeout_seconds=0.1)


def test_a_process_that_will_not_end_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    """The supervisor leaves nothing behind, whatever a handler does."""
    with Supervisor(tmp_path, environment) as supervisor:
        child = supervisor.start("stubborn", ["run", MONITORING, "--ready-file", "stubborn.ready"])
        supervisor.wait_until_ready([tmp_path / "stubborn.ready"], timeout_seconds=30)
        child.process.send_signal(signal.SIGSTOP)  # a stopped process does not even hear SIGTERM

        supervisor.stop(timeout_seconds=0.1)

    assert child.process.returncode == -signal.SIGKILL
