"""The whole suite: import it into a test module beside a fixture ``harness`` (see ``harness.py``)."""

from bus_amqp.testing.conformance.connecting import TestClose, TestFeatures, TestLoss, TestTurn
from bus_amqp.testing.conformance.consuming import TestDiscard, TestGivingBack, TestLostQueues, TestPrefetch
from bus_amqp.testing.conformance.declaring import TestDeclare, TestQueues
from bus_amqp.testing.conformance.publishing import TestConfirms, TestContent
from bus_amqp.testing.conformance.routing import TestRouting
from bus_amqp.testing.conformance.stopping import TestStop
from bus_amqp.testing.conformance.waiting import TestAlternateExchange, TestExpiration

__all__ = [
    "TestAlternateExchange",
    "TestClose",
    "TestConfirms",
    "TestContent",
    "TestDeclare",
    "TestDiscard",
    "TestExpiration",
    "TestFeatures",
    "TestGivingBack",
    "TestLoss",
    "TestLostQueues",
    "TestPrefetch",
    "TestQueues",
    "TestRouting",
    "TestStop",
    "TestTurn",
]
