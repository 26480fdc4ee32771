"""What the tests of the consumer share."""

import pytest

from bus_amqp.consume import outage
from tests.unit.consume.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(autouse=True)
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is retried at once, as lost connections are with the least jitter."""
    monkeypatch.setattr(outage, "REFUSED_PAUSE_SECONDS", 0.0)
