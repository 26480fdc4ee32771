"""``ForeignDecoding``: reads the deliveries of a foreign exchange with the function that the subscription brings.

Called on workers, in the place of ``wire.codec.decode``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bus_amqp.consume.dead_letter import EXCHANGE, properties_of
from bus_amqp.consume.handling import text_of
from bus_amqp.consume.lanes import LaneOfKey
from bus_amqp.consume.second_chance import original_key
from bus_amqp.errors import UndecodableError
from bus_amqp.event import Event
from bus_amqp.foreign import Decode, ForeignMessage
from bus_amqp.retry import Discard
from bus_amqp.wire.codec import plain, time_from
from bus_amqp.wire.message import Delivery

logger = logging.getLogger("bus_amqp.consume")


def lanes_of_foreign(lane: Callable[[str], str | None] | None) -> LaneOfKey:
    """Return what orders foreign messages, by the function of the subscription; without one, nothing does.

    It is called on the consumer thread, which must outlive whatever a user's function does.
    """

    def lane_of_key(key: str) -> str | None:
        if lane is None:
            return None
        try:
            return lane(key)
        except Exception:  # the user's function; a message that nothing orders is handled all the same
            logger.exception("the lane of key %r cannot be had: nothing orders its message", key[:100])
            return None

    return lane_of_key


class ForeignDecoding:
    """Holds nothing that changes; the workers of a subscription share it."""

    def __init__(self, decode: Decode, *, return_exchange: str) -> None:
        self._decode = decode
        self._return_exchange = return_exchange

    def __repr__(self) -> str:
        return f"<ForeignDecoding {self._decode!r}>"

    def __call__(self, delivery: Delivery) -> Event:
        """Return the event.  Raises ``UndecodableError``, or ``Discard`` if the decoder wants none of it."""
        message = self._message(delivery)
        try:
            event = self._decode(message)
        except (UndecodableError, Discard):
            raise
        except BaseException as exc:  # the user's function: what it raises is its message's fate, not the worker's
            raise UndecodableError(
                f"the decoder raised {type(exc).__name__}: {text_of(exc)}", reason="decoder"
            ) from exc
        if not isinstance(event, Event):
            raise UndecodableError(f"the decoder returned {type(event).__name__}, not an Event", reason="decoder")
        try:
            return plain(event)
        except ValueError as exc:  # typed details that cannot travel
            raise UndecodableError(f"the decoder's event: {exc}", reason="decoder") from exc

    def _message(self, delivery: Delivery) -> ForeignMessage:
        if delivery.body is None:
            raise UndecodableError(f"message has {delivery.body_bytes} bytes: over max_event_bytes", reason="too-large")
        properties = properties_of(delivery)
        # Through these two come copies of ours only: what has waited, and what an operator has put back.
        has_been_here = delivery.exchange in ("", self._return_exchange)
        exchange = str(properties.headers.get(EXCHANGE) or "") if has_been_here else delivery.exchange
        return ForeignMessage(
            routing_key=original_key(delivery) if has_been_here else delivery.routing_key,
            body=delivery.body,
            exchange=exchange,
            content_type=delivery.content_type,
            message_id=properties.message_id,
            timestamp=time_from(properties),
            type=properties.type,
            app_id=properties.app_id,
            headers=properties.headers,
            # A delivery that stayed in hand for its next attempt has notes; it is read once more then.
            is_repeated=delivery.redelivered or has_been_here or hasattr(delivery, "noted"),
        )
