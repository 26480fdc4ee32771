"""Workflow: when an action has failed, open a follow-up; when the same action completes after all, close it.

    bus-amqp run docs.examples.workflow:subscribers      # as many processes as you like, on one machine
    python -m docs.examples.workflow list                # what is open
    python -m docs.examples.workflow close FAILURE       # by hand, as what failed without a resource has to be

Follow-ups are kept in ``workflow.sqlite`` here, or in WORKFLOW_FILE.  Others are told by events of category
WorkflowEvent, FOLLOWUP.OPEN and FOLLOWUP.CLOSE.  Their ids are made from the failure's, so a second copy can be told.

Why nothing is forgotten and nothing stays open.  What happened is written down first and told afterwards, and the bus
hears "done" only when the broker has confirmed what was told: a process that is killed in between is given the event
again and goes on where it stopped.  Moments decide which completion belongs to which failure, not the order of arrival.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from uuid import UUID, uuid5

from bus_amqp import Event, EventBus, EventTopic, Receipt, Subscribers, connect

FILE = Path(os.environ.get("WORKFLOW_FILE", "workflow.sqlite"))
SOURCE, CATEGORY = "workflow", "WorkflowEvent"
OPENED, CLOSED = "FOLLOWUP.OPEN", "FOLLOWUP.CLOSE"
CONFIRM_SECONDS = 30

# An operation is an action on a resource, such as VM.START of one machine.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS failure (
    event_id TEXT PRIMARY KEY, action TEXT, resource_type TEXT, resource TEXT, account TEXT, description TEXT,
    at REAL, is_mended INTEGER, is_open_tried INTEGER, is_open_told INTEGER, is_close_told INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS failure_of_operation ON failure (action, resource);
CREATE TABLE IF NOT EXISTS completion (
    action TEXT, resource TEXT, at REAL, PRIMARY KEY (action, resource)
) WITHOUT ROWID;
"""
_FAILED = "INSERT OR IGNORE INTO failure VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)"
_COMPLETED = """
INSERT INTO completion VALUES (?, ?, ?) ON CONFLICT (action, resource) DO UPDATE SET at = max(at, excluded.at)
"""
_MENDED = """
UPDATE failure SET is_mended = 1 WHERE action = ? AND resource = ? AND resource <> '' AND at <
    (SELECT at FROM completion WHERE action = failure.action AND resource = failure.resource)
"""
# What was mended before anybody can have heard of it is no news.  What may have been told of as open is told so until
# that is confirmed, by another process too, and as closed only then: nobody shall hear of the end before the beginning.
_UNTOLD = """
SELECT event_id, action, resource_type, resource, account, description, is_mended AND is_open_told FROM failure
WHERE action = ? AND resource = ? AND (CASE WHEN is_mended THEN is_open_tried AND NOT is_close_told
                                            ELSE NOT is_open_told END)
ORDER BY at, event_id LIMIT 1
"""
_OPEN = """
SELECT event_id, action, resource_type, resource, account, description, is_mended FROM failure
WHERE NOT is_mended ORDER BY at, event_id
"""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What has to be looked after because an action failed.

    ``is_closed``: the action has completed since, and others know that it was open.
    """

    failure_id: UUID
    action: str
    resource_type: str
    resource: str
    account: str
    description: str
    is_closed: bool

    def event(self) -> Event:
        """Return what others are told.  The same follow-up in the same state is always the same event."""
        event_type = CLOSED if self.is_closed else OPENED
        return Event(
            event_id=uuid5(self.failure_id, event_type),
            event_category=CATEGORY,
            event_type=event_type,
            event_source=SOURCE,
            resource_type=self.resource_type,
            resource_uuid=self.resource,
            description=f"{'mended' if self.is_closed else 'look after'}: {self.action}: {self.description}",
            details={"action": self.action, "account": self.account, "failedEventId": str(self.failure_id)},
        )


class FollowUps:
    """The follow-ups in a SQLite file.  Safe from any thread, and shared with other processes of the machine."""

    def __init__(self, file: Path) -> None:
        self._lock = Lock()  # one connection, any worker thread
        self._database = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_SCHEMA)

    def note(self, event: Event) -> bool:
        """Write down an action's end; return whether it was one."""
        status, operation = event.details.get("status"), (event.event_type, event.resource_uuid)
        if status not in ("Failed", "Completed"):
            return False
        with self._lock, self._transaction():
            if status == "Failed":
                account, at = str(event.details.get("account", "")), event.event_time.timestamp()
                description = event.description or str(event.details.get("errorMessage", ""))
                about = (event.resource_type, event.resource_uuid, account, description, at)
                self._database.execute(_FAILED, (str(event.event_id), event.event_type, *about))
            else:
                self._database.execute(_COMPLETED, (*operation, event.event_time.timestamp()))
            self._database.execute(_MENDED, operation)
        return True

    def close_by_hand(self, failure_id: UUID) -> tuple[str, str] | None:
        """Write down that it is over; return its action and resource, or None for one that was never there."""
        key = (str(failure_id),)
        with self._lock, self._transaction():
            self._database.execute("UPDATE failure SET is_mended = 1 WHERE event_id = ?", key)
            row: tuple[str, str] | None = self._database.execute(
                "SELECT action, resource FROM failure WHERE event_id = ?", key
            ).fetchone()
        return row

    def untold(self, action: str, resource: str) -> FollowUp | None:
        """Return a follow-up of that operation whose opening or closing others may not know of yet."""
        with self._lock, self._transaction():
            row = self._database.execute(_UNTOLD, (action, resource)).fetchone()
            if row is None:
                return None
            # Before anybody can hear of it: were this process killed while it tells, the closing must be told too.
            self._database.execute("UPDATE failure SET is_open_tried = 1 WHERE event_id = ?", row[:1])
        return _follow_up(row)

    def set_told(self, follow_up: FollowUp) -> None:
        """Write down that others know of it as it is."""
        column = "is_close_told" if follow_up.is_closed else "is_open_told"
        with self._lock:
            self._database.execute(f"UPDATE failure SET {column} = 1 WHERE event_id = ?", (str(follow_up.failure_id),))

    def open(self) -> list[FollowUp]:
        """Return what is open, the oldest first."""
        with self._lock:
            return [_follow_up(row) for row in self._database.execute(_OPEN)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


def _follow_up(row: tuple[str, str, str, str, str, str, int]) -> FollowUp:
    return FollowUp(UUID(row[0]), *row[1:6], is_closed=bool(row[6]))


class Workflow:
    """Turns failed actions into follow-ups, and tells of them on the bus."""

    def __init__(self, publish: Callable[[Event], Receipt], follow_ups: FollowUps) -> None:
        self._publish = publish
        self._follow_ups = follow_ups

    def on_event(self, event: Event) -> None:
        """Take in one event of an action; return when all that follows from it is confirmed by the broker."""
        if self._follow_ups.note(event):
            self._tell(event.event_type, event.resource_uuid)

    def close(self, failure_id: UUID) -> bool:
        """Close a follow-up by hand, and tell of it; return whether there was something to tell."""
        operation = self._follow_ups.close_by_hand(failure_id)
        return operation is not None and self._tell(*operation)

    def _tell(self, action: str, resource: str) -> bool:
        has_told = False
        # Again after each: one completion may mend several failures, and what is told of as open be mended meanwhile.
        while (follow_up := self._follow_ups.untold(action, resource)) is not None:
            self._publish(follow_up.event()).result(CONFIRM_SECONDS)
            self._follow_ups.set_told(follow_up)
            has_told = True
        return has_told


@contextmanager
def subscribers(bus: EventBus, file: Path = FILE) -> Iterator[Subscribers]:
    """Subscribe to actions; close the file when the process ends."""
    with closing(FollowUps(file)) as follow_ups:
        declared = Subscribers()
        declared.on(EventTopic(event_category="ActionEvent"), group="workflow", workers=4)(
            Workflow(bus.publish, follow_ups)
        )
        yield declared


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the open follow-ups, or close one."""
    parser = argparse.ArgumentParser(prog="python -m docs.examples.workflow")
    commands = parser.add_subparsers(required=True)
    commands.add_parser("list", help="what is open").set_defaults(failure=None)
    commands.add_parser("close", help="close one by hand").add_argument("failure", type=UUID, help="as in the list")
    given = parser.parse_args(arguments)
    with closing(FollowUps(FILE)) as follow_ups:
        if given.failure is None:
            for one in follow_ups.open():
                about = f"{one.action:<20} {one.resource_type or '?'} {one.resource or '?'} of {one.account or '?'}"
                print(f"{one.failure_id} {about}: {one.description}")
            return
        with connect(client_name="workflow close") as bus:
            is_closed = Workflow(bus.publish, follow_ups).close(given.failure)
    print("closed" if is_closed else f"{given.failure} is not open")


if __name__ == "__main__":
    main()
