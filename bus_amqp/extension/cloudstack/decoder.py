"""``CloudStackDecoder``: what a subscription to CloudStack's exchange reads its messages with.

Called on worker threads; the translation is pure, the memory of twins has a lock of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bus_amqp import Discard, Event, EventCategory, ForeignMessage, ForeignSource, InvalidArgumentError
from bus_amqp.extension.cloudstack.body import read_body
from bus_amqp.extension.cloudstack.categories import PHASE_UNKNOWN
from bus_amqp.extension.cloudstack.key import ABSENT, WORDS, read_key
from bus_amqp.extension.cloudstack.translation import own_event, second_id, translated
from bus_amqp.extension.cloudstack.twins import Sight, Twin, TwinPolicy, Twins

EXCHANGE = "cloudstack-events"


class CloudStackDecoder:
    """Translates; drops, marks or keeps twins; and leaves out what a ``CloudStackPublisher`` has put there.

    ``takes_own``: False leaves those out, because they have come from a bus of ours, and would go round for ever
    between a bridge and a publisher.
    """

    def __init__(
        self,
        *,
        twins: TwinPolicy | str = TwinPolicy.MARK,
        takes_own: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            self._policy = TwinPolicy(twins)
        except ValueError as exc:
            raise InvalidArgumentError(f"twins is {twins!r}: choose drop, mark or keep") from exc
        self._takes_own = takes_own
        self._twins = Twins(clock)

    def __repr__(self) -> str:
        return f"<CloudStackDecoder {self._policy} {self._twins!r}>"

    def __call__(self, message: ForeignMessage) -> Event:
        """Return the event.  Raises ``UndecodableError``, or ``Discard`` for what is left out."""
        raw = read_body(message.body)
        if (own := own_event(raw)) is not None:
            if not self._takes_own:
                raise Discard("it was published from a bus like this one")
            return own
        key = read_key(message.routing_key)
        event = translated(message, key, raw)
        if self._policy is TwinPolicy.KEEP:
            return _marked(event, Sight())
        sight = self._twins.look(event.event_id, key.category, key.type, raw, is_repeated=message.is_repeated)
        can_be_dropped = self._policy is TwinPolicy.DROP and not message.is_repeated  # it may be the first one again
        if can_be_dropped and sight.twin in (Twin.STATE, Twin.PLUG_IN):
            raise Discard(f"it says again what another message has said ({sight.twin})")
        return _marked(event, sight)


def _marked(event: Event, sight: Sight) -> Event:
    details = dict(event.details)
    if sight.twin is not None:
        details["twin"] = str(sight.twin)
    if event.event_category == EventCategory.RESOURCE_STATE:
        if sight.first is not None and details["phase"] == PHASE_UNKNOWN:
            # Of a pair that does not say itself which is which, the first is the one before: it is published first.
            details["phase"] = "pre" if sight.twin is None else "post"
        details["transitionId"] = str(sight.first or event.event_id)
    if details == event.details:
        return event
    # Two that are the same to the last byte would have one id: a receiver that drops duplicates would never see the
    # second, which alone says that a transition has come about.
    is_same = sight.twin is Twin.STATE and sight.first == event.event_id
    event_id = second_id(event.event_id) if is_same else event.event_id
    return event.model_copy(update={"event_id": event_id, "details": details})


def cloudstack_source(
    exchange: str = EXCHANGE,
    *,
    twins: TwinPolicy | str = TwinPolicy.MARK,
    takes_own: bool = False,
    exclusive: bool = False,
    in_order: bool = True,
) -> ForeignSource:
    """Return what to subscribe to, to have CloudStack's events as ours.

    ``exclusive``: only to look on.  ``in_order``: several workers keep the order of each resource, as far as its key
    names it.
    """
    decode = CloudStackDecoder(twins=twins, takes_own=takes_own)
    return ForeignSource(exchange, decode, exclusive=exclusive, lane=resource_of if in_order else None)


def resource_of(routing_key: str) -> str | None:
    """Return the uuid in a key; None: it names none."""
    words = routing_key.split(".")
    return None if len(words) != WORDS or words[-1] in ("", ABSENT) else words[-1]
