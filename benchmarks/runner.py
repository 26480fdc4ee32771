"""Start a client as a child process, give it the signal, read its figures."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Any, Self

from benchmarks.c_client import build
from benchmarks.task import Task

_ROOT = Path(__file__).parent.parent


class ClientFailedError(Exception):
    """A client gave no figures; says what it wrote instead."""


class Client:
    """One child process.  A context manager that leaves no process behind."""

    def __init__(self, peer: str, task: Task, *, timeout_seconds: float = 150) -> None:
        self._name = f"{peer} ({task.mode})"
        # A file and not a pipe: nobody reads it while the client runs.
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 -- closed in __exit__
        self._process = subprocess.Popen(
            _command(peer, task),
            cwd=_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        # Both pipes are read blocking: a client that hangs is killed, and the read then ends.
        self._watchdog = Timer(timeout_seconds, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def wait_ready(self) -> None:
        """Return once the client is connected."""
        line = self._read_line()
        if line.strip() != "ready":
            raise self._failure(line)

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def figures(self) -> dict[str, Any]:
        """Wait for the end and return what it measured."""
        line = self._read_line()
        try:
            figures: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as exc:
            raise self._failure(line) from exc
        self._process.wait()
        return figures

    def _read_line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _failure(self, said: str) -> ClientFailedError:
        self._process.kill()
        status = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().strip().rpartition("\n")[2]
        return ClientFailedError(f"{self._name} ended with status {status}: {last or said.strip() or 'nothing said'}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()


def run(peer: str, task: Task, *, timeout_seconds: float = 150) -> dict[str, Any]:
    """Run a client from start to end and return its figures."""
    with Client(peer, task, timeout_seconds=timeout_seconds) as client:
        client.wait_ready()
        client.go()
        return client.figures()


def _command(peer: str, task: Task) -> list[str]:
    if peer == build.NAME:
        return build.command(task)
    return [sys.executable, "-m", "benchmarks.child", peer, task.to_json()]
