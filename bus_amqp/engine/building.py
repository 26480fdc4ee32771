"""``SubscriptionBuilder``: from what a caller declared to the parts that carry it out.  Starts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

from bus_amqp.backoff import Backoff
from bus_amqp.consume.audit import Audit
from bus_amqp.consume.caution import ORDERED, SHARED, Caution, Suspicion
from bus_amqp.consume.consumption import Consumption, Letter
from bus_amqp.consume.copying import Postpone, Republish
from bus_amqp.consume.dead_letter import DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.handler_watch import HandlerWatch
from bus_amqp.consume.handling import Handling
from bus_amqp.consume.lanes import Lanes
from bus_amqp.consume.patient_lanes import PatientLanes
from bus_amqp.consume.workers import AsyncWorkers, ThreadWorkers, Workers
from bus_amqp.engine.options import MAX_PREFETCH, retry_of
from bus_amqp.engine.subscription import Subscription
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.settings import Settings
from bus_amqp.subscriber import Declared, SubscriptionOptions, handler_of, is_coroutine_handler
from bus_amqp.topology import names
from bus_amqp.topology.plan import subscription_plan, subscription_queue
from bus_amqp.wire.routing_key import binding_key

PREFETCH_PER_WORKER = 64


class SubscriptionBuilder:
    """Knows what all subscriptions of a bus share."""

    def __init__(
        self,
        settings: Settings,
        async_loop: AsyncLoop,
        *,
        post: Callable[[Letter], None],
        wake: Callable[[], None],
        republish: Republish,
        postpone: Postpone,
    ) -> None:
        self._settings = settings
        self._async_loop = async_loop
        self._post = post
        self._wake = wake
        self._republish = republish
        self._postpone = postpone

    def build(self, declared: Declared) -> Subscription:
        """Return a subscription that is registered nowhere and has no thread yet."""
        options, exchange = declared.options, self._settings.exchange
        handler = handler_of(declared.subscriber)
        subscription_id = uuid4()  # not a UUIDv7: its tail names worker threads and must differ early
        queue = subscription_queue(exchange, options.group, subscription_id, ordered=options.ordered)
        name = getattr(handler, "__qualname__", type(handler).__qualname__)
        retry = retry_of(options)
        prefetch = options.prefetch or min(
            MAX_PREFETCH, max(self._settings.consumer.prefetch, PREFETCH_PER_WORKER * options.workers)
        )
        returning = names.return_exchange(exchange)
        handling = Handling(declared.topics, handler, name, retry=retry, return_exchange=returning)
        lanes: Lanes = Lanes(is_keyed=options.workers > 1, return_exchange=returning)
        if retry.keep_order:
            lanes = PatientLanes(prefetch=prefetch, clock=time.monotonic, return_exchange=returning)
        dispatcher = Dispatcher(lanes=lanes)
        watch = HandlerWatch(self._settings.consumer.handler_timeout_seconds)
        consumption = Consumption(
            subscription_id,
            queue=queue.name,
            plan=subscription_plan(exchange, options.group, queue, map(binding_key, declared.topics)),
            prefetch=prefetch,
            dispatcher=dispatcher,
            address=DeadLetterAddress(
                names.dead_exchange(exchange),
                names.dead_key(options.group),
                queue.name,
                subscriber=name,
                return_exchange=returning,
            ),
            post=self._post,
            wake=self._wake,
            backoff=Backoff(ceiling_seconds=self._settings.connection.reconnect_pause_seconds),
            republish=self._republish,
            postpone=self._postpone,
            audit=Audit(
                has_standby=options.ordered,
                backlog_warning=self._settings.consumer.backlog_warning,
            ),
            caution=Caution(_suspicion(options)),
            watch=watch,
        )
        workers: Workers
        if is_coroutine_handler(handler):
            workers = AsyncWorkers(
                subscription_id, options.workers, dispatcher, handling, consumption, self._async_loop, watch
            )
        else:
            workers = ThreadWorkers(subscription_id, options.workers, dispatcher, handling, consumption, watch)
        return Subscription(declared.subscriber, frozenset(declared.topics), options, consumption, workers)


def _suspicion(options: SubscriptionOptions) -> Suspicion | None:
    if options.group is None:
        return None  # a classic queue counts no deliveries
    return ORDERED if options.ordered else SHARED
