"""Tell by its name whether a value is a secret: ``sessionKey``, ``session_key`` and ``SESSION-KEY`` are one name.

Pure.  A name is compared by its letters and digits alone, without case.  One of five letters or more is found
anywhere (``userPasswordHash``), a shorter one only at the end (``ipsecPsk``, and not ``hotplug`` for ``otp``).
Rather too many than too few: what is withheld by mistake can be looked up, what went out cannot be called back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from bus_amqp.errors import InvalidArgumentError

SECRET_NAMES: Final = frozenset(
    {
        "access key",
        "api key",
        "authorization",
        "bearer",
        "code for 2fa",
        "cookie",
        "credential",
        "csrf",
        "encryption key",
        "jwt",
        "kubeconfig",
        "otp",
        "pass",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "preshared key",
        "private key",
        "psk",
        "pwd",
        "secret",
        "session id",
        "session key",
        "shared key",
        "signature",
        "signing key",
        "token",
        "user data",  # of a machine that is being set up: where its first passwords and keys are
    }
)
_ANYWHERE_FROM = 5  # letters
_LONGEST_KNOWN = 64  # letters; a longer one is no name that comes again
_MOST_KNOWN = 4096
_NOT_COMPARED = re.compile(r"[\W_]+")


class SecretNames:
    """A closed list of names, ready to be asked often.  Immutable but for its memory; safe from any thread.

    Raises ``InvalidArgumentError`` for a list that is one text, or a name without a letter: it would match all.
    """

    __slots__ = ("_pattern", "known")

    def __init__(self, names: Iterable[str] = SECRET_NAMES) -> None:
        letters = sorted({letters_of(name) for name in checked_names(names)})
        parts = [f"{one}s?[0-9]*$" if len(one) < _ANYWHERE_FROM else one for one in letters]
        self._pattern = re.compile("|".join(parts) or r"(?!)")  # without a name nothing is secret
        self.known: dict[str, bool] = {}  # names asked for so far; any thread reads and adds, the answer is the same

    def has(self, name: str) -> bool:
        """Return whether what stands under this name is a secret."""
        if (answer := self.known.get(name)) is None:
            answer = self._pattern.search(letters_of(name)) is not None
            if len(name) <= _LONGEST_KNOWN and len(self.known) < _MOST_KNOWN:
                self.known[name] = answer
        return answer


def letters_of(name: str) -> str:
    """Return what of a name is compared: letters and digits, without case and width."""
    return _NOT_COMPARED.sub("", unicodedata.normalize("NFKC", name).casefold())


def checked_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set.  Raises ``InvalidArgumentError``."""
    if isinstance(names, str | bytes):
        raise InvalidArgumentError(f"names of secrets must be several, not one text: write [{names!r}]")
    checked = frozenset(names)
    for name in checked:
        if not isinstance(name, str) or not letters_of(name):
            raise InvalidArgumentError(f"{name!r} is no name of a secret: it needs a letter or a digit")
    return checked


@lru_cache(maxsize=64)
def secret_names(names: frozenset[str]) -> SecretNames:
    """Return the names ready to be asked: the same object for the same names."""
    return SecretNames(names)
