"""``bus_amqp.wire.foreign_encoding``: what an encoder makes is checked before a channel depends on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bus_amqp.errors import EventTooLargeError, InvalidArgumentError, RoutingKeyTooLongError
from bus_amqp.foreign import ForeignMessage
from bus_amqp.wire.foreign_encoding import ForeignEncoding
from tests.unit.fakes import an_event


def encoded(made: Any) -> Any:
    return ForeignEncoding(lambda event: made, "theirs")(an_event(), max_event_bytes=100)


def test_a_message_is_sent_as_its_encoder_made_it():
    """Consumers of that format look at each of these."""
    message = encoded(
        ForeignMessage(
            routing_key="a.b", body=b"said", exchange="theirs", content_type="text/plain", message_id="m-1",
            timestamp=datetime(2026, 3, 4, 17, tzinfo=UTC), type="T", app_id="app", headers={"x": 1},
        )
    )  # fmt: skip

    assert (message.routing_key, message.body, message.exchange) == ("a.b", b"said", None)
    assert (message.content_type, message.message_id, message.type, message.app_id) == ("text/plain", "m-1", "T", "app")
    assert (message.timestamp, message.headers) == (1_772_643_600, {"x": 1})


def test_what_an_encoder_leaves_out_is_absent():
    """No property is made up."""
    message = encoded(ForeignMessage(routing_key="", body=b""))

    assert (message.content_type, message.message_id, message.timestamp, message.headers) == ("", "", 0, None)


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (None, InvalidArgumentError),
        (b"body", InvalidArgumentError),
        (ForeignMessage(routing_key="a", body=b"", exchange="others"), InvalidArgumentError),
        (ForeignMessage(routing_key="\u00e4" * 128, body=b""), RoutingKeyTooLongError),
        (ForeignMessage(routing_key="a", body=b"x" * 101), EventTooLargeError),
    ],
)
def test_what_cannot_be_sent_is_refused_at_publish(made: object, error: type[Exception]):
    """Sent, it would close the channel over the messages of others."""
    with pytest.raises(error):
        encoded(made)


def test_a_fault_of_the_encoder_is_a_refusal():
    """Whoever publishes catches EventBusException, as for everything that is refused."""

    def broken(event: object) -> ForeignMessage:
        raise KeyError("user")

    with pytest.raises(InvalidArgumentError, match="KeyError"):
        ForeignEncoding(broken, "theirs")(an_event(), max_event_bytes=100)
    with pytest.raises(InvalidArgumentError, match="an Event"):
        ForeignEncoding(broken, "theirs")("no event", max_event_bytes=100)  # type: ignore[arg-type]  # the fault
    with pytest.raises(InvalidArgumentError, match="encoder"):
        ForeignEncoding("json", "theirs")  # type: ignore[arg-type]  # the fault
