"""The parties at work: as processes against a real broker, or as threads of this one against memory."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from bus_amqp.bus import EventBus
from bus_amqp.cli.demo.parties import CONSUMERS, database_url, follow_ups_file, module_of, reference_of
from bus_amqp.cli.demo.publisher import FLUSH_SECONDS, Load, publish_stream
from bus_amqp.cli.demo.tally import PUBLISHER
from bus_amqp.engine.connect import connect
from bus_amqp.ioloop.service import start_thread
from bus_amqp.process.ledger import Ledger
from bus_amqp.process.loader import opener_of
from bus_amqp.process.runner import subscribe
from bus_amqp.process.supervisor import Supervisor

_READY_SECONDS = 60.0


class Scene(ABC):
    """Consumers first, then the publisher; as a context manager it ends them all.

    ``directory`` holds what they write.
    """

    def __init__(self, directory: Path, load: Load) -> None:
        self.directory = directory
        self.load = load

    def ledgers(self) -> dict[str, Sequence[Path]]:
        """Return the files that the parties write, by party."""
        found: dict[str, list[Path]] = {PUBLISHER: [self._ledger(PUBLISHER)]}
        for name, party in CONSUMERS.items():
            found.setdefault(party, []).append(self._ledger(name))
        return dict(found)

    def _ledger(self, name: str) -> Path:
        return self.directory / f"{name}.jsonl"

    @abstractmethod
    def begin(self) -> None:
        """Start the consumers, wait until all are subscribed, start the publisher."""

    @property
    @abstractmethod
    def is_publishing(self) -> bool:
        """Whether the publisher has events to send, or some that are not confirmed."""

    @abstractmethod
    def check(self) -> None:
        """Raise ``EventBusException`` if a party has failed."""

    @abstractmethod
    def end(self) -> None:
        """End all parties in good order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class ProcessScene(Scene):
    """Each party is a process (billing: two) of the operating system."""

    def __init__(self, directory: Path, load: Load, environment: Mapping[str, str]) -> None:
        super().__init__(directory, load)
        own_files = {
            "BILLING_DATABASE_URL": database_url(directory),
            "WORKFLOW_FILE": str(follow_ups_file(directory)),
        }
        self._supervisor = Supervisor(directory, {**environment, **own_files})
        self._publisher: Callable[[], int | None] = lambda: None

    def begin(self) -> None:
        """Start the processes."""
        ready_files = []
        for name, party in CONSUMERS.items():
            ready_files.append(self.directory / f"{name}.ready")
            options = ["--name", name, "--ledger", str(self._ledger(name)), "--ready-file", str(ready_files[-1])]
            self._supervisor.start(name, ["run", reference_of(party), *options])
        self._supervisor.wait_until_ready(ready_files, timeout_seconds=_READY_SECONDS)
        numbers = {"--events": self.load.events, "--rate": self.load.rate, "--seed": self.load.seed}
        options = [str(part) for pair in numbers.items() for part in pair]
        child = self._supervisor.start(
            PUBLISHER, ["demo", *options, "publisher", "--ledger", str(self._ledger(PUBLISHER))]
        )
        self._publisher = child.process.poll

    @property
    def is_publishing(self) -> bool:
        """Whether the publisher's process runs."""
        return self._publisher() is None

    def check(self) -> None:
        """Look at all processes."""
        self._supervisor.check()

    def end(self) -> None:
        """Stop all processes."""
        self._supervisor.stop()


class MemoryScene(Scene):
    """Each party has a bus of its own in this process."""

    def __init__(self, directory: Path, load: Load) -> None:
        super().__init__(directory, load)
        self._url = f"memory://demo-{os.getpid()}"
        self._stack = ExitStack()
        self._thread: Thread | None = None
        self._is_wanted = True  # written by the caller's thread, read by the publisher's

    def begin(self) -> None:
        """Start the buses."""
        arguments = self._arguments()
        for name, party in CONSUMERS.items():
            bus = self._stack.enter_context(connect(self._url, client_name=name))
            opened = partial(module_of(party).subscribers, **arguments[party])
            subscribe(bus, opener_of(opened, reference_of(party)), self._stack, self._ledger(name))
        ledger = self._stack.enter_context(Ledger(self._ledger(PUBLISHER)))
        bus = self._stack.enter_context(connect(self._url, client_name=PUBLISHER))
        self._thread = start_thread("demo-publisher", lambda: self._publish(bus, ledger))

    def _arguments(self) -> dict[str, dict[str, object]]:
        """Return what processes are told by their environment and their output, by party."""
        log = self._stack.enter_context((self.directory / "monitoring.log").open("w"))
        return {
            "monitoring": {"output": log},
            "billing": {"database_url": database_url(self.directory)},
            "workflow": {"file": follow_ups_file(self.directory)},
        }

    def _publish(self, bus: EventBus, ledger: Ledger) -> None:
        publish_stream(bus, self.load, ledger, lambda: self._is_wanted)
        bus.flush(FLUSH_SECONDS)

    @property
    def is_publishing(self) -> bool:
        """Whether the publisher's thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def check(self) -> None:
        """Nothing to look at: what fails here, fails in this process."""

    def end(self) -> None:
        """End the publisher, then close the buses."""
        self._is_wanted = False
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._stack.close()
