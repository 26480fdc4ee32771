"""``Actor``: on whose behalf something is done.  A value, and one context variable that carries it.

The variable belongs to the thread or task that set it and to the tasks begun there, as every context variable; a thread
that is handed work has to be told again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Actor(NamedTuple):  # not a frozen dataclass, which takes four times as long to make: one for each action
    """Who acts: uuids or names, as the control plane has them; None where it knows none."""

    user: str | None = None
    account: str | None = None
    domain: str | None = None
    project: str | None = None

    def told(self) -> dict[str, str]:
        """Return what is known, by the names of ``ActionDetails``."""
        return {name: known for name, known in zip(self._fields, self, strict=True) if known is not None}


NOBODY = Actor()
_acting: ContextVar[Actor | None] = ContextVar("bus_amqp_actor", default=None)


def current_actor() -> Actor | None:
    """Return who was named by the innermost ``acting`` around the caller."""
    return _acting.get()


@contextmanager
def acting(actor: Actor) -> Iterator[Actor]:
    """Name who acts, for everything inside.  Replaces an outer one whole: half of two identities would name nobody."""
    token = _acting.set(actor)
    try:
        yield actor
    finally:
        _acting.reset(token)
