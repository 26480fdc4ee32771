"""Compile the C client, if there is a compiler and librabbitmq's headers, and say how it is called."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.task import EXCHANGE, Task

NAME = "rabbitmq_c"
_SOURCE = Path(__file__).with_name("bench.c")


@lru_cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bus-amqp-bench-")  # removed by itself when the parent ends


@lru_cache
def why_not() -> str | None:
    """Compile; return None, or the reason why there is no C client."""
    compiler = shutil.which("cc")
    if compiler is None:
        return "no C compiler"
    built = subprocess.run(
        [compiler, "-O2", "-o", str(_program()), str(_SOURCE), "-lrabbitmq"], capture_output=True, text=True
    )
    return None if built.returncode == 0 else "it does not compile: is librabbitmq-dev installed?"


def command(task: Task) -> list[str]:
    """Return the command line of the client, compiled if it was not."""
    why_not()
    parts = urlsplit(task.url)
    return [
        str(_program()), task.mode,
        parts.hostname or "localhost", str(parts.port or 5672),
        unquote(parts.username or "guest"), unquote(parts.password or "guest"), unquote(parts.path[1:]) or "/",
        EXCHANGE, task.queue, str(task.events), str(task.warm_up), str(task.in_flight), task.messages,
    ]  # fmt: skip


def _program() -> Path:
    return Path(_directory().name) / "bench"
