"""Whose events a webhook gets."""

import pytest

from bus_amqp.extension.webhook.scope import Scope
from tests.promise.subscribers import an_event


@pytest.mark.parametrize(
    ("scope", "details", "is_in"),
    [
        (Scope(), {}, True),
        (Scope(), {"account": "a"}, True),
        (Scope(account="a"), {"account": "a"}, True),
        (Scope(account="a"), {"account": "A"}, False),
        (Scope(account="a"), {"account": ["a"]}, False),
        (Scope(account="a"), {}, False),
        (Scope(account="a"), {"account": None}, False),
        (Scope(account="a", domain="d"), {"account": "a", "domain": "d"}, True),
        (Scope(account="a", domain="d"), {"account": "a", "domain": "e"}, False),
        (Scope(account="a", domain="d"), {"account": "a"}, False),
        (Scope(domain="ROOT/acme"), {"domain": "ROOT/acme"}, True),
        (Scope(domain="ROOT/acme"), {"domain": "/ROOT/acme/"}, True),
        (Scope(domain="/ROOT/acme/"), {"domain": "ROOT/acme/lab/x"}, True),
        (Scope(domain="ROOT/acme"), {"domain": "ROOT/acme-labs"}, False),
        (Scope(domain="ROOT/acme"), {"domain": "ROOT"}, False),
        (Scope(domain="ROOT/acme"), {"domain": "acme"}, False),
        (Scope(domain="ROOT/acme", subdomains=False), {"domain": "ROOT/acme/lab"}, False),
        (Scope(domain="ROOT/acme", subdomains=False), {"domain": "ROOT/acme"}, True),
        (Scope(domain="d-1"), {"domain": 1}, False),
        (Scope(domain="d-1"), {"domain": ""}, False),
        (Scope(domain="d-1"), {}, False),
    ],
)
def test_an_event_is_its_owners(scope: Scope, details: dict[str, object], is_in: bool) -> None:
    """One account's events at another's receiver are a breach, and an event without an owner is nobody's."""
    assert scope.has(an_event(details=details)) is is_in
