"""Whether one event type is probably another, mistyped.  Pure.

Stricter than a general measure of likeness: NIC.ATTACH is no slip for NIC.DETACH, and a warning that cries wolf is soon
switched off.  One word may differ, and only as fingers slip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_LEAST_RATIO = 0.75  # STRAT/START 0.8, DELTE/DELETE 0.91; ATTACH/DETACH 0.67, CREATE/UPDATE 0.5
_SEPARATORS = re.compile(r"[^A-Z0-9]+")
SIGNS = frozenset({"*", "#"})  # of a pattern; each stands for words, and is never a slip


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known type that was probably meant, or None."""
    words = given.upper().split(".")
    letters = _SEPARATORS.sub("", given.upper())
    best, best_ratio = None, 0.0
    for candidate in known:
        if _SEPARATORS.sub("", candidate) == letters:  # vm.start, VM-START, VM_START, VMSTART
            return candidate
        ratio = _ratio_of_the_only_slip(words, candidate.split("."))
        if ratio > best_ratio:
            best, best_ratio = candidate, ratio
    return best


def _ratio_of_the_only_slip(words: list[str], others: list[str]) -> float:
    """Return how alike the only differing words are; 0 unless they are a slip."""
    if len(words) != len(others):
        return 0.0
    differing = [(word, other) for word, other in zip(words, others, strict=True) if word != other]
    return slip_ratio(*differing[0]) if len(differing) == 1 else 0.0


def slip_ratio(word: str, known: str) -> float:
    """Return how alike the words are, from 0 (another word) to 1 (the same one)."""
    if word in SIGNS or known in SIGNS:
        return 0.0
    if sorted(word) == sorted(known):  # letters in another order: MV for VM
        return 1.0
    if word.endswith(known) or known.endswith(word):  # UNLOCK is not LOCK
        return 0.0
    if re.sub(r"\d", "", word) == re.sub(r"\d", "", known):  # IPV6 is not IPV4
        return 0.0
    ratio = SequenceMatcher(None, word, known, autojunk=False).ratio()
    return ratio if ratio >= _LEAST_RATIO else 0.0
