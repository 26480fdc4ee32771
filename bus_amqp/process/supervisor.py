"""Start several processes of ours, wait until they are ready, stop them all.

Not a service manager: nothing is started again.  Used by the demonstration; one thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bus_amqp.errors import DeadlineExceededError, EventBusException

_POLL_SECONDS = 0.05
_LINES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Child:
    """One process.  What it says goes to ``log``."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        """Return the end of what it said."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-_LINES_TOLD:]) or "it said nothing"


class Supervisor:
    """Owns its children: as a context manager it leaves none behind."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self._environment = environment
        self._children: list[Child] = []

    def __repr__(self) -> str:
        return f"<Supervisor {', '.join(f'{child.name} {child.process.poll()}' for child in self._children)}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start ``bus-amqp`` with these arguments, in the directory."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "bus_amqp.cli.main", *arguments],
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C on the terminal is for us; we pass it on, in the right order.
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    def wait_until_ready(
        self, ready_files: Sequence[Path], *, timeout_seconds: float, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Wait until all the files are there.  Raises at once if a child ends instead."""
        deadline = time.monotonic() + timeout_seconds
        while missing := [file for file in ready_files if not file.exists()]:
            self.check()
            if time.monotonic() >= deadline:
                names = ", ".join(file.stem for file in missing)
                raise DeadlineExceededError(f"not ready within {timeout_seconds:g} s: {names}")
            meanwhile()
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise ``EventBusException`` with its last words if a child has failed."""
        for child in self._children:
            if child.process.poll():
                raise EventBusException(
                    f"process {child.name} ended with status {child.process.returncode}: {child.last_words()}"
                )

    def stop(self, timeout_seconds: float = 20) -> None:
        """Ask all to end, and end those that will not."""
        # Last started, first stopped would be slower: they do not depend on each other's end.
        for child in self._children:
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_seconds
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
