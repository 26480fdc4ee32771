"""``StateTable``: the transitions of one machine, checked when it is made, and asked by two words.

Pure and immutable.  What cannot be meant is refused where the table is written, not at the first event in the night.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import NamedTuple

from bus_amqp.errors import IllegalTransitionError, InvalidArgumentError


class Transition(NamedTuple):
    """One line of a table.  ``state`` None: the resource begins with this event."""

    state: str | None
    event: str
    new_state: str


class StateTable:
    """Raises ``InvalidArgumentError`` for duplicates, contradictions, and states that nothing leads to."""

    def __init__(
        self,
        name: str,
        transitions: Iterable[Transition | tuple[str | None, str, str]],
        *,
        initial: str,
        entries: Iterable[str] = (),
    ) -> None:
        self.name = _word(name, "name")
        self.transitions = tuple(self._transition(line) for line in transitions)
        if not self.transitions:
            raise InvalidArgumentError(f"machine {name} has no transition: it would never do anything")
        self._targets = self._checked_targets()
        targets = [line.new_state for line in self.transitions]
        self.states = tuple(dict.fromkeys([*(line.state for line in self.transitions if line.state), *targets]))
        self.events = tuple(dict.fromkeys(line.event for line in self.transitions))
        self.initial = self._known(initial, "initial state")
        self.entries = tuple(self._known(state, "entry") for state in entries)
        self._check_reachable()

    def __repr__(self) -> str:
        return f"<StateTable {self.name}: {len(self.states)} states, {len(self.events)} events>"

    def target(self, state: str | None, event: str) -> str:
        """Return the next state.  Raises ``IllegalTransitionError`` that says what is allowed."""
        try:
            return self._targets[state, event]
        except (KeyError, TypeError):  # TypeError: not hashable, so no word of ours
            raise IllegalTransitionError(
                self._refusal(state, event),
                machine=self.name, state=state, event=event, allowed=self.allowed(state),
            ) from None  # fmt: skip

    def allowed(self, state: str | None) -> tuple[str, ...]:
        """Return the events that the table knows in a state."""
        return tuple(line.event for line in self.transitions if line.state == state)

    def _transition(self, line: Transition | tuple[str | None, str, str]) -> Transition:
        if not isinstance(line, tuple) or len(line) != 3:
            raise InvalidArgumentError(f"machine {self.name}: {line!r} is not (state, event, new state)")
        state, event, new_state = line
        where = f"{line!r} of machine {self.name}"
        checked = None if state is None else _word(state, f"state in {where}")
        return Transition(checked, _word(event, f"event in {where}"), _word(new_state, f"new state in {where}"))

    def _checked_targets(self) -> dict[tuple[str | None, str], str]:
        targets: dict[tuple[str | None, str], str] = {}
        for state, event, new_state in self.transitions:
            if (before := targets.setdefault((state, event), new_state)) != new_state:
                raise InvalidArgumentError(
                    f"machine {self.name}: {event} in state {state} leads to {before} and to {new_state}: keep one"
                )
        if len(targets) < len(self.transitions):
            doubled = next(line for line in self.transitions if self.transitions.count(line) > 1)
            raise InvalidArgumentError(f"machine {self.name}: {tuple(doubled)!r} stands there twice")
        return targets

    def _known(self, state: str, what: str) -> str:
        if state not in self.states:
            raise InvalidArgumentError(
                f"machine {self.name}: {what} {state!r} is in no transition{_near(state, self.states)}"
            )
        return state

    def _check_reachable(self) -> None:
        reached = {self.initial, *self.entries, *(line.new_state for line in self.transitions if line.state is None)}
        while new := {line.new_state for line in self.transitions if line.state in reached} - reached:
            reached |= new
        if lost := [state for state in self.states if state not in reached]:
            raise InvalidArgumentError(
                f"machine {self.name}: nothing leads to {', '.join(lost)} from {self.initial}: add a transition, "
                "or name what others set as an entry"
            )

    def _refusal(self, state: str | None, event: str) -> str:
        if state is not None and state not in self.states:
            return f"{self.name} has no state {state!r}{_near(state, self.states)}"
        allowed = self.allowed(state)
        where = "that does not exist yet" if state is None else f"in state {state}"
        known = f"allowed: {', '.join(allowed)}" if allowed else "nothing is allowed there"
        unknown = "" if event in self.events else f"; no state of it has that event{_near(event, self.events)}"
        return f"{self.name} {where} does not take {event}{unknown} ({known})"


def _word(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f"{what} must be a text or a member of a StrEnum, not {value!r}")
    return value


def _near(word: object, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(word), map(str, known), n=1)
    return f": did you mean {near[0]}?" if near else ""
