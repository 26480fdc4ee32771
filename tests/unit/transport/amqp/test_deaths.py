"""RabbitMQ's account of a message's deaths, as a delivery tells it."""

from __future__ import annotations

from datetime import UTC, datetime

import amqp
import pytest

from bus_amqp.transport.amqp.deliveries import parse_properties, properties_from


def test_the_account_of_deaths_is_read_with_its_times() -> None:
    """The operator asks when and why the broker gave up on an event; py-amqp leaves the zone out."""
    entry = {
        "queue": "bus.billing", "reason": "delivery_limit", "count": 1, "exchange": "bus",
        "time": datetime(2026, 11, 22, 12, 30, tzinfo=UTC), "routing-keys": ["a.b"],
    }  # fmt: skip
    message = amqp.Message("", application_headers={"x-death": [entry], "x-other": 1})

    properties = parse_properties(message._serialize_properties())

    assert properties.headers == {"x-other": 1}
    [death] = properties.deaths
    assert death["time"] == datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    assert (death["queue"], death["reason"], death["count"]) == ("bus.billing", "delivery_limit", 1)
    assert "routing-keys" not in death


@pytest.mark.parametrize("forged", [None, 5, "dead", {}, [], [1, "x", None], [[{}]]])
def test_anything_else_under_that_name_is_no_account(forged: object) -> None:
    """A client may write what it likes there."""
    assert list(properties_from({"application_headers": {"x-death": forged}}).deaths) == []
