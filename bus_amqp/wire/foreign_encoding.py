"""``ForeignEncoding``: events to messages in somebody else's format, by a function that the caller brings.

In the place of ``codec.encode``; pure, on callers' threads.  What the function makes is checked here, because what AMQP
refuses would cost the publish channel, and with it the messages of others.
"""

from __future__ import annotations

from bus_amqp.errors import EventBusException, EventTooLargeError, InvalidArgumentError, RoutingKeyTooLongError
from bus_amqp.event import Event
from bus_amqp.foreign import Encode, ForeignMessage
from bus_amqp.wire.codec import plain, short_string
from bus_amqp.wire.key_words import MAX_KEY_BYTES
from bus_amqp.wire.message import Message


class ForeignEncoding:
    """Holds nothing that changes."""

    def __init__(self, encoder: Encode, exchange: str) -> None:
        if not callable(encoder):
            raise InvalidArgumentError(f"encoder must be a function of an Event, not {encoder!r}")
        self._encoder = encoder
        self._exchange = exchange

    def __repr__(self) -> str:
        return f"<ForeignEncoding {self._encoder!r} for {self._exchange!r}>"

    def __call__(self, event: Event[object], *, max_event_bytes: int) -> Message:
        """Return the message of an event.

        Raises ``InvalidArgumentError``, ``RoutingKeyTooLongError``, ``EventTooLargeError``.
        """
        travelling = plain(event)  # an encoder need not know the types of other people's details
        try:
            made = self._encoder(travelling)
        except EventBusException:
            raise
        except Exception as exc:  # the user's function: the caller of publish is to hear of it as of any refusal
            raise InvalidArgumentError(f"the encoder raised {type(exc).__name__}: {exc}") from exc
        if not isinstance(made, ForeignMessage):
            raise InvalidArgumentError(f"the encoder returned {type(made).__name__}, not a ForeignMessage")
        if made.exchange not in ("", self._exchange):
            raise InvalidArgumentError(f"the encoder wants exchange {made.exchange!r}, the bus's is {self._exchange!r}")
        if (key_bytes := len(made.routing_key.encode())) > MAX_KEY_BYTES:
            raise RoutingKeyTooLongError(f"routing key has {key_bytes} bytes, AMQP allows {MAX_KEY_BYTES}")
        if len(made.body) > max_event_bytes:
            raise EventTooLargeError(f"message has {len(made.body)} bytes, max_event_bytes is {max_event_bytes}")
        return Message(
            made.routing_key,
            made.body,
            short_string(made.message_id),
            max(0, int(made.timestamp.timestamp())) if made.timestamp is not None else 0,
            short_string(made.type),
            short_string(made.app_id),
            content_type=short_string(made.content_type),
            headers=made.headers or None,
        )
