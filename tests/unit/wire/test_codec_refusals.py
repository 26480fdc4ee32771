"""``bus_amqp.wire.codec``: what is not an event, and how that is said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_amqp.errors import UndecodableError
from bus_amqp.event import MAX_DETAILS_DEPTH, Event
from bus_amqp.wire.codec import decode
from tests.unit.fakes import FakeDelivery
from tests.unit.wire.bodies import MIB, SECRET, SIX, a_body, decode_body


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


json_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not-json"),
        (b"hunter2-hunter2", "not-json"),
        (b'{"eventCategory": "hunter2-hunter2"', "not-json"),
        (b"[" * 100_000, "not-json"),
        (b'{"hunter2-hunter2":' * 100_000, "not-json"),
        (a_body().replace(b"started", b"\xff\xfe hunter2-hunter2"), "not-json"),
        ("\ufeff".encode() + a_body(), "not-json"),
        (a_body().decode().encode("utf-16"), "not-json"),
        (b"null", "not-an-event"),
        (b'["hunter2-hunter2"]', "not-an-event"),
        (b'"hunter2-hunter2"', "not-an-event"),
        (b'{"password":"hunter2-hunter2"}', "not-an-event"),
        (a_body(eventType=""), "not-an-event"),
        (a_body(eventType=None), "not-an-event"),
        (a_body(eventType={"hunter2-hunter2": 1}), "not-an-event"),
        (a_body(resourceUUID=5), "not-an-event"),
        (a_body(eventId=SECRET), "not-an-event"),
        (a_body(eventTime=SECRET), "not-an-event"),
        (a_body(eventTime="2026-03-01T12:00:00"), "not-an-event"),
        (a_body(eventTime="9999-12-31T23:59:59-12:00"), "not-an-event"),
        (a_body(details=[SECRET]), "not-an-event"),
        (a_body(details={"load": float("nan")}), "not-an-event"),
        (a_body(details={"load": [float("-inf")]}), "not-an-event"),
        (a_body(details="X").replace(b'"X"', b'{"load":1e999}'), "not-an-event"),
        (a_body(details="X").replace(b'"X"', nested(MAX_DETAILS_DEPTH + 1)), "not-an-event"),
        (a_body(details="X").replace(b'"X"', nested(5000)), "not-json"),
        (a_body(causationId=SECRET), "not-an-event"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason_and_without_its_content(body: bytes, reason: str) -> None:
    """P5 and P9: the dead letter says why; a body may hold a secret, and the text goes to logs and headers."""
    with pytest.raises(UndecodableError) as refused:
        decode_body(body)

    assert refused.value.reason == reason
    assert "hunter2" not in str(refused.value)
    assert 0 < len(str(refused.value)) < 1000


def test_a_fault_is_named_with_its_wire_name() -> None:
    """The reader of a dead letter knows the JSON, not our Python."""
    with pytest.raises(UndecodableError, match=r"eventType.*resourceUUID"):
        decode_body(a_body(eventType=5, resourceUUID=5))


def test_details_of_the_allowed_depth_and_many_brackets_are_taken() -> None:
    """Width is no depth: a long list of small objects is fine."""
    wide = a_body(details={"list": [{"n": n} for n in range(500)]})

    assert len(decode_body(wide).details["list"]) == 500  # type: ignore[arg-type]  # a list, as sent
    assert decode_body(a_body(details="X").replace(b'"X"', nested(MAX_DETAILS_DEPTH))).details


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "text/html", "application/xml", "JSON"])
def test_a_foreign_content_type_is_refused_even_if_the_body_would_do(content_type: str) -> None:
    """P9: bodies are JSON only; nothing is ever unpickled."""
    with pytest.raises(UndecodableError, match="is not JSON") as refused:
        decode(FakeDelivery(body=a_body(), content_type=content_type))

    assert refused.value.reason == "content-type"


def test_a_body_that_the_transport_discarded_is_too_large() -> None:
    """Bad input: 5 MiB are known from the content header and never held."""
    with pytest.raises(UndecodableError, match="5242880 bytes") as refused:
        decode(FakeDelivery(body=None, body_bytes=5 * MIB))

    assert refused.value.reason == "too-large"


def reason_of(body: bytes) -> str:
    """Return why a body is refused, "" if it is not; any other error would end a worker's thread."""
    try:
        event = decode_body(body)
    except UndecodableError as exc:
        return exc.reason
    assert Event(**event.model_dump()) == event, "the constructor takes what the decoder takes"
    return ""


REASONS = ("", "not-json", "not-an-event")


@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.builds(lambda part: a_body()[:part], st.integers(0, 160))
)
def test_no_body_whatever_raises_anything_else(body: bytes) -> None:
    """A worker expects one error of the decoder; any other would end its thread."""
    assert reason_of(body) in REASONS


@given(
    st.dictionaries(
        st.sampled_from([*SIX, "eventId", "eventTime", "details", "correlationId", "causationId", "else"]),
        json_anything,
    )
)
def test_no_json_whatever_raises_anything_else(changes: dict[str, Any]) -> None:
    """The same, for JSON that nearly is an event."""
    assert reason_of(a_body(**changes)) in REASONS
