"""``Letter``: one message of a dead-letter queue, with what its headers tell.  Pure.

Headers are read with suspicion: anybody may publish to the dead-letter exchange, so a value that is not what we write
counts as absent.  Letters that the broker itself made (a delivery limit, a rejection) carry none of our headers; their
reason is the broker's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from bus_amqp.consume import dead_letter
from bus_amqp.errors import UndecodableError
from bus_amqp.event import Event
from bus_amqp.wire.codec import decode
from bus_amqp.wire.message import Delivery, Properties
from bus_amqp.wire.routing_key import routing_key

PUT_BACK = "x-bus-put-back"  # how often an operator has put the event back
EARLIER_ATTEMPTS = "x-bus-earlier-attempts"  # of all the lives before that
UNKNOWN, ASTRAY = "unknown", "astray"

_EXPLANATIONS = {
    "delivery_limit": "handed out too often without an answer: most likely it ended the processes that took it",
    "rejected": "refused unread: most likely larger than max_event_bytes",
    "expired": "waited longer than it was allowed to",
    "maxlen": "its queue was full",
    ASTRAY: "its queue, or the way to it, was gone when its wait for another attempt was over",
    UNKNOWN: "it says neither why nor by whom it was set aside",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of one dead letter.

    ``position`` counts from 1 in the order of the queue, at the time of looking.  ``is_by_broker``: ``reason`` is the
    broker's word.  ``attempts`` None, times None, texts empty: not known.  ``queue``: where it was taken from.
    ``event`` None: the body is none of ours (or it could not be carried, then ``delivery.body`` is None too).
    """

    position: int
    delivery: Delivery
    properties: Properties
    is_readable: bool
    event: Event | None
    reason: str
    is_by_broker: bool
    exception: str
    attempts: int | None
    earlier_attempts: int
    times_put_back: int
    first_failure: datetime | None
    last_failure: datetime | None
    subscriber: str
    host: str
    queue: str
    routing_key: str

    @property
    def event_id(self) -> str:
        """The id to ask for it by; empty if it has none that stays the same."""
        if self.properties.message_id:
            return self.properties.message_id
        if self.event is None or "busEventIdIsRandom" in self.event.details:
            return ""
        return str(self.event.event_id)

    def is_called(self, name: str) -> bool:
        """Return whether this is the letter that somebody names by its event id or its message id."""
        return name != "" and name in (self.event_id, "" if self.event is None else str(self.event.event_id))

    def fingerprint(self) -> bytes:
        """Return 16 bytes that tell it from other letters, from one look to the next."""
        digest = blake2b(digest_size=16)
        for part in (self.event_id, str(self.properties.headers.get(dead_letter.LAST_FAILURE)), self.queue):
            digest.update(part.encode(errors="surrogatepass") + b"\0")
        digest.update(self.delivery.body or str(self.delivery.body_bytes).encode())
        return digest.digest()


def letter_of(delivery: Delivery, position: int, exchange: str) -> Letter:
    """Read one delivery of a dead-letter queue.  Never raises over what is in it."""
    try:
        properties, is_readable = delivery.properties, True
    except UndecodableError:
        properties, is_readable = Properties(), False
    headers = properties.headers
    try:
        event = decode(delivery) if is_readable else None
    except UndecodableError:
        event = None
    death: Mapping[str, object] = properties.deaths[0] if properties.deaths else {}
    reason, exception = _text(headers.get(dead_letter.REASON)), _text(headers.get(dead_letter.EXCEPTION))
    # No copy of ours carries the broker's account: where there is one, the broker was the last to act on it.
    is_by_broker = bool(death) or reason in ("", ASTRAY)
    if is_by_broker:
        # A copy that waits for another attempt says `astray`: that is read only if it cannot return.
        reason = reason if reason and not death else _brokers_reason(death, headers, exchange)
        exception = "; ".join(filter(None, (_EXPLANATIONS.get(reason, ""), exception and f"before that: {exception}")))
    time = death.get("time")
    died_at = time if is_by_broker and isinstance(time, datetime) else None
    return Letter(
        position,
        delivery,
        properties,
        is_readable,
        event,
        reason=reason,
        is_by_broker=is_by_broker,
        exception=exception,
        attempts=_count(headers.get(dead_letter.ATTEMPTS)),
        earlier_attempts=_count(headers.get(EARLIER_ATTEMPTS)) or 0,
        times_put_back=_count(headers.get(PUT_BACK)) or 0,
        first_failure=_moment(headers.get(dead_letter.FIRST_FAILURE)) or died_at,
        last_failure=died_at or _moment(headers.get(dead_letter.LAST_FAILURE)),
        subscriber=_text(headers.get(dead_letter.SUBSCRIBER)),
        host=_text(headers.get(dead_letter.HOST)),
        queue=_queue(delivery, headers, death, exchange),
        routing_key=_text(headers.get(dead_letter.ROUTING_KEY)) or _key_of(event),
    )


def _brokers_reason(death: Mapping[str, object], headers: Mapping[str, object], exchange: str) -> str:
    if _text(death.get("queue")).startswith(f"{exchange}.wait."):
        return ASTRAY
    for given in (death.get("reason"), headers.get("x-last-death-reason"), headers.get("x-first-death-reason")):
        if text := _text(given):
            return text
    return UNKNOWN


def _queue(delivery: Delivery, headers: Mapping[str, object], death: Mapping[str, object], exchange: str) -> str:
    if named := _text(headers.get(dead_letter.QUEUE)):
        return named
    if delivery.routing_key.startswith(f"{exchange}."):  # on its way back to a queue, by that queue's name
        return delivery.routing_key
    return _text(death.get("queue")) or _text(headers.get("x-first-death-queue"))


def _key_of(event: Event | None) -> str:
    """Return the key of the event itself: the broker's letters have it in no header, but bodies are whole."""
    if event is None:
        return ""
    try:
        return routing_key(event)
    except ValueError:  # a foreign event whose words are too long for a key
        return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= dead_letter.MAX_ATTEMPTS
    return value if is_count and isinstance(value, int) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
