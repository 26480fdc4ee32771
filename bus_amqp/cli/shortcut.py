"""The short way of ``bus-amqp publish --spool DIR``: one event from options, stored before typer could be loaded.

Not a second command: it takes what it understands completely, and leaves everything else, faults above all, to the one
in ``commands/publish.py``.  Both leave the same event in the same store, the same line and the same status; ADR 13.
"""

import os
import time

from bus_amqp.environment import own_variables
from bus_amqp.publish.loose_event import add
from bus_amqp.wire.plain_encoding import encoded

_DEFAULT_EXCHANGE, _MAX_EXCHANGE = "bus.events", 127
_FIELDS = {
    "--category": "event_category", "-c": "event_category",
    "--type": "event_type", "-t": "event_type",
    "--source": "event_source", "-s": "event_source",
    "--resource-type": "resource_type",
    "--resource-uuid": "resource_uuid",
    "--description": "description", "-d": "description",
    "--details": "details",
    "--spool": "spool",
    "--timeout": "timeout",
    "--exchange": "exchange",
}  # fmt: skip


def stored(arguments: list[str]) -> bool:
    """Store the event that the arguments describe; False: nothing was done, and it is for the command to do."""
    given = _read(arguments[1:])
    if given is None or own_variables() or not _is_timeout(given.pop("timeout", "0")):
        return False
    directory, is_mandatory = given.pop("spool", ""), given.pop("mandatory", "")
    exchange = given.pop("exchange", _DEFAULT_EXCHANGE)
    # The last two are not ours to judge: as part of a url they would mean something.
    if not directory or not 1 <= len(exchange) <= _MAX_EXCHANGE or directory.startswith("//") or "," in directory:
        return False
    now_ns = time.time_ns()
    message = encoded(given, now_ns=now_ns, random=os.urandom(10))
    if message is None:
        return False
    return add(directory, exchange, message, is_mandatory=bool(is_mandatory), now=now_ns / 1e9)


def _read(arguments: list[str]) -> dict[str, str] | None:
    """Return what each option was given; None for an argument that is none, is given twice or may mean two things."""
    given: dict[str, str] = {}
    waiting = iter(arguments)
    for argument in waiting:
        option, equals, value = argument.partition("=")
        if argument == "--mandatory":
            name, value = "mandatory", "yes"
        elif option not in _FIELDS or (equals and not option.startswith("--")):
            return None
        else:
            name = _FIELDS[option]
            if not equals:
                value = next(waiting, "-")
                if value.startswith("-"):
                    return None
        if name in given:
            return None
        given[name] = value
    return given


def _is_timeout(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdigit()
