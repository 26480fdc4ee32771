"""The bridge: a real CloudStack's events, published as ours on a bus of ours.

One group, ordered: one process works and the others stand by, so events keep their order and twins meet.  A message of
CloudStack's is acknowledged when our broker has confirmed the event that was made of it, so nothing is lost when a
bridge is killed; what was published and not yet acknowledged is published again by the next, with the same event id.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bus_amqp import (
    Event,
    EventBus,
    EventTooLargeError,
    InvalidArgumentError,
    OutboxFullError,
    Receipt,
    RetryPolicy,
    RoutingKeyTooLongError,
    Subscribers,
)
from bus_amqp.extension.cloudstack.decoder import EXCHANGE, cloudstack_source
from bus_amqp.extension.cloudstack.twins import TwinPolicy

GROUP = "cloudstack"
IN_FLIGHT = 64  # events published and not confirmed; a confirm takes a quorum queue some milliseconds
ROOM_SECONDS = 0.2  # between two tries when the outbox is full
# What no second try makes shorter goes to the dead letters at once.  The rest waits here, not in copies: where our
# broker refuses everything, half the prefetch waits, and what CloudStack says meanwhile stays in the queue.
RETRY = RetryPolicy(
    no_retry_on=(EventTooLargeError, RoutingKeyTooLongError, InvalidArgumentError),
    keep_order=True,
)


class Bridge:
    """A subscriber that publishes what it is given, and returns once that is confirmed.

    Many events are on their way at once; they are accepted one after the other, in the order in which they come.
    """

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._turn = asyncio.Lock()  # fair: who waits for room keeps its place; used on the bus's event loop alone
        self.published = 0  # confirmed by our broker; written on the event loop, read by anybody

    def __repr__(self) -> str:
        return f"<Bridge to {self._bus!r}, {self.published} published>"

    async def on_event(self, event: Event, /) -> None:
        """Publish one event; raise what became of it, so that its message is tried again or dead-lettered."""
        async with self._turn:
            receipt = await self._accepted(event)
        await receipt
        self.published += 1

    async def _accepted(self, event: Event) -> Receipt:
        while True:
            try:
                return self._bus.publish(event)
            except OutboxFullError as exc:
                if not exc.is_transient:
                    raise
            # The events wait on the broker meanwhile, where they are safe.
            await asyncio.sleep(ROOM_SECONDS)


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """Where from, and how.  ``twins``: ``drop``, ``mark`` or ``keep``; ``in_flight``: events published at once."""

    from_exchange: str = EXCHANGE
    group: str = GROUP
    twins: TwinPolicy | str = TwinPolicy.MARK
    in_flight: int = IN_FLIGHT


def bridge_to(bus: EventBus, options: BridgeOptions | None = None) -> Subscribers:
    """Return the subscription that makes this bus the bridge's other end; ``bus.subscribe_all`` begins it."""
    options = options or BridgeOptions()
    subscribers = Subscribers()
    subscribers.on(
        # Nothing needs to keep events of one resource apart: they are accepted in order, one after the other.
        cloudstack_source(options.from_exchange, twins=options.twins, in_order=False),
        group=options.group,
        ordered=True,
        workers=options.in_flight,
        prefetch=2 * options.in_flight,
        retry=RETRY,
    )(Bridge(bus))
    return subscribers


def subscribers(bus: EventBus) -> Subscribers:
    """Return the bridge with its defaults, for ``bus-amqp run bus_amqp.extension.cloudstack.bridge:subscribers``."""
    return bridge_to(bus)
