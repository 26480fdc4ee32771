"""``StateMachine``: which event leads a resource from which state to which, and who hears of it.

It keeps no state: the caller reads the current one from its own storage, and stores the new one in ``save``.

    machine = VIRTUAL_MACHINE.with_listeners(UserVmStateListener(bus))
    machine.transit("StartRequested", row.state, row, save=lambda old, new: rows.update_state(row.id, old, new))

Its table and its listeners never change, so one machine serves all threads.  It needs no bus and knows none.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bus_amqp.errors import InvalidArgumentError, TransitionConflictError
from bus_amqp.source.state_listener import StateChange, StateListener
from bus_amqp.source.state_table import StateTable, Transition

logger = logging.getLogger("bus_amqp.source")

Stored = bool | int | None
Save = Callable[[Any, Any], Stored]  # Any: a str, or the caller's own StrEnum
AsyncSave = Callable[[Any, Any], Awaitable[Stored]]


class StateMachine:
    """A table of transitions, and its listeners.

    ``name`` is the type of the resource, as in ``Event.resource_type``.  ``initial``: the state in which a resource
    begins.  ``entries``: states into which something else than an event of this machine puts a resource.
    States and events are texts, or members of a ``StrEnum``; a transition from ``None`` makes a resource.
    Raises ``InvalidArgumentError`` for a table that cannot be meant.
    """

    def __init__(
        self,
        name: str,
        transitions: Iterable[Transition | tuple[str | None, str, str]],
        *,
        initial: str,
        entries: Iterable[str] = (),
    ) -> None:
        self.table = StateTable(name, transitions, initial=initial, entries=entries)
        self.name = self.table.name
        self.listeners: tuple[StateListener, ...] = ()
        self.listener_failures = 0  # for people: two threads at once may count one too few

    def __repr__(self) -> str:
        return f"<StateMachine {self.name}: {len(self.table.states)} states, {len(self.listeners)} listeners>"

    def with_listeners(self, *listeners: StateListener) -> StateMachine:
        """Return a machine with the same table that tells these too; this one stays as it is.

        Raises ``InvalidArgumentError`` for what is no listener, or one made for another type of resource.
        """
        for listener in listeners:
            self._check(listener)
        machine = copy.copy(self)
        machine.listeners = (*self.listeners, *listeners)
        machine.listener_failures = 0
        return machine

    def transit(
        self,
        event: str,
        current: str | None,
        resource: object = None,
        *,
        save: Save,
        correlation_id: str | None = None,
    ) -> str:
        """Take ``resource`` to the state that ``event`` leads to, and return that.

        Listeners hear *pre*; then ``save(old, new)`` is called, which stores the new state if the old one is still
        there; then they hear *post*, or *failed* if it returned False (or 0, a count of rows) or raised.  Let ``save``
        commit: what is rolled back after it has returned was told as done.

        Raises ``IllegalTransitionError`` (nobody was told anything), ``TransitionConflictError`` for a state that
        somebody else has changed, and what ``save`` raised, as it is.
        """
        change = self._change(event, current, resource, correlation_id)
        try:
            self._tell(change, "pre_state_transition")
            stored = save(change.old_state, change.new_state)
            if inspect.iscoroutine(stored):  # it would pass for a yes, and nothing be stored
                stored.close()
                raise InvalidArgumentError(f"save of {change.event} is a coroutine function: await transit_async")
            _check_stored(stored, change)
        except BaseException as exc:
            self._tell(change, "failed_state_transition", exc)
            raise
        self._tell(change, "post_state_transition")
        return change.new_state

    async def transit_async(
        self,
        event: str,
        current: str | None,
        resource: object = None,
        *,
        save: AsyncSave,
        correlation_id: str | None = None,
    ) -> str:
        """Do what ``transit`` does with a ``save`` that is awaited.  A cancelled one has failed."""
        change = self._change(event, current, resource, correlation_id)
        try:
            self._tell(change, "pre_state_transition")
            stored = save(change.old_state, change.new_state)
            # One that was not to be awaited has stored all the same, and must not be told as failed.
            _check_stored(await stored if inspect.isawaitable(stored) else stored, change)
        except BaseException as exc:
            self._tell(change, "failed_state_transition", exc)
            raise
        self._tell(change, "post_state_transition")
        return change.new_state

    def _change(self, event: str, current: str | None, resource: object, correlation_id: str | None) -> StateChange:
        return StateChange(
            self.name, event, current, self.table.target(current, event), resource, correlation_id=correlation_id
        )

    def _tell(self, change: StateChange, method: str, *error: BaseException) -> None:
        interrupt: BaseException | None = None
        for listener in self.listeners:
            try:
                getattr(listener, method)(change, *error)
            except Exception:  # a subscriber in all but name: it must stop neither the transition nor the others
                self.listener_failures += 1
                logger.exception("%s of %r raised on %s", method, listener, change)
            except BaseException as exc:  # noqa: BLE001 -- Ctrl-C, passed on when the others have heard how it ends
                interrupt = exc
        if interrupt is not None:
            raise interrupt

    def _check(self, listener: object) -> None:
        for method in ("pre_state_transition", "post_state_transition", "failed_state_transition"):
            if isinstance(listener, type) or not callable(getattr(listener, method, None)):
                raise InvalidArgumentError(f"{listener!r} is no listener: derive from StateListener and make one")
        made_for = getattr(listener, "resource_type", None) or self.name
        if made_for != self.name:
            raise InvalidArgumentError(f"{listener!r} is made for {made_for} and cannot listen to {self.name}")


def _check_stored(stored: Stored, change: StateChange) -> None:
    # None: a function without a return, that raises when it cannot.  Any other "no" is False, or no row.
    if stored is not None and not stored:
        raise TransitionConflictError(
            f"{change.machine} is no longer in state {change.old_state}: {change.event} was not stored, read it again"
        )
