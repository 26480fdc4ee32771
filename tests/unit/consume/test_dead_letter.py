"""``bus_amqp.consume.dead_letter``: the copy of a delivery, and what it says."""

import socket
from datetime import UTC, datetime

import pytest

from bus_amqp.consume import dead_letter as dead_letter_module
from bus_amqp.consume.dead_letter import (
    ATTEMPTS,
    EXCEPTION,
    EXCHANGE,
    FIRST_FAILURE,
    HOST,
    LAST_FAILURE,
    MAX_HEADERS,
    MAX_TEXT,
    QUEUE,
    REASON,
    ROUTING_KEY,
    SUBSCRIBER,
    DeadLetter,
    DeadLetterAddress,
    dead_letter_message,
)
from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import HeaderValue, Message, Properties
from tests.unit.fakes import FakeDelivery

ADDRESS = DeadLetterAddress("bus.events.dead", "billing", "bus.events.billing", subscriber="Billing.on_event")
FIRST = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def copy_of(delivery: FakeDelivery, *, failed_at: datetime = FIRST, explanation: str = "boom") -> Message:
    return dead_letter_message(delivery, DeadLetter("exception", explanation), ADDRESS, failed_at=failed_at)


def headers_of(message: Message) -> dict[str, HeaderValue]:
    assert message.headers is not None
    return dict(message.headers)


def with_headers(**headers: HeaderValue) -> FakeDelivery:
    return FakeDelivery(body=b"body", routing_key="a.b.c.d.e", properties=Properties(headers=headers))


def test_a_copy_is_the_whole_message_on_its_way_to_the_dead_letter_queue() -> None:
    """P5: what is set aside can be read, and put back as it was."""
    properties = Properties("application/json", "17", 1_700_000_000, "VM.START", "agent", {"tenant": "a"})
    delivery = FakeDelivery(body=b"body", routing_key="a.b.c.d.e", properties=properties)

    message = copy_of(delivery)

    assert (message.exchange, message.routing_key, message.body) == ("bus.events.dead", "billing", b"body")
    assert (message.message_id, message.timestamp) == ("17", 1_700_000_000)
    assert (message.type, message.app_id) == ("VM.START", "agent")
    assert message.content_type == "application/json"
    assert message.mandatory, "without a queue to take it, the original must stay"


def test_a_copy_says_why_where_and_when() -> None:
    """P5: the reason in one word for filters, the rest for people."""
    headers = headers_of(copy_of(with_headers(tenant="a")))

    assert headers == {
        "tenant": "a",
        REASON: "exception",
        EXCEPTION: "boom",
        SUBSCRIBER: "Billing.on_event",
        HOST: socket.gethostname(),
        QUEUE: "bus.events.billing",
        ROUTING_KEY: "a.b.c.d.e",
        EXCHANGE: "bus.events",
        ATTEMPTS: 1,
        FIRST_FAILURE: "2026-03-01T12:00:00.000+00:00",
        LAST_FAILURE: "2026-03-01T12:00:00.000+00:00",
    }


def test_a_second_failure_keeps_the_first_time_and_key() -> None:
    """Our own headers tell: brokers differ in what they write."""
    first = headers_of(copy_of(with_headers()))
    again = FakeDelivery(body=b"body", routing_key="bus.events.billing", properties=Properties(headers=first))

    headers = headers_of(copy_of(again, failed_at=datetime(2026, 3, 2, tzinfo=UTC)))

    assert headers[FIRST_FAILURE] == "2026-03-01T12:00:00.000+00:00"
    assert headers[LAST_FAILURE] == "2026-03-02T00:00:00.000+00:00"
    assert (headers[ROUTING_KEY], headers[EXCHANGE]) == ("a.b.c.d.e", "bus.events")


def test_a_brokers_own_story_is_not_passed_on() -> None:
    """The copy begins another life: "expired on the 5 s rung" would be the first death of every dead letter."""
    broker = {"x-first-death-reason": "expired", "x-last-death-queue": "q", "x-delivery-count": 4, "tenant": "a"}

    headers = headers_of(copy_of(with_headers(**broker)))

    assert {name for name in headers if not name.startswith("x-bus-")} == {"tenant"}


def test_foreign_values_in_our_headers_do_no_harm() -> None:
    """Headers are input like everything else from the wire."""
    headers = headers_of(copy_of(with_headers(**{ATTEMPTS: "many", FIRST_FAILURE: None, ROUTING_KEY: ""})))

    assert headers[ATTEMPTS] == 1
    assert headers[FIRST_FAILURE] == headers[LAST_FAILURE]
    assert headers[ROUTING_KEY] == "a.b.c.d.e"


def test_a_copy_can_always_be_sent() -> None:
    """A copy that AMQP cannot carry would come back with its original for ever."""
    foreign: dict[str, object] = {f"n{n}": n for n in range(200)}
    foreign |= {"x" * 300: 1, "long": "y" * 10_000, "wide": 2**70, "table": {"a": 1}, "list": [1], "float": 1.5}
    delivery = FakeDelivery(body=b"body", properties=Properties(headers=foreign))  # type: ignore[arg-type]  # as foreign as can be

    headers = headers_of(copy_of(delivery, explanation="e" * 100_000))

    assert len(headers) <= MAX_HEADERS + 10
    assert all(len(name) < 100 for name in headers)
    assert all(value is None or isinstance(value, str | bool | int) for value in headers.values())
    assert all(len(value) <= MAX_TEXT for value in headers.values() if isinstance(value, str))
    assert all(-(2**63) <= value < 2**63 for value in headers.values() if isinstance(value, int))


@pytest.mark.parametrize(("given", "kept"), [("\ufffd" * 255, "\ufffd" * 85), ("t" * 255, "t" * 255), ("", "")])
def test_a_content_type_that_is_not_text_fits_into_the_copy(given: str, kept: str) -> None:
    """Found by the fuzzer: 255 bytes that are not UTF-8 are 765 when they are written again."""
    assert copy_of(FakeDelivery(content_type=given)).content_type == kept


def test_broken_properties_do_not_keep_a_message_from_being_set_aside() -> None:
    """P5: a header table that cannot be parsed is a reason to dead-letter, and no obstacle."""
    delivery = FakeDelivery(body=b"body", properties=UndecodableError("broken", reason="not-json"))

    message = copy_of(delivery)

    assert message.body == b"body"
    assert message.message_id == ""
    assert headers_of(message)[REASON] == "exception"


def test_foreign_texts_in_our_headers_are_cut() -> None:
    """P5: a header table travels in one frame, whoever wrote what is kept of it."""
    headers = headers_of(copy_of(with_headers(**{ROUTING_KEY: "k" * 200_000, FIRST_FAILURE: "f" * 200_000})))

    assert headers[ROUTING_KEY] == "k" * 255
    assert headers[FIRST_FAILURE] == "f" * 60


def test_the_name_of_the_host_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storm of dead letters must not be one of system calls too."""
    asked: list[str] = []
    monkeypatch.setattr(socket, "gethostname", lambda: asked.append("") or "here")
    dead_letter_module._hostname.cache_clear()

    try:
        hosts = {headers_of(copy_of(with_headers()))[HOST] for _ in range(3)}
    finally:
        dead_letter_module._hostname.cache_clear()

    assert hosts == {"here"}
    assert len(asked) == 1
