"""Messages that say again what another has just said.  Pure but for a bounded memory; the clock is passed in.

Two kinds are known.  *State*: for volumes, networks and snapshots the message before a transition and the one after it
are the same but for the second in which they were written.  *Plug-in*: the network plug-in contrail publishes a second
ActionEvent for each completed action, with no account, no resource and no time in it.

The first of a pair is never known to be one; the second is.  A message that may have been here before may be either,
also one that is remembered: of that alone nothing is concluded.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from bus_amqp import InvalidArgumentError
from bus_amqp.extension.cloudstack.naming import resource_type_of

WINDOW_SECONDS = 30.0  # between the two lies one update of a database, at times a slow one
CAPACITY = 10_000  # firsts that wait for their second; the oldest is forgotten
_LONGEST_WORD = 255  # characters; a uuid has 36
_RESOURCES_WITH_TWINS = frozenset({"Volume", "Network", "Snapshot"})
_PLUG_IN_KEYS = frozenset({"event", "status", "details"})


class TwinPolicy(StrEnum):
    """What becomes of a second message: ``drop`` it, ``mark`` its event (the default), or ``keep`` it as any other."""

    DROP = "drop"
    MARK = "mark"
    KEEP = "keep"


class Twin(StrEnum):
    """Why a message is the second of two.

    ``plug-in-alone``: by its looks it is one, but the first has not been seen; it may come later, or never.
    """

    STATE = "state"
    PLUG_IN = "plug-in"
    PLUG_IN_ALONE = "plug-in-alone"


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one message.  ``first``: the id of the first of its pair; its own, if it may be the first.

    None: the message is of no pair, its first has not been seen, or it may be either.
    """

    twin: Twin | None = None
    first: UUID | None = None


class Twins:
    """Recognises seconds.  Safe from any thread; the lock makes "is there a first" and "use it up" one step."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        window_seconds: float = WINDOW_SECONDS,
        capacity: int = CAPACITY,
    ) -> None:
        if window_seconds <= 0 or capacity < 1:
            raise InvalidArgumentError("twins need a window above 0 s and room for one message")
        self._clock = clock
        self._window_seconds = window_seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        # All guarded by _lock.
        self._firsts: deque[tuple[float, Hashable]] = deque()  # when it came, and what it said; the oldest in front
        self._open: dict[Hashable, deque[UUID]] = {}  # the ids of firsts without a second
        self._used: Counter[Hashable] = Counter()  # how many have one; the older ones

    def __repr__(self) -> str:
        return f"<Twins {sum(map(len, self._open.values()))} wait for a second>"

    def look(
        self, event_id: UUID, category: str, type_word: str, body: Mapping[str, object], *, is_repeated: bool = False
    ) -> Sight:
        """Return whether this message is a second one; otherwise remember it, if it may be a first.

        ``type_word``: the third of its key.  ``body``: as it was written.  ``is_repeated``: it may be known already.
        """
        if category == "ResourceStateEvent":
            return self._state(event_id, type_word, body, is_repeated)
        if category == "ActionEvent" and body.get("status") == "Completed":
            return self._action(event_id, type_word, body, is_repeated)
        return Sight()

    def _state(self, event_id: UUID, type_word: str, body: Mapping[str, object], is_repeated: bool) -> Sight:
        said = (body.get("resource"), body.get("id"), type_word, body.get("old-state"), body.get("new-state"))
        resource, status = said[0], body.get("status")
        if not isinstance(resource, str) or not all(map(_is_word, said)):
            return Sight()
        if status == "preStateTransitionEvent":  # it says so itself; the two of it are no twins, but are a pair
            return Sight(first=self._remember(said, event_id, is_repeated))
        if status == "postStateTransitionEvent":
            return Sight(first=self._first_of(said))
        if status is not None or resource_type_of(resource) not in _RESOURCES_WITH_TWINS:
            return Sight()
        first = self._first_of(said, but=event_id if is_repeated else None)
        if first is not None:
            return Sight(Twin.STATE, first)
        # One that may be either is remembered too: what follows for the first time and says the same is its second.
        self._remember(said, event_id, is_repeated)
        return Sight(first=None if is_repeated else event_id)

    def _action(self, event_id: UUID, type_word: str, body: Mapping[str, object], is_repeated: bool) -> Sight:
        said = ("ActionEvent", type_word)
        if not body.keys() <= _PLUG_IN_KEYS:
            # Remembered once more, it would have another's only one taken for its second.
            return Sight(first=None if is_repeated else self._remember(said, event_id))
        first = self._first_of(said)
        return Sight(Twin.PLUG_IN_ALONE if first is None else Twin.PLUG_IN, first)

    def _first_of(self, said: Hashable, *, but: UUID | None = None) -> UUID | None:
        """Return the oldest first without a second, which this one now is.  None: there is none, or ``but`` is one."""
        with self._lock:
            self._forget()
            if not (firsts := self._open.get(said)) or but in firsts:
                return None
            self._used[said] += 1
            return firsts.popleft()

    def _remember(self, said: Hashable, event_id: UUID, is_repeated: bool = False) -> UUID:
        with self._lock:
            self._forget()
            if is_repeated and event_id in self._open.get(said, ()):
                return event_id  # it is there already
            self._firsts.append((self._clock(), said))
            self._open.setdefault(said, deque()).append(event_id)
        return event_id

    def _forget(self) -> None:
        """Forget the firsts whose time is over, and make room for one more."""
        oldest = self._clock() - self._window_seconds
        while self._firsts and (self._firsts[0][0] < oldest or len(self._firsts) >= self._capacity):
            _, said = self._firsts.popleft()
            if self._used[said] > 0:
                self._used[said] -= 1
            else:
                self._open[said].popleft()
            if not self._used[said]:
                del self._used[said]
                if not self._open[said]:
                    del self._open[said]


def _is_word(value: object) -> bool:
    """Return whether this may be a uuid or a state, and not some megabyte that would have to be remembered."""
    return value is None or (isinstance(value, str) and len(value) <= _LONGEST_WORD)
