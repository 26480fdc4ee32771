"""Write dead letters to a file: JSON lines, whole or not at all.  Pure but for the file."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from bus_amqp.admin.letter import Letter
from bus_amqp.errors import InvalidArgumentError


def record_of(letter: Letter, *, with_body: bool) -> dict[str, object]:
    """Return what is known of a letter as JSON values; ``body`` where it is UTF-8, else ``body_base64``."""
    properties, delivery = letter.properties, letter.delivery
    record: dict[str, object] = {
        "position": letter.position,
        "event_id": letter.event_id,
        "event_type": letter.event.event_type if letter.event else properties.type,
        "reason": letter.reason,
        "reason_by": "broker" if letter.is_by_broker else "bus",
        "exception": letter.exception,
        "attempts": letter.attempts,
        "earlier_attempts": letter.earlier_attempts,
        "times_put_back": letter.times_put_back,
        "first_failure": _iso(letter.first_failure),
        "last_failure": _iso(letter.last_failure),
        "subscriber": letter.subscriber,
        "host": letter.host,
        "queue": letter.queue,
        "routing_key": letter.routing_key,
        "body_bytes": delivery.body_bytes,
    }
    if not with_body:
        return record
    record |= {
        "message_id": properties.message_id,
        "content_type": delivery.content_type,
        "timestamp": properties.timestamp,
        "type": properties.type,
        "app_id": properties.app_id,
        "headers": dict(properties.headers),
        "deaths": [{name: _plain(value) for name, value in death.items()} for death in properties.deaths],
    }
    if delivery.body is None:
        return {**record, "body": None}
    try:
        return {**record, "body": delivery.body.decode()}
    except UnicodeDecodeError:
        return {**record, "body_base64": base64.b64encode(delivery.body).decode()}


def line_of(letter: Letter, *, with_body: bool) -> str:
    """Return the record as one line of ASCII, which steers no terminal."""
    return json.dumps(record_of(letter, with_body=with_body))


def export(letters: Iterable[Letter], path: Path, *, may_replace: bool = False) -> int:
    """Write the letters to a file and return how many.  The file appears when the last one is on the disk.

    Readable by its owner only: events are not for everybody.  Raises ``InvalidArgumentError`` for a file that is
    there, and for one that cannot be written.
    """
    if path.exists() and not may_replace:
        raise InvalidArgumentError(f"{path} exists: choose another name, or replace it with --overwrite")
    count = 0
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as exc:
        raise InvalidArgumentError(f"{path}: {exc.strerror}") from exc
    part = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            for letter in letters:
                file.write(line_of(letter, with_body=True) + "\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
