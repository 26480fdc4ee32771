"""Background programs of ours: found again by id, ended with all they started, and never a stranger in their place."""

import os
import sys
import time
from pathlib import Path

import pytest

from bus_amqp.errors import TransportError
from bus_amqp.testing.command import run_command
from bus_amqp.testing.owned_process import OwnedProcess

# A program that starts another and waits for it, as the shell around Erlang does.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""


def test_kill_ends_the_program_and_what_it_started(tmp_path: Path):
    """A child left behind would hold the port of the next broker."""
    owned = started(tmp_path)
    child = wait_for_number(tmp_path / "log")

    owned.kill()

    assert not owned.is_running
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline, f"process {child} is still there"


def test_another_process_finds_it_by_its_file(tmp_path: Path):
    """`broker down` is not the process that ran `broker up`."""
    owned = started(tmp_path)

    found = OwnedProcess(tmp_path / "program.pid")

    assert found.is_running
    assert found.pid == owned.pid
    owned.kill()
    assert not found.is_running


def test_a_stranger_who_got_the_id_is_left_alone(tmp_path: Path):
    """Ids come round again: a file of last week must not end whoever has the number today."""
    owned = started(tmp_path)
    file = tmp_path / "program.pid"
    file.write_text(f"{owned.pid}\n12345")

    OwnedProcess(file).kill()

    assert owned.is_running
    owned.kill()


def test_what_was_never_started_is_not_running(tmp_path: Path):
    """`stop` after a failed start must be harmless."""
    owned = OwnedProcess(tmp_path / "program.pid")

    owned.kill()

    assert not owned.is_running
    assert owned.pid is None


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["no-such-program-anywhere"], "could not be run"),
        ([sys.executable, "-c", "import sys; sys.exit('the reason')"], "failed with status 1: the reason"),
        ([sys.executable, "-c", "import sys; sys.stdin.read(); input()"], "failed with status 1"),
    ],
)
def test_a_command_that_fails_tells_why(command: list[str], told: str):
    """The ladder shows these words to the user; a traceback of subprocess helps nobody."""
    with pytest.raises(TransportError, match=told):
        run_command(command, timeout_seconds=20)


def test_variables_come_on_top_of_the_inherited_ones():
    """A command without PATH and HOME finds nothing; ours adds to them."""
    show = "import os; print(os.environ['OF_OURS'], 'PATH' in os.environ)"

    assert run_command([sys.executable, "-c", show], timeout_seconds=20, variables={"OF_OURS": "1"}) == "1 True\n"


def started(folder: Path) -> OwnedProcess:
    owned = OwnedProcess(folder / "program.pid")
    owned.start([sys.executable, "-c", PARENT], folder / "log")
    return owned


def wait_for_number(file: Path) -> int:
    """Wait until the program has written its child's id."""
    text = run_command(["sh", "-c", f"until [ -s {file} ]; do :; done; cat {file}"], timeout_seconds=20)
    return int(text)


def is_alive(pid: int) -> bool:
    """Whether there is such a process (not counting one that ended and waits to be collected)."""
    try:
        os.kill(pid, 0)
        state = run_command(["ps", "-o", "stat=", "-p", str(pid)], timeout_seconds=20).strip()
    except (ProcessLookupError, TransportError):
        return False
    return not state.startswith("Z")
