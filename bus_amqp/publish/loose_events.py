"""``LooseEvents``: the loose events of a directory, and how they get into a journal: gathered.

The shortcut of ``bus-amqp publish --spool`` adds them, one file each (``loose_event``).  The rule of their order: what
one script stores, call after call, is sent in that order, whichever way each call took.

* A loose event sorts behind all that were there when it came, by its name.
* Gathering takes them in that order, to the end of the newest journal if nobody holds it, else into a new one behind
  all others.  So a gathered event comes behind every journal that was closed before it, and before all later ones.
* ``SpoolBus`` gathers before it appends, and a bus with this ``outbox_directory`` before it sends events of its own.
* One process gathers at a time, under ``gather.lock``, which is taken before the journal's own lock: taken after it,
  another process could gather, behind the journal that we hold, what must come before our next event.
* A spool has that lock whenever it holds a journal.  So an adopter that finds one held looks again with the lock:
  left out for a moment's append, it would be sent after the journals behind it.

First the commit, then the files are removed.  A crash in between has the same event, with its id, gathered again: at
least once.  What is no event is set aside as ``….damaged``; what cannot be read stays, and both are told.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from bus_amqp.errors import OutboxDamagedError, OutboxStorageError
from bus_amqp.publish.file_lock import FileLock
from bus_amqp.publish.journal import Journal, StoredEvent
from bus_amqp.publish.loose_event import EVENT_SUFFIX, PART_SUFFIX, VERSION
from bus_amqp.publish.outbox_directory import DAMAGED_SUFFIX, OutboxDirectory
from bus_amqp.wire.message import Message

logger = logging.getLogger("bus_amqp.publish")

GATHER_LOCK = "gather.lock"
PAGE_EVENTS = 256  # a tenth of a second on a busy machine
PAGE_BYTES = 4 * 1024 * 1024
PART_SECONDS = 600  # a part is renamed within a millisecond; one so old is of a process that was killed
SHORT_WAIT_SECONDS, _LOOK_SECONDS = 0.2, 0.002  # for another process that gathers; a publisher thread waits
_MAX_FILE_BYTES = 4 * 1024 * 1024  # far more than the shortcut writes
_TYPES = {
    "version": int, "exchange": str, "acceptedAt": float, "routingKey": str, "body": str, "messageId": str,
    "timestamp": int, "type": str, "appId": str, "contentType": str, "mandatory": bool,
}  # fmt: skip
_WORDS = ("exchange", "routingKey", "messageId", "type", "appId", "contentType")
_MAX_WORD_BYTES = 255  # AMQP short strings
_END_OF_TIME = 2**63  # of SQLite's integers


class GatheringBusyError(OutboxStorageError):
    """Other processes have gathered all the time that was to be waited."""


class Gathered(NamedTuple):
    """Events to be gathered together.  ``looked_at``: how many files that took."""

    paths: list[Path]
    events: list[tuple[float, Message]]  # each with the time of its acceptance
    looked_at: int
    is_shared: bool  # some were gone: another process gathers, too


class LooseEvents:
    """Keeps nothing but what it knows of single files.  Called by one thread at a time."""

    def __init__(self, directory: OutboxDirectory) -> None:
        self._directory = directory
        self._left: set[str] = set()  # of other exchanges, or gathered and not to be removed: never looked at again

    def __repr__(self) -> str:
        return f"<LooseEvents of {self._directory.path}>"

    def look(self) -> list[Path]:
        """Return the files that may hold events of ours, oldest first; remove what killed processes left of others."""
        for part in self._directory.files(PART_SUFFIX):
            with suppress(OSError):  # renamed meanwhile; or it stays
                if time.time() - part.stat().st_mtime > PART_SECONDS:
                    part.unlink()  # of a living process, by a clock set forward: it will notice, and begin again
        return [path for path in self._directory.files(EVENT_SUFFIX) if path.name not in self._left]

    def lock(self, wait_seconds: float) -> FileLock:
        """Return the right to gather, or append.  Raises ``OutboxStorageError``: ``GatheringBusyError`` if held."""
        path = self._directory.path / GATHER_LOCK
        deadline = time.monotonic() + wait_seconds
        try:
            while (lock := FileLock.take(path)) is None:
                if time.monotonic() >= deadline:
                    raise GatheringBusyError(f"{path}: another process has been gathering loose events for too long")
                threading.Event().wait(_LOOK_SECONDS)
        except OSError as exc:
            raise OutboxStorageError(f"{path}: {exc.strerror}") from exc
        return lock

    def adopt(self, path: Path) -> Journal | None:
        """Adopt a journal that is held, if that is only for one append of a spool.  Raises ``OutboxStorageError``."""
        lock = self.lock(SHORT_WAIT_SECONDS)
        try:
            return self._directory.adopt(path)
        finally:
            lock.release(remove=True)

    def gather(self, paths: Iterable[Path]) -> tuple[Gathered, Journal | None]:
        """Bring the first of these files into a journal; return it, held, or None if there was nothing to bring.

        Raises ``OutboxStorageError``; then nothing has changed.
        """
        lock = self.lock(SHORT_WAIT_SECONDS)
        try:
            gathered = self.read(paths)
            return gathered, self._moved(gathered) if gathered.events else None
        finally:
            lock.release(remove=True)

    def _moved(self, gathered: Gathered) -> Journal:
        journal = self._directory.adopt_newest() or self._directory.create()
        with ExitStack() as undo:
            undo.callback(lambda: journal.close())
            try:
                self.move(gathered, journal, journal.bounds()[1])
            except OutboxDamagedError:  # whoever sends that journal will set it aside
                journal.close()
                journal = self._directory.create()
                self.move(gathered, journal, 0)
            undo.pop_all()
        return journal

    def read(self, paths: Iterable[Path]) -> Gathered:
        """Return the first events of these files, no more than fit into a page.  The lock is held."""
        found: list[Path] = []
        events: list[tuple[float, Message]] = []
        size_bytes, looked_at, is_shared = 0, 0, False
        for path in paths:
            if len(events) >= PAGE_EVENTS or size_bytes >= PAGE_BYTES:
                break
            looked_at += 1
            try:
                event = self._event(path)
            except FileNotFoundError:
                is_shared = True
                continue
            except OSError as exc:
                self._directory.tell_unusable(path, exc)
                continue
            except OutboxDamagedError as exc:
                self._set_aside(path, exc)
                continue
            if event is not None:
                found.append(path)
                events.append(event)
                size_bytes += len(event[1].body)
        return Gathered(found, events, looked_at, is_shared)

    def _event(self, path: Path) -> tuple[float, Message] | None:
        with path.open("rb") as file:
            line = file.read(_MAX_FILE_BYTES + 1)
        exchange, event = parsed(line)
        if exchange == self._directory.exchange:
            return event
        self._left.add(path.name)
        return None

    def _set_aside(self, path: Path, why: OutboxDamagedError) -> None:
        try:
            path.rename(path.with_suffix(DAMAGED_SUFFIX))
        except OSError as exc:
            self._directory.tell_unusable(path, exc)
        else:
            self._directory.tell_damaged(path, why, recovered=0)

    def move(self, gathered: Gathered, journal: Journal, last: int) -> None:
        """Store events behind number ``last`` of a journal, and remove their files.  The lock is held.

        Raises ``OutboxStorageError``; then they are as they were.
        """
        journal.copy([
            StoredEvent(number, accepted_at, message)
            for number, (accepted_at, message) in enumerate(gathered.events, last + 1)
        ])  # fmt: skip
        for path in gathered.paths:
            try:
                path.unlink(missing_ok=True)
            except OSError as exc:
                self._left.add(path.name)  # else it would be sent again with every look
                logger.error("%s is gathered and cannot be removed; another process will send it again: %s", path, exc)


def parsed(line: bytes) -> tuple[str, tuple[float, Message]]:
    """Return exchange, time of acceptance and message.  Raises ``OutboxDamagedError`` for what is no event."""
    try:
        given = json.loads(line)
        if given["version"] != VERSION:
            raise OutboxDamagedError(f"loose event of version {given['version']!r}, this release reads {VERSION}")
        if {name: type(value) for name, value in given.items()} != _TYPES:
            raise OutboxDamagedError("no loose event: other names or types")
        body, *words = (given[name].encode() for name in ("body", *_WORDS))
    except (ValueError, TypeError, KeyError, RecursionError) as exc:  # no JSON, no object, half a surrogate pair
        raise OutboxDamagedError(f"no loose event: {exc!r}") from exc
    if any(len(word) > _MAX_WORD_BYTES for word in words) or not 0 <= given["timestamp"] < _END_OF_TIME:
        raise OutboxDamagedError("no loose event: values out of bounds")
    if not math.isfinite(given["acceptedAt"]):
        raise OutboxDamagedError("no loose event: accepted at no time")
    message = Message(
        given["routingKey"], body, given["messageId"], given["timestamp"], given["type"], given["appId"],
        content_type=given["contentType"], mandatory=given["mandatory"],
    )  # fmt: skip
    return given["exchange"], (given["acceptedAt"], message)
