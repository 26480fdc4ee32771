"""``bus_amqp.wire.message``: what is written about a message in a log."""

import pytest

from bus_amqp.wire.message import Delivery, Message, Properties
from tests.unit.fakes import FakeDelivery


def test_a_message_is_json_for_the_buss_own_exchange_unless_told_otherwise() -> None:
    """What every publish relies on without saying so."""
    message = Message("a.b.c.d.e", b"{}")

    assert message.content_type == "application/json"
    assert message.exchange is None
    assert message.headers is None
    assert not message.mandatory


def test_a_repr_says_which_message_and_shows_no_body() -> None:
    """P9: bodies hold customers' data, and logs are read by others."""
    message = Message("a.b.c.d.e", b"secret", message_id="17")
    delivery = FakeDelivery(9, b"secret", routing_key="a.b.c.d.e")

    for text in (repr(message), repr(delivery)):
        assert "a.b.c.d.e" in text
        assert "6 bytes" in text
        assert "secret" not in text
    assert "17" in repr(message)
    assert "no id" in repr(Message("k", b""))


def test_absent_properties_are_empty() -> None:
    """Readers ask ``if properties.message_id``: None and empty must not both exist."""
    assert Properties() == Properties("", "", 0, "", "", {})


def test_a_delivery_without_properties_cannot_be_made() -> None:
    """A transport that forgets to parse them must fail loudly."""

    class Forgetful(Delivery):
        pass

    with pytest.raises(TypeError, match="properties"):
        Forgetful(1, b"", routing_key="", exchange="", redelivered=False, content_type="", body_bytes=0)  # type: ignore[abstract]
