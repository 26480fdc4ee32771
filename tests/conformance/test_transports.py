"""Every transport passes the conformance suite; what one may lack is fixed here."""

from __future__ import annotations

from bus_amqp.testing.conformance.harness import OPTIONAL_FEATURES
from bus_amqp.testing.conformance.suite import *  # noqa: F403 -- the suite is taken whole


def test_the_list_of_what_a_transport_may_lack_is_fixed() -> None:
    """A feature added here is a promise taken from somebody: it needs a decision and not a convenience."""
    assert frozenset({"survives-restart", "cluster"}) == OPTIONAL_FEATURES
