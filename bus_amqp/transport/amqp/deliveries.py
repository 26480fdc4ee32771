"""``AmqpDelivery``: a delivery whose properties are parsed when somebody asks for them.

Pure.  Most deliveries are ours and carry everything in the body: they never pay for a property table.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from amqp.exceptions import AMQPError
from amqp.serialization import decode_properties_basic

from bus_amqp.errors import UndecodableError
from bus_amqp.wire.message import Delivery, HeaderValue, Properties

# What py-amqp raises over a property list that somebody wrote by hand, or that a fuzzer did.
_MALFORMED = (
    AMQPError, ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


DELIVER_FIELDS = struct.Struct(">QBB")  # delivery tag, redelivered, length of the exchange's name


class AmqpDelivery(Delivery):
    """Keeps the raw property list of the content header (flags and values) beside the parsed fields."""

    __slots__ = ("_property_list",)

    def __init__(
        self, tag: int, body: bytes | None, routing_key: str, exchange: str, redelivered: bool,
        content_type: str, body_bytes: int, property_list: bytes,
    ) -> None:  # fmt: skip
        # Not super().__init__: one is built per message, and keyword arguments would double its cost.
        self.tag = tag
        self.body = body
        self.routing_key = routing_key
        self.exchange = exchange
        self.redelivered = redelivered
        self.content_type = content_type
        self.body_bytes = body_bytes
        self._property_list = property_list

    @property
    def properties(self) -> Properties:
        """The parsed properties.  Raises ``UndecodableError`` (reason ``properties``) for a malformed list."""
        return parse_properties(self._property_list)


def parse_properties(property_list: bytes) -> Properties:
    """Parse property flags and values.  Raises ``UndecodableError``."""
    try:
        values, end = decode_properties_basic(property_list, 0)
    except _MALFORMED as exc:
        raise UndecodableError(f"malformed AMQP properties: {exc}", reason="properties") from exc
    if end != len(property_list):  # py-amqp reads a short string that is cut off without complaint
        raise UndecodableError(
            f"malformed AMQP properties: {end} bytes announced, {len(property_list)} there", reason="properties"
        )
    return properties_from(values)


def properties_from(values: Mapping[str, Any]) -> Properties:
    """Return the properties that the bus reads, from py-amqp's dictionary of all."""
    table = values.get("application_headers") or {}
    return Properties(
        content_type=readable(values.get("content_type", "")),
        message_id=readable(values.get("message_id", "")),
        timestamp=values.get("timestamp", 0),
        type=readable(values.get("type", "")),
        app_id=readable(values.get("app_id", "")),
        headers=_plain_headers(table),
        deaths=_deaths(table["x-death"]) if "x-death" in table else (),
    )


def _plain_headers(table: Mapping[Any, Any]) -> dict[str, HeaderValue]:
    """Return the entries with plain values; the bus reads no table, array (x-death is one), byte or float entry."""
    return {
        readable(key): readable(value) if isinstance(value, str) else value
        for key, value in table.items()
        if isinstance(key, str) and (value is None or isinstance(value, str | int))
    }


def readable(text: str) -> str:
    """Return text that can be written: py-amqp lets half a surrogate pair through, which no copy, log or JSON takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def deliver_arguments(payload: bytes) -> tuple[str, int, bool, str, str]:
    """Return what a basic.deliver says: consumer tag, delivery tag, redelivered, exchange, routing key.

    Foreign publishers may use any bytes as a key: what is not UTF-8 is replaced.  Raises ``LookupError`` and
    ``struct.error`` for a payload that breaks off.
    """
    at = 5 + payload[4]
    tag, redelivered, exchange_bytes = DELIVER_FIELDS.unpack_from(payload, at)
    exchange = at + 10
    key = exchange + exchange_bytes
    end = key + 1 + payload[key]
    if end != len(payload):
        raise LookupError(f"{end} bytes announced, {len(payload)} there")
    names = (payload[5:at], payload[exchange:key], payload[key + 1 :])
    consumer_tag, exchange_name, routing_key = (name.decode("utf-8", "replace") for name in names)
    return consumer_tag, tag, redelivered & 1 == 1, exchange_name, routing_key


def _deaths(value: object) -> tuple[dict[str, object], ...]:
    """Return the broker's account of why a message left its queues; anything else that a client wrote there is none."""
    entries = value if isinstance(value, list) else []
    return tuple(
        {
            readable(str(key)): _plain_value(item)
            for key, item in entry.items()
            if isinstance(item, str | int | datetime)
        }
        for entry in entries
        if isinstance(entry, Mapping)
    )


def _plain_value(value: str | int | datetime) -> str | int | datetime:
    if isinstance(value, str):
        return readable(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value  # py-amqp's are naive, in UTC


def message_id_of(property_list: bytes) -> str:
    """Return the message id, or nothing where the list is malformed."""
    try:
        return parse_properties(property_list).message_id
    except UndecodableError:
        return ""
