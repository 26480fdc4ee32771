"""``bus_amqp.foreign``: what comes from an exchange that is not ours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bus_amqp import Event, ForeignMessage, ForeignSource, InvalidArgumentError


def decode(message: ForeignMessage) -> Event:
    return Event(event_category="A", event_type="B", event_source="c")


def test_a_message_needs_a_key_and_a_body_and_has_no_other_property():
    """An absent property is empty, never invented: a decoder must be able to tell."""
    before = datetime.now(UTC)

    message = ForeignMessage(routing_key="a.b", body=b"{}")

    assert (message.exchange, message.content_type, message.message_id, message.type, message.app_id) == ("",) * 5
    assert (message.timestamp, dict(message.headers), message.is_repeated) == (None, {}, False)
    assert before <= message.received_at <= datetime.now(UTC)


def test_a_source_takes_all_of_its_exchange_unless_it_names_keys():
    """Keys that are named twice are bound once."""
    assert ForeignSource("theirs", decode).binding_keys == ("#",)
    assert ForeignSource("theirs", decode, binding_keys=["a.*", "b", "a.*"]).binding_keys == ("a.*", "b")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"exchange": ""}, "exchange"),  # AMQP's default exchange: nothing can be bound to it
        ({"exchange": None}, "exchange"),
        ({"exchange": "x" * 256}, "exchange"),
        ({"decode": "json"}, "decode"),
        ({"binding_keys": "a.#"}, "binding_keys"),  # would be bound letter by letter
        ({"binding_keys": ()}, "binding_keys"),
        ({"binding_keys": ("x" * 256,)}, "binding_keys"),
        ({"binding_keys": (7,)}, "binding_keys"),
        ({"lane": "uuid"}, "lane"),
        ({"exclusive": "yes"}, "exclusive"),
    ],
)
def test_a_source_that_cannot_be_is_refused_by_the_name_of_what_is_wrong(wrong: dict[str, object], named: str):
    """Told at once, not by a broker in its own words."""
    given: dict[str, object] = {"exchange": "theirs", "decode": decode, **wrong}

    with pytest.raises(InvalidArgumentError, match=named):
        ForeignSource(**given)  # type: ignore[arg-type]  # wrong on purpose
