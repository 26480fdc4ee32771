"""``Troupe``: the processes of one scenario.  Each is ended by its id; none outlives the suite."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bus_amqp.settings import child_environment
from tests.chaos.ledger import LedgerFile
from tests.chaos.part import Part

TOP = Path(__file__).resolve().parents[2]
_LINES_TOLD = 12


@dataclass(slots=True)
class Actor:
    """One process, what it was told, what it writes."""

    part: Part
    process: subprocess.Popen[bytes]
    log: Path
    ledger: LedgerFile

    @property
    def name(self) -> str:
        """Its name in the books."""
        return self.part.name

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def kill(self) -> int:
        """SIGKILL it; return its status (-9: the signal found it alive)."""
        self.process.kill()
        return self.process.wait(30)

    def tell_to_end(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def last_words(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").strip().splitlines()[-_LINES_TOLD:])


class Troupe:
    """Starts processes and ends them; as a context manager it leaves none."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self.actors:
            if actor.is_running:
                actor.kill()

    def start(self, module: str, part: Part, variables: Mapping[str, str]) -> Actor:
        """Start ``python -m tests.chaos.<module>`` with its part."""
        order = part.directory / f"{part.name}.json"
        order.write_text(part.model_dump_json())
        order.chmod(0o600)  # the url has a password
        log = part.directory / f"{part.name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tests.chaos.{module}", str(order)],
                cwd=TOP,
                env={**child_environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end them
            )
        actor = Actor(part, process, log, LedgerFile(part.ledger))
        self.actors.append(actor)
        return actor

    def end(self, actors: list[Actor], timeout_seconds: float) -> list[str]:
        """Tell them to end and wait; return a sentence for each that did not end well."""
        running = [actor for actor in actors if actor.is_running]
        for actor in running:
            actor.tell_to_end()
        deadline = time.monotonic() + timeout_seconds
        faults = []
        for actor in running:
            try:
                status = actor.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                actor.kill()
                faults.append(f"{actor.name} did not end within {timeout_seconds:g} s")
            else:
                if status:
                    faults.append(f"{actor.name} ended with status {status}: {actor.last_words()}")
        return faults
