"""``Hook`` and ``Sender``: what goes out for an event, what is written down, and what the bus is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from bus_amqp import Discard, RetryLater
from bus_amqp.extension.webhook.answer import Answer
from bus_amqp.extension.webhook.definition import Webhook
from bus_amqp.extension.webhook.errors import DeliveryFailedError, ForbiddenAddressError
from bus_amqp.extension.webhook.history import History
from bus_amqp.extension.webhook.hook import OBEYED_FOR, Hook, body_of
from bus_amqp.extension.webhook.sender import Sender
from bus_amqp.extension.webhook.signature import verify
from bus_amqp.wire.codec import encode
from tests.promise.subscribers import an_event

SECRET = "0123456789abcdef"


class Receiver:
    """Takes what is sent, and answers as it was told."""

    def __init__(self) -> None:
        self.answer = Answer(200, excerpt="ok")
        self.sent: list[tuple[Mapping[str, str], bytes]] = []

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append((headers, body))
        return self.answer

    def close(self) -> None:
        """Nothing to end."""


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with closing(History(tmp_path / "h.db", deliveries=100)) as history:
        yield history


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def a_hook(receiver: Receiver, history: History, clock: Clock | None = None, **fields: object) -> Hook:
    given = {"name": "crm", "url": "https://hooks.example/x?key=s3cret", "secret": SECRET, **fields}
    return Hook(Sender(Webhook.model_validate(given), receiver, history), clock=clock or Clock())


def test_an_event_goes_out_signed_and_named(receiver: Receiver, history: History) -> None:
    """What a receiver needs to trust it, to know it again, and to read it."""
    event = an_event()

    a_hook(receiver, history, headers={"Authorization": "Bearer t0ken"}).on_event(event)

    ((headers, body),) = receiver.sent
    verify(body, timestamp=headers["X-Bus-Timestamp"], signature=headers["X-Bus-Signature"], secrets=SECRET)
    assert headers["X-Bus-Event-Id"] == str(event.event_id)
    assert headers["X-Bus-Event-Type"] == "VM.START"
    assert headers["X-Bus-Webhook"] == "crm"
    assert headers["X-Bus-Delivery-Kind"] == "event"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["Host"] == "hooks.example"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("bus-amqp-webhook/")
    assert body == encode(event, max_event_bytes=1 << 20).body


def test_the_body_is_an_event_of_the_published_schema() -> None:
    """Receivers in other languages read it by schemas/v1/event.schema.json."""
    schema = json.loads((Path(__file__).parents[4] / "schemas/v1/event.schema.json").read_text())

    Draft202012Validator(schema).validate(json.loads(body_of(an_event(correlation_id="c"))))


@pytest.mark.parametrize(
    ("event_type", "header"),
    [("VM.START", "VM.START"), ("a\r\nX-Evil: b", "a%0D%0AX-Evil:%20b"), ("VM.STÄRT", "VM.ST%C3%84RT"), ("%", "%25")],
)
def test_any_text_may_be_a_type_and_none_becomes_a_header(
    receiver: Receiver, history: History, event_type: str, header: str
) -> None:
    """An event's type comes from whoever may publish."""
    a_hook(receiver, history).on_event(an_event(event_type=event_type))

    assert receiver.sent[0][0]["X-Bus-Event-Type"] == header


def test_what_is_not_in_the_scope_is_done_without_a_request(receiver: Receiver, history: History) -> None:
    """And without a trace: a webhook of one account among thousands would fill its history with others' events."""
    a_hook(receiver, history, account="a-1").on_event(an_event(details={"account": "a-2"}))

    assert receiver.sent == []
    assert history.latest() == []


def test_no_secret_is_written_down(receiver: Receiver, history: History, tmp_path: Path) -> None:
    """Neither a header of the webhook, whatever its name, nor the query of its url, nor what was signed with."""
    hook = a_hook(receiver, history, headers={"X-Api": "t0ken", "Authorization": "Bearer t0ken"})
    hook.on_event(an_event())

    (delivery,) = history.latest()
    masked = {"X-Api": "***", "Authorization": "***", "X-Bus-Signature": "***"}
    assert masked.items() <= delivery.request_headers.items()
    assert delivery.request_headers["X-Bus-Timestamp"].isdigit()
    assert delivery.url == "https://hooks.example/x?***"
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not any(secret in held for secret in (b"t0ken", b"s3cret", SECRET.encode()))


