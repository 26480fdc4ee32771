"""``OwnedProcess``: a background program that we started and can end by its id, from this process or a later one.

The id is kept in a file, with the time at which the system says the process began: an id may have passed to a stranger
since, and a stranger must never be ended.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from bus_amqp.errors import TransportError
from bus_amqp.testing.command import run_command

_END_SECONDS = 15.0
_POLL_SECONDS = 0.05


class OwnedProcess:
    """The program whose id stands in ``pid_file``.  It leads a process group: what it starts ends with it."""

    def __init__(self, pid_file: Path) -> None:
        self._pid_file = pid_file
        self._child: subprocess.Popen[bytes] | None = None  # only in the process that started it

    def __repr__(self) -> str:
        return f"<OwnedProcess {self._pid_file.name} {'running' if self.is_running else 'ended'}>"

    @property
    def pid(self) -> int | None:
        """Its id, if it was started."""
        return self._saved()[0]

    @property
    def is_running(self) -> bool:
        """Whether the process we started is there (one that ended and waits to be collected is not)."""
        if self._child is not None:
            return self._child.poll() is None
        pid, birth = self._saved()
        return pid is not None and bool(birth) and _birth(pid) == birth

    def start(self, arguments: Sequence[str], log_file: Path) -> None:
        """Start it, detached from our terminal so that Ctrl-C reaches us and not it."""
        with log_file.open("ab") as log:
            self._child = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid_file.write_text(f"{self._child.pid}\n{_birth(self._child.pid)}")

    def kill(self) -> None:
        """End it and what it started, without warning, and wait until it is gone."""
        pid = self.pid
        if pid is None or not self.is_running:
            return
        os.killpg(pid, signal.SIGKILL)
        self.wait_until_ended(timeout_seconds=_END_SECONDS)

    def wait_until_ended(self, *, timeout_seconds: float) -> None:
        """Wait until the process is gone."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_running:
            if time.monotonic() >= deadline:
                raise TransportError(f"process {self.pid} did not end within {timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def _saved(self) -> tuple[int | None, str]:
        try:
            pid, _, birth = self._pid_file.read_text().partition("\n")
            return int(pid), birth
        except (OSError, ValueError):
            return None, ""


def _birth(pid: int) -> str:
    """Return what tells this process from another of the same id; "" if there is none, or it has ended."""
    try:
        # After the name, which may hold anything in its parentheses: the state, and as the 22nd field of all the start.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else _birth_by_ps(pid)
    except OSError:  # it ended while we looked
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _birth_by_ps(pid: int) -> str:
    """The same where there is no /proc (macOS)."""
    try:
        return run_command(["ps", "-o", "lstart=", "-p", str(pid)], timeout_seconds=5).strip()
    except TransportError:
        return ""
