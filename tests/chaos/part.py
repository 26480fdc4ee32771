"""What a process of the chaos suite is told: who it is, where the broker is, what to do.  A JSON file, read once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bus_amqp import EventBus, EventTopic, Settings, connect
from bus_amqp.settings import load_settings

NARROW, WIDE = "VM.START", "VM.STOP"  # the types of even and of odd events
RESOURCES = 8  # of each publisher; its events go to them in turn


class Membership(BaseModel):
    """One subscription that a consumer process holds."""

    model_config = ConfigDict(frozen=True)

    name: str  # in the ledger; members of a group share it
    group: str | None = None
    ordered: bool = False
    workers: int = 1
    event_types: tuple[str, ...] = ()  # none: all events
    has_moods: bool = False  # its handler raises, hangs or exits when the suite says so
    retry: dict[str, Any] | None = None  # arguments of RetryPolicy

    @property
    def keeps_order(self) -> bool:
        """Whether the bus promises order to it."""
        return self.ordered or self.group is None

    def topics(self) -> Sequence[EventTopic]:
        """Return what it subscribes to."""
        return [EventTopic(event_type=event_type) for event_type in self.event_types] or [EventTopic()]

    def options(self) -> dict[str, Any]:
        """Return the arguments of ``subscribe`` beside topic and subscriber."""
        options: dict[str, Any] = {"group": self.group, "ordered": self.ordered, "workers": self.workers}
        if self.retry is not None:
            from bus_amqp import RetryPolicy

            options["retry"] = RetryPolicy(**self.retry)
        return options


class Part(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    directory: Path  # ledgers, logs, and the files by which the suite speaks to the processes
    urls: tuple[str, ...]
    exchange: str
    settings: dict[str, Any] = {}
    # Of a publisher:
    rate: float = 0.0
    padding_bytes: int = 0
    file_limit_bytes: int = 0
    # Of a consumer:
    memberships: tuple[Membership, ...] = ()

    @property
    def ledger(self) -> Path:
        """Where the process writes what it did."""
        return self.directory / f"{self.name}.ledger"

    def bus_settings(self) -> Settings:
        """Return the settings of its bus."""
        return load_settings(exchange=self.exchange, **self.settings)

    def connect(self) -> EventBus:
        """Open its bus, also while the broker is away."""
        return connect(list(self.urls), client_name=self.name, require_broker=False, settings=self.bus_settings())


def read_part() -> Part:
    """Return the part that the command line names."""
    return Part.model_validate_json(Path(sys.argv[1]).read_bytes())


class Ending:
    """Set by SIGTERM, and when the suite itself is gone: a process must not outlive it."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._parent = os.getppid()
        signal.signal(signal.SIGTERM, lambda *_: self._event.set())

    def wait(self, seconds: float) -> bool:
        """Wait that long at most; return whether it is time to end."""
        return self._event.wait(seconds) or os.getppid() != self._parent