def test_an_unsigned_webhook_says_nothing_of_a_signature(receiver: Receiver, history: History) -> None:
    """An empty signature would look like one."""
    a_hook(receiver, history, secret=None, unsigned=True).on_event(an_event())

    assert "X-Bus-Signature" not in receiver.sent[0][0]


def test_a_secret_file_that_has_gone_stops_the_delivery(receiver: Receiver, history: History, tmp_path: Path) -> None:
    """Unsigned it must not go out; the event waits for the file as it would for the receiver."""
    hook = a_hook(receiver, history, secret=None, secret_file=str(tmp_path / "gone"))

    with pytest.raises(DeliveryFailedError, match="secret_file"):
        hook.on_event(an_event())

    assert receiver.sent == []
    assert "secret_file" in str(history.latest()[0].error)


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (Answer(500), DeliveryFailedError, r"webhook crm \(https://hooks.example\): status 500"),
        (Answer(404), DeliveryFailedError, "status 404"),
        (Answer(302), DeliveryFailedError, "none is followed"),
        (Answer(None, error="no answer within 10 s"), DeliveryFailedError, "no answer within 10 s"),
        (Answer(None, error="127.0.0.1 is refused", is_forbidden=True), ForbiddenAddressError, "is refused"),
        (Answer(410), Discard, "gone for good"),
        (Answer(503, retry_after="30"), RetryLater, "30 s"),
        (Answer(429, retry_after="30"), RetryLater, "30 s"),
        (Answer(503, retry_after="nonsense"), DeliveryFailedError, "status 503"),
    ],
)
def test_the_answer_is_the_events_fate(
    receiver: Receiver, history: History, answer: Answer, error: type[Exception], told: str
) -> None:
    """The bus does the waiting, the counting and the setting aside; it has to be told the right thing."""
    receiver.answer = answer

    with pytest.raises(error, match=told) as caught:
        a_hook(receiver, history).on_event(an_event())

    assert "s3cret" not in str(caught.value)
    assert history.latest()[0].is_success is False


def test_what_the_receiver_writes_is_not_in_the_error(receiver: Receiver, history: History) -> None:
    """It goes into logs and into headers of dead letters, and a receiver may write anything."""
    receiver.answer = Answer(500, excerpt="<script>")

    with pytest.raises(DeliveryFailedError) as caught:
        a_hook(receiver, history).on_event(an_event())

    assert "script" not in str(caught.value)
    assert history.latest()[0].excerpt == "<script>"


def test_a_receiver_that_asks_for_time_for_ever_is_not_obeyed_for_ever(receiver: Receiver, history: History) -> None:
    """``RetryLater`` uses up no attempt; after six hours the attempts of the policy count."""
    receiver.answer, clock, event = Answer(503, retry_after="60"), Clock(), an_event()
    hook = a_hook(receiver, history, clock)
    with pytest.raises(RetryLater):
        hook.on_event(event)

    clock.now += OBEYED_FOR + timedelta(seconds=1)

    with pytest.raises(DeliveryFailedError):
        hook.on_event(event)


def test_an_ordered_webhook_is_made_to_wait_for_less(receiver: Receiver, history: History) -> None:
    """It waits in the process, with all later events of the resource behind it."""
    receiver.answer = Answer(503, retry_after="3600")

    with pytest.raises(RetryLater) as caught:
        a_hook(receiver, history, ordered=True).on_event(an_event())

    assert caught.value.delay_seconds == 300


def test_a_delivery_that_cannot_be_written_down_was_made_all_the_same(
    receiver: Receiver, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    """For want of a note nothing is sent twice, and a full disk stops no events."""
    hook = a_hook(receiver, history)
    history.close()

    hook.on_event(an_event())

    assert len(receiver.sent) == 1
    assert "could not be written down" in caplog.text


def test_without_a_history_a_receiver_that_asks_for_time_uses_up_attempts(receiver: Receiver, history: History) -> None:
    """Otherwise nothing would end it."""
    receiver.answer = Answer(503, retry_after="60")
    hook = a_hook(receiver, history)
    history.close()

    with pytest.raises(DeliveryFailedError):
        hook.on_event(an_event())
