"""The copy of a delivery that goes to the dead-letter exchange, and the headers that any copy carries.  Pure."""

from __future__ import annotations

import socket
from collections.abc import Mapping
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
EXCHANGE = "x-bus-exchange"
ATTEMPTS = "x-bus-attempts"
FIRST_FAILURE = "x-bus-first-failure"
LAST_FAILURE = "x-bus-last-failure"
# What a broker writes into messages that it dead-letters or delivers again: its own story, of other queues.
BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")
NOWHERE = ""  # the dead-letter exchange of who declares none: letters are dropped
MAX_HEADERS = 50
MAX_NAME = 60  # characters; AMQP allows 255 bytes
MAX_KEY = 255  # what AMQP allows for a routing key
MAX_MOMENT = 60  # an ISO time has half of that
MAX_ATTEMPTS = 2**31 - 2  # foreign counts come near 2**63, and one more than that cannot be written
MAX_TEXT = 1000  # an exception's text can hold a whole response; header tables travel in one frame


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a delivery is set aside.  ``reason`` is one word for filters; ``explanation`` is for people.

    ``attempts``: how often its subscriber was called and failed; 1 also for what no subscriber was called for.
    """

    reason: str
    explanation: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class DeadLetterAddress:
    """Where the copies of one subscription go, and what they say of it.

    ``exchange`` and ``key``: of its dead letters; ``NOWHERE``: there are none.  ``queue``: its own;
    ``return_exchange`` leads there by its name.
    """

    exchange: str
    key: str
    queue: str
    subscriber: str
    return_exchange: str = ""


def dead_letter_message(
    delivery: Delivery, letter: DeadLetter, address: DeadLetterAddress, *, failed_at: datetime | None = None
) -> Message:
    """Return the copy.  It is mandatory: without a queue to take it, the original stays unacknowledged."""
    properties = properties_of(delivery)
    headers = failure_headers(
        delivery, properties, address,
        reason=letter.reason, explanation=letter.explanation, attempts=letter.attempts, failed_at=failed_at,
    )  # fmt: skip
    return copy_of(delivery, properties, headers, exchange=address.exchange, key=address.key)


def copy_of(
    delivery: Delivery,
    properties: Properties,
    headers: Mapping[str, HeaderValue],
    *,
    exchange: str,
    key: str,
    expiration_ms: int = 0,
) -> Message:
    """Return the delivery as a message on another way: the same but for its headers; mandatory."""
    return Message(
        key,
        delivery.body or b"",
        message_id=properties.message_id,
        timestamp=properties.timestamp,
        type=properties.type,
        app_id=properties.app_id,
        content_type=_short(delivery.content_type),
        headers=headers,
        exchange=exchange,
        mandatory=True,
        expiration_ms=expiration_ms,
    )


def failure_headers(
    delivery: Delivery,
    properties: Properties,
    address: DeadLetterAddress,
    *,
    reason: str,
    explanation: str,
    attempts: int,
    failed_at: datetime | None = None,
) -> dict[str, HeaderValue]:
    """Return the headers of a copy: what the delivery had, and why, where and when it failed first and last."""
    given = getattr(delivery, "noted", properties.headers)
    now = (failed_at or datetime.now(UTC)).isoformat(timespec="milliseconds")
    return {
        **_plain_headers(properties),
        REASON: reason,
        EXCEPTION: explanation[:MAX_TEXT],
        SUBSCRIBER: address.subscriber,
        HOST: _hostname(),
        QUEUE: address.queue,
        ROUTING_KEY: str(given.get(ROUTING_KEY) or delivery.routing_key)[:MAX_KEY],
        EXCHANGE: str(given.get(EXCHANGE) or delivery.exchange)[:MAX_KEY],
        ATTEMPTS: attempts,
        FIRST_FAILURE: str(given.get(FIRST_FAILURE) or now)[:MAX_MOMENT],
        LAST_FAILURE: now,
    }


def count_in(headers: Mapping[str, HeaderValue], name: str) -> int:
    """Return a count from headers, 0 where there is none that makes sense: anybody may have written them."""
    count = headers.get(name)
    return min(max(count, 0), MAX_ATTEMPTS) if isinstance(count, int) else 0


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
        if len(name) <= MAX_NAME
        and not name.startswith(BROKERS_OWN)
        and (value is None or isinstance(value, str | bool | int))
        and _fits(value)
    }
    return dict(list(plain.items())[:MAX_HEADERS])


def _fits(value: HeaderValue) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    return value is None or -(2**63) <= value < 2**63


def properties_of(delivery: Delivery) -> Properties:
    """Return the properties, or empty ones where they are malformed."""
    try:
        return delivery.properties
    except UndecodableError:  # a broken header table must not keep its message from being set aside
        return Properties()
