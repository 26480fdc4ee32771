"""Run installed plug-ins together, on one bus in one process.

All are loaded before there is a connection, and opened before the first one consumes: a broken one is known before an
event has been taken that it should have had.  By default it keeps the process from starting; with
``is_skipping_broken`` the others run, and the log says who does not.  Two that would take each other's events are
always refused: which of them is at fault, nobody but the operator can say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bus_amqp.bus import EventBus
from bus_amqp.engine.options import agreed_on, check_same_group
from bus_amqp.errors import EventBusException, GroupConflictError, InvalidArgumentError
from bus_amqp.process.ledger import Ledger, recorded
from bus_amqp.process.loader import MakeSubscribers, find_subscribers, opener_of
from bus_amqp.process.plug_ins import Choice, PlugIn, chosen, installed_plug_ins
from bus_amqp.subscriber import Declared, Subscribers

logger = logging.getLogger("bus_amqp.process")


class Crew:
    """The plug-ins of one process.  Main thread only."""

    def __init__(self, choice: Choice) -> None:
        """Load them.  Raises ``InvalidArgumentError``, and ``EventBusException`` naming the one that is broken."""
        self._is_skipping_broken = choice.is_skipping_broken
        self._plug_ins = chosen(installed_plug_ins(), choice)
        self._loaded: list[tuple[PlugIn, MakeSubscribers]] = []
        for plug_in in self._plug_ins:
            with self._told_or_skipped(plug_in):
                found = find_subscribers(plug_in.reference)
                self._loaded.append((plug_in, opener_of(found, plug_in.reference)))
        self._check_any_is_left(self._loaded)

    def __repr__(self) -> str:
        return f"<Crew {', '.join(plug_in.name for plug_in, _ in self._loaded)}>"

    def subscribe(self, bus: EventBus, stack: ExitStack, ledger: Ledger | None) -> None:
        """Open all, then subscribe all; the stack will close the bus first, then what they have opened.

        Raises what the broker says, naming the plug-in.
        """
        opened: list[tuple[PlugIn, Subscribers, ExitStack]] = []
        for plug_in, make_subscribers in self._loaded:
            with self._told_or_skipped(plug_in):
                own = stack.enter_context(ExitStack())
                opened.append((plug_in, own.enter_context(make_subscribers(bus)), own))
        check_apart([(plug_in, subscribers) for plug_in, subscribers, _ in opened])
        stack.callback(bus.close)  # a handler must not find its database closed
        serving = []
        for plug_in, subscribers, own in opened:
            with self._told_or_skipped(plug_in, own):
                bus.subscribe_all(subscribers if ledger is None else recorded(subscribers, ledger))
                serving.append(plug_in)
        self._check_any_is_left(serving)
        names = ", ".join(map(str, serving))
        logger.info("serving %d of %d plug-ins: %s", len(serving), len(self._plug_ins), names)

    @contextmanager
    def _told_or_skipped(self, plug_in: PlugIn, opened: ExitStack | None = None) -> Iterator[None]:
        try:
            yield
        except EventBusException as exc:
            # A broker that is away for a moment is no plug-in's fault: skipping for it would skip them all.
            if not self._is_skipping_broken or exc.is_transient:
                raise EventBusException(f"plug-in {plug_in}: {exc}") from exc
            logger.warning("plug-in %s is skipped: %s", plug_in, exc)
            if opened is not None:
                opened.close()

    def _check_any_is_left(self, plug_ins: Sequence[object]) -> None:
        if not plug_ins:
            raise EventBusException(f"none of the {len(self._plug_ins)} plug-ins can be run")


def check_apart(opened: Sequence[tuple[PlugIn, Subscribers]]) -> None:
    """Raise ``GroupConflictError`` if two plug-ins use one group: each would get a part of what both should have."""
    users: dict[str, tuple[PlugIn, Declared]] = {}
    for plug_in, subscribers in opened:
        for declared in subscribers:
            group = declared.options.group
            if group is None:
                continue
            other, theirs = users.setdefault(group, (plug_in, declared))
            if other is not plug_in:
                consequence = _consequence(group, theirs, declared)
                raise GroupConflictError(
                    f"plug-ins {other} and {plug_in} both use group {group!r}, {consequence}: "
                    f"have one of them use another group, or leave one out (--except {plug_in.name})"
                )


def _consequence(group: str, one: Declared, other: Declared) -> str:
    try:
        check_same_group(group, agreed_on(one), one.options, agreed_on(other), other.options)
    except InvalidArgumentError:
        return "with different topics or options, which the members of a group must agree on"
    return "so that each would get only a part of the events"
