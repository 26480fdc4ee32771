"""The least rights of a broker user, as ``rabbitmqctl`` commands.  Pure.

RabbitMQ asks for *configure* to make or delete an object, *write* to publish to an exchange and to bind a queue, *read*
to consume from a queue and to bind to an exchange.  A queue with a dead-letter exchange needs *read* on itself and
*write* on that exchange to be declared; a topic exchange checks the routing key besides.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.topology.names import check_group, dead_exchange, dead_queue, group_queue
from bus_amqp.wire.key_words import plain_word

NOTHING = "^$"
_SPECIAL = re.compile(r"([\\.^$*+?()\[\]{}|])")


@dataclass(frozen=True, slots=True)
class Role:
    """What a user does.  ``source``: the ``event_source`` that it may publish as; ``groups``: that it consumes as.

    ``is_temporary``: it makes subscriptions without a group.  ``declares``: as the setting of that name; False: the
    objects are there and bound already, and it can neither make nor delete any (but its temporary queues).
    ``reads``: exchanges of others that its queues are bound to (``ForeignSource``).
    """

    source: str | None = None
    groups: tuple[str, ...] = ()
    is_temporary: bool = False
    declares: bool = True
    reads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.source or self.groups or self.is_temporary):
            raise InvalidArgumentError("permissions for what? Name a publisher's source, a group, or --temporary")
        for group in self.groups:
            check_group(group)


@dataclass(frozen=True, slots=True)
class Rights:
    """Regular expressions over names on the broker; the last two over routing keys of the bus's exchange."""

    configure: str
    write: str
    read: str
    topic_write: str
    topic_read: str


def rights_of(role: Role, exchange: str) -> Rights:
    """Return the least rights with which the role works."""
    configure: set[str] = set()
    write: set[str] = set()
    read: set[str] = set()
    bus, dead = _escaped(exchange), _escaped(dead_exchange(exchange))
    back, astray = _escaped(f"{exchange}.return"), _escaped(f"{exchange}.astray")  # the way back from a wait
    rungs = _escaped(f"{exchange}.wait.") + "[0-9]+[smh]"  # an exchange and a queue for each
    temporary = _escaped(f"{exchange}.tmp.") + "[0-9a-f-]{36}"
    if role.source is not None:
        write |= {bus}
        if role.declares:
            configure |= {bus}
    queues: list[tuple[str, str | None, bool]] = [
        (_escaped(group_queue(exchange, group)), group, role.declares) for group in role.groups
    ]
    if role.is_temporary:
        queues.append((temporary, None, True))  # nobody else can make them
    for queue, group, declares in queues:
        read |= {queue}
        write |= {dead, rungs}  # the copies: dead letters and retries
        if declares:
            letters = _escaped(dead_queue(exchange, group))
            configure |= {queue}
            write |= {queue, letters}
            read |= {bus, dead, back, astray, *map(_escaped, role.reads)}
            if role.declares:
                configure |= {bus, letters, dead, back, astray, rungs}
                write |= {back, astray}
                read |= {rungs}
    return Rights(
        _any_of(configure),
        _any_of(write),
        _any_of(read),
        topic_write=NOTHING if role.source is None else rf"^([^.]+\.){{4}}{_escaped(plain_word(role.source))}$",
        topic_read=".*" if bus in read else NOTHING,
    )


def commands(role: Role, exchange: str, *, user: str, virtual_host: str) -> list[str]:
    """Return the commands that give a user who exists these rights and no others, ready for a shell."""
    rights = rights_of(role, exchange)
    place = ["-p", virtual_host, user]
    return [
        shlex.join(["rabbitmqctl", "set_permissions", *place, rights.configure, rights.write, rights.read]),
        shlex.join(["rabbitmqctl", "set_topic_permissions", *place, exchange, rights.topic_write, rights.topic_read]),
    ]


def _escaped(name: str) -> str:
    return _SPECIAL.sub(r"\\\1", name)


def _any_of(patterns: Iterable[str]) -> str:
    ordered = sorted(patterns)
    if not ordered:
        return NOTHING
    return f"^({'|'.join(ordered)})$"
