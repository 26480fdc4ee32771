"""``Mutation``: one way to break the bus, and the test that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One line changed for the worse; ``test`` is the node id of the test that must turn red."""

    name: str
    file: str
    search: str
    replace: str
    test: str
