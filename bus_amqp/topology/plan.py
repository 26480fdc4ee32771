"""What should exist on the broker, as a value.  Pure: who makes it so is the transport.

Arguments are for life: a queue declared again with other arguments is refused (406), so none of them
depends on the version of the broker or of this library, nor on a setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from bus_amqp.topology import names

TEMPORARY_EXPIRES_SECONDS = 300
POISON_LIMIT = 20  # deliveries of one event; RabbitMQ 4 has the same default, 3.10 none
NEVER = 2147483647  # a look at a dead letter must never cost it; -1 is refused or misread by some versions


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange.  ``arguments`` as RabbitMQ names them."""

    name: str
    kind: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue.  ``arguments`` as RabbitMQ names them.

    ``is_exclusive``: not durable; of the connection that declares it, and gone with that or with its consumer.
    """

    name: str
    arguments: Mapping[str, str | int | bool] = field(default_factory=dict)
    is_exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of ``exchange`` whose key matches go to ``queue``."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Objects in the order in which they must be declared: exchanges, queues, bindings."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    @property
    def is_exclusive(self) -> bool:
        """Whether only the connection that consumes can make it true."""
        return any(queue.is_exclusive for queue in self.queues)

    def has_quorum_queue(self, name: str) -> bool:
        """Whether this queue is a replicated log, to which every acknowledgement is a command."""
        return any(one.name == name and one.arguments.get("x-queue-type") == "quorum" for one in self.queues)


def with_queue_elsewhere(plan: Plan, queue: str, other: str) -> Plan:
    """Return the plan with one queue under another name, its bindings with it, also those that name it as the key."""
    return Plan(
        exchanges=plan.exchanges,
        queues=tuple(replace(one, name=other) if one.name == queue else one for one in plan.queues),
        bindings=tuple(
            Binding(one.exchange, other, other if one.key == queue else one.key) if one.queue == queue else one
            for one in plan.bindings
        ),
    )


def publisher_plan(exchange: str) -> Plan:
    """Return what a publisher needs: the topic exchange."""
    return Plan(exchanges=(Exchange(exchange, "topic"),))


def subscription_queue(exchange: str, group: str | None, subscription_id: UUID, *, ordered: bool) -> Queue:
    """Return the queue of a subscription: the group's (quorum) or its own (classic, expiring)."""
    dead = {
        "x-dead-letter-exchange": names.dead_exchange(exchange),
        "x-dead-letter-routing-key": names.dead_key(group),
    }
    if group is None:
        return Queue(
            names.temporary_queue(exchange, subscription_id),
            {
                "x-queue-type": "classic",
                "x-expires": TEMPORARY_EXPIRES_SECONDS * 1000,
                "x-single-active-consumer": True,
                **dead,
            },
        )
    arguments: dict[str, str | int | bool] = {
        "x-queue-type": "quorum",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once dead-lettering demands it
        "x-delivery-limit": POISON_LIMIT,
        **dead,
    }
    if ordered:
        arguments["x-single-active-consumer"] = True
    return Queue(names.group_queue(exchange, group), arguments)


def subscription_plan(
    exchange: str, group: str | None, queue: Queue, binding_keys: Iterable[str], *, bound_to: str | None = None
) -> Plan:
    """Return everything that a subscription needs: its dead-letter queue too, and the way back from a wait.

    ``bound_to``: the exchange of somebody else that it is bound to, instead of ours.  It is not declared.
    """
    dead, back, astray = names.dead_exchange(exchange), names.return_exchange(exchange), names.astray_exchange(exchange)
    dead_queue = Queue(names.dead_queue(exchange, group), {"x-queue-type": "quorum", "x-delivery-limit": NEVER})
    keys = dict.fromkeys(binding_keys)  # two patterns may share one coarse binding
    return Plan(
        exchanges=(
            Exchange(exchange, "topic"),
            Exchange(dead, "direct"),
            Exchange(astray, "topic"),
            _return(exchange),
        ),
        queues=(dead_queue, queue),
        bindings=(
            Binding(dead, dead_queue.name, names.dead_key(group)),
            Binding(astray, dead_queue.name, names.astray_key(exchange, group)),
            Binding(back, queue.name, queue.name),
            *(Binding(bound_to or exchange, queue.name, key) for key in keys),
        ),
    )


def exclusive_plan(exchange: str, subscription_id: UUID, binding_keys: Iterable[str], *, bound_to: str) -> Plan:
    """Return what somebody needs who only looks at the exchange of somebody else: a queue, and no dead letters."""
    # The type is named: a virtual host may have quorum for its default, and of those none is exclusive.
    queue = Queue(names.temporary_queue(exchange, subscription_id), {"x-queue-type": "classic"}, is_exclusive=True)
    return Plan(queues=(queue,), bindings=tuple(Binding(bound_to, queue.name, key) for key in binding_keys))


def rung_plan(exchange: str, rung_seconds: int) -> Plan:
    """Return one rung of the ladder on which events wait for their next attempt; all subscriptions share it."""
    name = names.wait_queue(exchange, rung_seconds)
    queue = Queue(
        name,
        {
            "x-queue-type": "quorum",
            "x-message-ttl": rung_seconds * 1000,  # each message has less; this ends the wait of foreign ones
            "x-dead-letter-exchange": names.return_exchange(exchange),
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": NEVER,
        },
    )
    # A fanout exchange before it, so that the key is free to name the queue that the message returns to.
    return Plan(
        exchanges=(Exchange(names.astray_exchange(exchange), "topic"), _return(exchange), Exchange(name, "fanout")),
        queues=(queue,),
        bindings=(Binding(name, name, ""),),
    )


def _return(exchange: str) -> Exchange:
    # What cannot return would otherwise stay at the head of its rung and hold up what can (measured: 5 s for 40).
    alternate = {"alternate-exchange": names.astray_exchange(exchange)}
    return Exchange(names.return_exchange(exchange), "direct", alternate)
