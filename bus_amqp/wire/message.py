"""What travels: a ``Message`` on its way to the broker, a ``Delivery`` on its way from it.

Neutral to the transport: no frame and no kombu type appears here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

JSON_CONTENT_TYPE = "application/json"

HeaderValue = str | int | bool | None


class Message:
    """One message to be published.  Immutable by convention; a plain class because one is built per event.

    ``exchange`` None: the bus's own exchange.  ``timestamp``: whole seconds since the epoch, 0 = none.
    ``expiration_ms``: how long it may wait in a queue, 0 = for ever.
    """

    __slots__ = (
        "app_id", "body", "content_type", "exchange", "expiration_ms", "headers", "mandatory",
        "message_id", "routing_key", "timestamp", "type",
    )  # fmt: skip

    def __init__(
        self,
        routing_key: str,
        body: bytes,
        message_id: str = "",
        timestamp: int = 0,
        type: str = "",  # noqa: A002 -- AMQP's name of the property
        app_id: str = "",
        *,
        content_type: str = JSON_CONTENT_TYPE,
        headers: Mapping[str, HeaderValue] | None = None,
        exchange: str | None = None,
        mandatory: bool = False,
        expiration_ms: int = 0,
    ) -> None:
        self.routing_key = routing_key
        self.body = body
        self.message_id = message_id
        self.timestamp = timestamp
        self.type = type
        self.app_id = app_id
        self.content_type = content_type
        self.headers = headers
        self.exchange = exchange
        self.mandatory = mandatory
        self.expiration_ms = expiration_ms

    def __repr__(self) -> str:
        return f"<Message {self.message_id or '(no id)'} {self.routing_key!r} {len(self.body)} bytes>"


@dataclass(frozen=True, slots=True)
class Properties:
    """The AMQP properties of a delivery that the bus reads; absent ones are empty, ``timestamp`` 0.

    ``deaths``: RabbitMQ's ``x-death``, the latest first: ``queue``, ``reason``, ``exchange``, aware ``time`` ...
    """

    content_type: str = ""
    message_id: str = ""
    timestamp: int = 0
    type: str = ""
    app_id: str = ""
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    deaths: Sequence[Mapping[str, object]] = ()


class Delivery(ABC):
    """One message from a queue, as the transport hands it up.

    ``tag`` means something on its channel only.  ``body`` is None when the content header announced more than
    the connection's ``max_body_bytes``: the transport has discarded it, ``body_bytes`` tells its size.
    ``properties`` are parsed when they are first asked for: the hot path needs only ``content_type``.
    ``noted`` has no value before the consumer gives it one: the headers that a copy would carry, of a delivery that
    failed and stayed in hand.
    """

    __slots__ = ("body", "body_bytes", "content_type", "exchange", "noted", "redelivered", "routing_key", "tag")
    noted: Mapping[str, HeaderValue]

    def __init__(
        self, tag: int, body: bytes | None, *, routing_key: str, exchange: str, redelivered: bool,
        content_type: str, body_bytes: int,
    ) -> None:  # fmt: skip
        self.tag = tag
        self.body = body
        self.routing_key = routing_key
        self.exchange = exchange
        self.redelivered = redelivered
        self.content_type = content_type
        self.body_bytes = body_bytes

    @property
    @abstractmethod
    def properties(self) -> Properties:
        """The parsed properties.  Each transport's subclass knows how."""

    def __repr__(self) -> str:
        return f"<Delivery {self.tag} {self.routing_key!r} {self.body_bytes} bytes>"
