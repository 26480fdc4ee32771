"""What a dead letter tells of itself, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from bus_amqp.admin.letter import Letter, letter_of
from bus_amqp.errors import UndecodableError
from bus_amqp.wire.codec import encode
from bus_amqp.wire.message import Delivery, Properties
from tests.promise.subscribers import an_event
from tests.unit.admin.desk import BUS, DEAD, MAX_BYTES, NOON, Desk

NOTED = {
    "x-bus-reason": "exception", "x-bus-exception": "ValueError: no", "x-bus-subscriber": "charge",
    "x-bus-host": "host-1", "x-bus-queue": "bus.billing", "x-bus-routing-key": "A.B.C.D.E", "x-bus-attempts": 5,
    "x-bus-first-failure": "2026-11-22T11:00:00.000+00:00", "x-bus-last-failure": "2026-11-22T12:00:00.000+00:00",
}  # fmt: skip


class GivenDelivery(Delivery):
    """A delivery with the properties that a test gives it."""

    __slots__ = ("given",)
    given: Properties | UndecodableError

    @property
    def properties(self) -> Properties:
        if isinstance(self.given, UndecodableError):
            raise self.given
        return self.given


def a_letter(
    body: bytes | None = b"{}",
    headers: Mapping[str, object] | None = None,
    *,
    deaths: tuple[Mapping[str, object], ...] = (),
    routing_key: str = "billing",
    given: Properties | UndecodableError | None = None,
) -> Letter:
    delivery = GivenDelivery(
        7, body, routing_key=routing_key, exchange="bus.dead", redelivered=False,
        content_type="application/json", body_bytes=2 if body is None else len(body),
    )  # fmt: skip
    delivery.given = given or Properties(headers=headers or {}, deaths=deaths)  # type: ignore[arg-type]  # foreign
    return letter_of(delivery, 3, BUS)


def test_what_the_consumer_noted_is_read(desk: Desk) -> None:
    """Reason, exception, attempts, both failures, subscriber, host, queue and key: all that one needs to decide."""
    event = an_event(4)
    desk.fail(event, attempts=5, headers={"x-bus-first-failure": "2026-11-22T11:00:00+00:00"})

    [letter] = desk.workbench().look()

    assert (letter.reason, letter.is_by_broker, letter.exception) == ("exception", False, "ValueError: no")
    assert (letter.attempts, letter.subscriber, letter.queue) == (5, "charge", "bus.billing")
    assert (letter.first_failure, letter.last_failure) == (datetime(2026, 11, 22, 11, tzinfo=UTC), NOON)
    assert letter.host
    assert letter.routing_key == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"
    assert letter.event == event
    assert letter.event_id == str(event.event_id)
    assert letter.is_called(str(event.event_id))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-bus-attempts", "five"),
        ("x-bus-attempts", True),
        ("x-bus-attempts", -1),
        ("x-bus-attempts", 2**62),
        ("x-bus-attempts", None),
        ("x-bus-first-failure", "yesterday"),
        ("x-bus-first-failure", 17),
        ("x-bus-last-failure", "2026-11-22T11:00:00"),
        ("x-bus-last-failure", "0001-01-01T00:00:00+14:00"),
        ("x-bus-exception", 5),
        ("x-bus-subscriber", None),
        ("x-bus-put-back", "x"),
        ("x-bus-earlier-attempts", -3),
    ],
)
def test_a_header_that_is_not_what_we_write_counts_as_absent(name: str, value: object) -> None:
    """Anybody may publish to the dead letters; a nonsense there must not hide the others from the operator."""
    letter = a_letter(headers={**NOTED, name: value})

    told = {
        "x-bus-attempts": letter.attempts, "x-bus-first-failure": letter.first_failure,
        "x-bus-last-failure": letter.last_failure, "x-bus-exception": letter.exception or None,
        "x-bus-subscriber": letter.subscriber or None, "x-bus-put-back": letter.times_put_back or None,
        "x-bus-earlier-attempts": letter.earlier_attempts or None,
    }  # fmt: skip
    assert told[name] is None
    assert letter.reason == "exception"


def test_letters_that_the_broker_made_say_so() -> None:
    """A poison event that ended its consumers has none of our headers: the broker's words are all there is."""
    died_at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    death = {"queue": "bus.billing", "reason": "delivery_limit", "time": died_at, "count": 1}
    event = an_event(1)

    letter = a_letter(encode(event, max_event_bytes=MAX_BYTES).body, deaths=(death,))

    assert (letter.reason, letter.is_by_broker) == ("delivery_limit", True)
    assert "ended the processes" in letter.exception
    assert (letter.last_failure, letter.attempts) == (died_at, None)
    assert letter.queue == "bus.billing"
    # The key went with the dead-lettering; the event is whole, so it can be had again.
    assert letter.routing_key == "ResourceStateEvent.VM-START.VirtualMachine.r-0.management-server"


def test_without_an_account_of_its_deaths_the_first_one_speaks() -> None:
    """Other brokers, and the one in memory, write only these."""
    letter = a_letter(headers={"x-first-death-reason": "rejected", "x-first-death-queue": "bus.billing"})

    assert (letter.reason, letter.queue) == ("rejected", "bus.billing")


def test_an_event_that_could_not_return_from_its_wait_is_astray() -> None:
    """`expired` would be the truth of the broker, and say nothing to the operator."""
    death = {"queue": "bus.wait.30s", "reason": "expired"}

    letter = a_letter(headers={"x-bus-attempts": 2}, deaths=(death,), routing_key="bus.tmp.0000")

    assert (letter.reason, letter.attempts, letter.queue) == ("astray", 2, "bus.tmp.0000")


def test_the_broker_has_the_last_word_over_an_earlier_failure() -> None:
    """A copy for a later attempt says why it waits; what ended it since is the reason to know."""
    noted = {**NOTED, "x-bus-reason": "astray"}
    poison = a_letter(headers=noted, deaths=({"queue": "bus.billing", "reason": "delivery_limit"},))
    astray = a_letter(headers=noted, deaths=({"queue": "bus.wait.5s", "reason": "expired"},))

    assert (poison.reason, poison.attempts) == ("delivery_limit", 5)
    assert poison.exception.endswith("; before that: ValueError: no")
    assert (astray.reason, astray.is_by_broker) == ("astray", True)
    assert a_letter(headers=noted).reason == "astray"  # a broker without such an account


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1]", b'{"eventCategory": 5}', b"{" * 5000, None])
def test_what_is_no_event_is_still_a_letter(body: bytes | None) -> None:
    """What lands here is by its nature broken."""
    letter = a_letter(body)

    assert (letter.event, letter.reason, letter.event_id) == (None, "unknown", "")
    assert not letter.is_called("")


def test_properties_that_cannot_be_read_are_told() -> None:
    """A copy of it would lose them."""
    letter = a_letter(given=UndecodableError("malformed", reason="properties"))

    assert not letter.is_readable
    assert letter.reason == "unknown"


def test_an_event_without_ids_has_no_name(desk: Desk) -> None:
    """Its random id is another one at each look: who asked for it by that would never find it."""
    desk.leave(b'{"eventCategory": "A", "eventType": "B", "eventSource": "c"}')

    [letter] = desk.workbench().look()

    assert letter.event is not None
    assert letter.event_id == ""
    assert len(desk.entries(DEAD)) == 1
