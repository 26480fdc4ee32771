"""``Subscription``: one entry of the registry, and what can be asked of it or done for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from bus_amqp.consume.consumption import Attach, Consumption
from bus_amqp.consume.workers import Workers
from bus_amqp.errors import ChannelLostError, NotFoundOnBrokerError
from bus_amqp.health import Gap, SubscriptionStats
from bus_amqp.subscriber import SubscriberLike, SubscriptionOptions
from bus_amqp.topology import names
from bus_amqp.topology.plan import with_queue_elsewhere
from bus_amqp.transport.base import Connection, QueueState

logger = logging.getLogger("bus_amqp.consume")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One entry of the registry.  ``topics``: what the members of a group must agree on."""

    subscriber: SubscriberLike
    topics: frozenset[object]
    options: SubscriptionOptions
    consumption: Consumption
    workers: Workers


def stats_of(subscription: Subscription) -> SubscriptionStats:
    """Count what its workers have done."""
    counts = subscription.workers.counts
    return SubscriptionStats(
        delivered=subscription.consumption.delivered,
        handled=sum(one.handled for one in counts),
        filtered=sum(one.filtered for one in counts),
        discarded=sum(one.discarded for one in counts),
        dead_lettered=sum(one.dead_lettered for one in counts),
        spared=sum(one.spared for one in counts),
        slow=subscription.consumption.watch.told,
        retried=sum(one.retried for one in counts),
    )


def declare_again(consumption: Consumption, connection: Connection) -> Gap | None:
    """Make its objects again; return the time without a queue, if there was none.  On the control thread.

    Raises ``ChannelLostError``: nobody can tell yet, so ask again.
    """
    is_there = connection.queue_state(consumption.queue) is not None
    if is_there and consumption.outage.may_be_deletion:
        raise ChannelLostError("the broker cancelled the consumer, and may be about to delete the queue")
    try:
        connection.declare(consumption.plan)
    except NotFoundOnBrokerError as exc:
        if is_there or consumption.address.key != names.dead_key(None):
            raise
        _move(consumption, connection, exc)
    return None if is_there else consumption.outage.gap()


def _move(consumption: Consumption, connection: Connection, why: NotFoundOnBrokerError) -> None:
    """Make a temporary subscription's queue anew, under another name.

    A classic queue lives on one node.  While that is down, its name can be neither declared nor deleted; when it comes
    back, the old queue expires there.
    """
    queue = f"{consumption.queue.rpartition('.')[0]}.{uuid4()}"
    plan = with_queue_elsewhere(consumption.plan, consumption.queue, queue)
    connection.declare(plan)
    logger.warning("%s cannot be had (%s): consuming from %s instead", consumption.queue, why, queue)
    consumption.move(queue, plan)


def look_after(consumption: Consumption, connection: Connection, *, is_declaring: bool) -> QueueState | None:
    """Look at its queue and make sure of everything around it, its bindings first of all.  On the control thread.

    Not of the queue itself: to make it again is ``declare_again``'s, which tells of the gap.  A binding that is there
    is left alone, so this repairs in one round trip what cannot be seen over AMQP.
    """
    state = connection.queue_state(consumption.queue)
    if state is None or not is_declaring:
        return state
    others = tuple(queue for queue in consumption.plan.queues if queue.name != consumption.queue)
    try:
        connection.declare(replace(consumption.plan, queues=others))
    except NotFoundOnBrokerError:
        # The queue, deleted between the two; or the exchange of somebody else, to which we are bound.
        if connection.queue_state(consumption.queue) is None:
            return None
        raise
    return state


def rebind(
    consumption: Consumption, noticed_at: datetime | None, post: Callable[[Attach], None], connection: Connection
) -> None:
    """Make its bindings again, and report the time without them; None: its events came.  On the control thread."""
    connection.declare(consumption.plan)
    if noticed_at is not None:
        post(Attach(consumption, Gap(noticed_at, datetime.now(UTC))))
