"""A loose event: one event in a file of its own, added by a process that has no time to load SQLite.

``<sequence>-<uuid>.event`` holds one line of JSON.  It is written under another name and renamed: a process killed
anywhere leaves a whole one or none.  Whoever opens the directory gathers them into a journal; see ``loose_events``.

Imports next to nothing, because the command's shortcut adds events with it.
"""

import os
from _json import encode_basestring

VERSION = 1  # of the line; counted up by who changes anything that an older release would read wrongly
EVENT_SUFFIX, PART_SUFFIX = ".event", ".event-part"
MAX_LOOSE = 256  # more of them would make each next one slow, for the directory is listed: the command gathers them


def add(
    directory: str, exchange: str, message: tuple[str, bytes, str, int, str, str], *, is_mandatory: bool, now: float
) -> bool:
    """Store an event whose body is JSON; return False, and nothing is stored, where that takes a second look.

    ``message``: routing key, body, message id, timestamp, type and application id.
    """
    key, body, message_id, timestamp, kind, app_id = message
    part, is_whole = "", False
    try:
        line = (
            f'{{"version":{VERSION},"exchange":{encode_basestring(exchange)},"acceptedAt":{now!r},'
            f'"routingKey":{encode_basestring(key)},"body":{encode_basestring(body.decode())},'
            f'"messageId":{encode_basestring(message_id)},"timestamp":{timestamp},"type":{encode_basestring(kind)},'
            f'"appId":{encode_basestring(app_id)},"contentType":"application/json",'
            f'"mandatory":{"true" if is_mandatory else "false"}}}\n'
        ).encode()
        names = [name for name in os.listdir(directory) if name.endswith(EVENT_SUFFIX)]
        if len(names) >= MAX_LOOSE:
            return False
        path = f"{directory}/{file_name(next_sequence(names, now), os.urandom(16).hex(), EVENT_SUFFIX)}"
        part = path.removesuffix(EVENT_SUFFIX) + PART_SUFFIX
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            is_whole = os.write(descriptor, line) == len(line)  # less: the disk is full
        finally:
            os.close(descriptor)
        if is_whole:
            os.rename(part, path)
        return is_whole
    except (OSError, ValueError):  # ValueError: half a surrogate pair
        is_whole = False
        return False
    finally:
        if part and not is_whole:
            _remove(part)


def _remove(part: str) -> None:
    try:
        os.unlink(part)
    except OSError:
        pass  # it was not there, or goes when it is old


def next_sequence(names: list[str], now: float) -> int:
    """Return a sequence behind those of all these files; ``now``: seconds since the epoch.

    The clock alone would not do: set back an hour, it would put new events before those that wait.
    """
    return max(int(now * 1e6), max(map(sequence_of, names), default=0) + 1)


def sequence_of(name: str) -> int:
    """Return the sequence in a file's name."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def file_name(sequence: int, unique: str, suffix: str) -> str:
    """Return a name that sorts by the sequence; ``unique``: a uuid's hex digits.  No process id: those come again."""
    return f"{sequence:020d}-{unique}{suffix}"
