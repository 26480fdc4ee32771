"""The copy of a delivery that goes to the dead-letter exchange.  Pure."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import Delivery, HeaderValue, Message, Properties

REASON = "x-bus-reason"
EXCEPTION = "x-bus-exception"
SUBSCRIBER = "x-bus-subscriber"
HOST = "x-bus-host"
QUEUE = "x-bus-queue"
ROUTING_KEY = "x-bus-routing-key"
ATTEMPTS = "x-bus-attempts"
FIRST_FAILURE = "x-bus-first-failure"
LAST_FAILURE = "x-bus-last-failure"
MAX_HEADERS = 50
MAX_NAME = 60  # characters; AMQP allows 255 bytes
MAX_KEY = 255  # what AMQP allows for a routing key
MAX_MOMENT = 60  # an ISO time has half of that
MAX_ATTEMPTS = 2**31 - 1  # foreign counts come near 2**63, and one more than that cannot be written
MAX_TEXT = 1000  # an exception's text can hold a whole response; header tables travel in one frame


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a delivery is set aside.  ``reason`` is one word for filters; ``explanation`` is for people."""

    reason: str
    explanation: str


@dataclass(frozen=True, slots=True)
class DeadLetterAddress:
    """Where the dead letters of one subscription go, and what they say of it."""

    exchange: str
    key: str
    queue: str
    subscriber: str


def dead_letter_message(
    delivery: Delivery, letter: DeadLetter, address: DeadLetterAddress, *, failed_at: datetime | None = None
) -> Message:
    """Return the copy.  It is mandatory: without a queue to take it, the original stays unacknowledged."""
    properties = _properties_of(delivery)
    now = (failed_at or datetime.now(UTC)).isoformat(timespec="milliseconds")
    attempts = properties.headers.get(ATTEMPTS)
    headers: dict[str, HeaderValue] = {
        **_plain_headers(properties),
        REASON: letter.reason,
        EXCEPTION: letter.explanation[:MAX_TEXT],
        SUBSCRIBER: address.subscriber,
        HOST: _hostname(),
        QUEUE: address.queue,
        ROUTING_KEY: str(properties.headers.get(ROUTING_KEY) or delivery.routing_key)[:MAX_KEY],
        ATTEMPTS: min(max(attempts if isinstance(attempts, int) else 0, 0) + 1, MAX_ATTEMPTS),
        FIRST_FAILURE: str(properties.headers.get(FIRST_FAILURE) or now)[:MAX_MOMENT],
        LAST_FAILURE: now,
    }
    return Message(
        address.key,
        delivery.body or b"",
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        type=properties.type,
        app_id=properties.app_id,
        content_type=_short(delivery.content_type),
        headers=headers,
        exchange=address.exchange,
        mandatory=True,
    )


@lru_cache(maxsize=1)
def _hostname() -> str:
    """Ask the system once: a storm of dead letters must not be one of system calls."""
    return socket.gethostname()


def _short(value: str) -> str:
    """Return what fits AMQP's 255 bytes: what was not UTF-8 has grown when it was read."""
    return value if len(value) <= 63 else value.encode()[:255].decode(errors="ignore")


def _plain_headers(properties: Properties) -> dict[str, HeaderValue]:
    """Keep the foreign headers that can be written again: a copy that cannot be sent would come back for ever."""
    plain = {
        name: value
        for name, value in properties.headers.items()
        if len(name) <= MAX_NAME and (value is None or isinstance(value, str | bool | int)) and _fits(value)
    }
    return dict(list(plain.items())[:MAX_HEADERS])


def _fits(value: HeaderValue) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or -(2**63) <= value < 2**63


def _properties_of(delivery: Delivery) -> Properties:
    try:
        return delivery.properties
    except UndecodableError:  # a broken header table must not keep its message from being set aside
        return Properties()
