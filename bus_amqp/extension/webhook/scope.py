"""``Scope``: whose events a webhook gets.  Pure.

An event belongs to the ``account`` and ``domain`` of its details.  One that names no owner belongs to nobody: only a
webhook without a scope gets it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus_amqp import Event


@dataclass(frozen=True, slots=True)
class Scope:
    """None: any.  With both, both must match: the name of an account need not be unique beyond its domain.

    ``subdomains``: a domain's children count as well, if domains are given as paths (``ROOT/acme/lab`` is in
    ``ROOT/acme``; ``ROOT/acme-labs`` is not).  Ids have no slash, so there it says nothing.
    """

    account: str | None = None
    domain: str | None = None
    subdomains: bool = True

    @property
    def is_global(self) -> bool:
        """Whether every event is in it."""
        return self.account is None and self.domain is None

    def has(self, event: Event) -> bool:
        """Return whether the event is of this account and domain."""
        if self.account is not None and event.details.get("account") != self.account:
            return False
        return self.domain is None or self._has_domain(event.details.get("domain"))

    def _has_domain(self, domain: object) -> bool:
        if not isinstance(domain, str) or self.domain is None:
            return False
        own, words = path_of(self.domain), path_of(domain)
        return words == own or (self.subdomains and words[: len(own)] == own)


def path_of(domain: str) -> tuple[str, ...]:
    """Return the words of a domain's path: ``/ROOT/acme/`` and ``ROOT/acme`` are one domain."""
    return tuple(domain.strip("/").split("/"))
