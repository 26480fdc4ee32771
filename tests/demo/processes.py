"""``bus-amqp`` as its users start it: a process with pipes."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bus_amqp.settings import child_environment

SECONDS = 60


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "bus_amqp.cli.main", *arguments]


def bus_amqp(
    *arguments: str, url: str = "", exchange: str = "", stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    environment = child_environment(url=url, exchange=exchange)
    return subprocess.run(
        _command(arguments),
        input=stdin,
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@contextmanager
def started(*arguments: str, url: str, exchange: str = "", cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start it; it is killed at the end if the test has not ended it."""
    process = subprocess.Popen(
        _command(arguments),
        env=child_environment(url=url, exchange=exchange),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read its stderr until a line holds the text, and return the line."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if text in line:
            return line
    raise AssertionError(f"{text!r} never came: {''.join(read)}")
