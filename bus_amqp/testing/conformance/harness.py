"""``TransportHarness``: what a transport brings to be tested by the conformance suite.

conftest.py:

    pytest.register_assert_rewrite("bus_amqp.testing.conformance")   # for readable failures

    @pytest.fixture
    def harness():
        yield MyHarness()

test_my_transport.py:

    from bus_amqp.testing.conformance.suite import *
"""

from __future__ import annotations

from typing import Protocol

from bus_amqp.transport.base import Connector

# All that a transport may lack.  The list is closed: whatever else the suite asks for is the seam itself.
OPTIONAL_FEATURES = frozenset({"survives-restart", "cluster"})


class TransportHarness(Protocol):
    """One transport and one broker; made anew for each test."""

    @property
    def features(self) -> frozenset[str]:
        """What it has of ``OPTIONAL_FEATURES``."""

    @property
    def exchange(self) -> str:
        """The bus's own exchange: a name that no other test uses; the connectors know it too."""

    @property
    def max_body_bytes(self) -> int:
        """What the connectors were given as bound; 1 MiB at least."""

    def connector(self, role: str) -> Connector:
        """Return a connector for connections of this role."""

    def cut_connections(self) -> None:
        """Cut all connections of this harness without a goodbye, as a failing network does."""
