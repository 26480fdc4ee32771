"""``SubscriptionBuilder``: from what a caller declared to the parts that carry it out.  Starts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from uuid import UUID, uuid4

from bus_amqp.backoff import Backoff
from bus_amqp.consume.audit import Audit
from bus_amqp.consume.caution import ORDERED, SHARED, Caution, Suspicion
from bus_amqp.consume.consumption import Consumption, Letter
from bus_amqp.consume.copying import Postpone, Republish
from bus_amqp.consume.dead_letter import NOWHERE, DeadLetterAddress
from bus_amqp.consume.dispatcher import Dispatcher
from bus_amqp.consume.foreign_decoding import ForeignDecoding, lanes_of_foreign
from bus_amqp.consume.handler_watch import HandlerWatch
from bus_amqp.consume.handling import Handling
from bus_amqp.consume.lanes import Lanes, resource_of
from bus_amqp.consume.patient_lanes import PatientLanes
from bus_amqp.consume.typed_handler import typed_handler
from bus_amqp.consume.workers import AsyncWorkers, ThreadWorkers, Workers
from bus_amqp.engine.options import MAX_PREFETCH, agreed_on, retry_of
from bus_amqp.engine.subscription import Subscription
from bus_amqp.ioloop.service import AsyncLoop
from bus_amqp.settings import Settings
from bus_amqp.subscriber import Declared, SubscriptionOptions, handler_of, is_coroutine_handler
from bus_amqp.topic import EventTopic
from bus_amqp.topology import names
from bus_amqp.topology.plan import Plan, exclusive_plan, subscription_plan, subscription_queue
from bus_amqp.wire.codec import decode
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
        options, exchange, foreign = declared.options, self._settings.exchange, declared.foreign
        handler = handler_of(declared.subscriber)
        subscription_id = uuid4()  # not a UUIDv7: its tail names worker threads and must differ early
        plan = self._plan(declared, subscription_id)
        name = getattr(handler, "__qualname__", type(handler).__qualname__)
        retry = retry_of(options, foreign)
        prefetch = options.prefetch or min(
            MAX_PREFETCH, max(self._settings.consumer.prefetch, PREFETCH_PER_WORKER * options.workers)
        )
        returning = names.return_exchange(exchange)
        handling = Handling(
            (EventTopic(),) if foreign is not None else declared.topics,  # whatever its decoder makes is wanted
            typed_handler(handler),
            name,
            retry=retry,
            return_exchange=returning,
            read=decode if foreign is None else ForeignDecoding(foreign.decode, return_exchange=returning),
            has_dead_letters=not plan.is_exclusive,
        )
        of_key = resource_of if foreign is None else lanes_of_foreign(foreign.lane)
        lanes: Lanes = Lanes(is_keyed=options.workers > 1, return_exchange=returning, lane_of_key=of_key)
        if retry.keep_order:
            lanes = PatientLanes(prefetch=prefetch, clock=time.monotonic, return_exchange=returning, lane_of_key=of_key)
        dispatcher = Dispatcher(lanes=lanes)
        watch = HandlerWatch(self._settings.consumer.handler_timeout_seconds)
        consumption = Consumption(
            subscription_id,
            queue=plan.queues[-1].name,
            plan=plan,
            prefetch=prefetch,
            dispatcher=dispatcher,
            address=DeadLetterAddress(
                NOWHERE if plan.is_exclusive else names.dead_exchange(exchange),
                names.dead_key(options.group),
                plan.queues[-1].name,
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
        return Subscription(declared.subscriber, agreed_on(declared), options, consumption, workers)

    def _plan(self, declared: Declared, subscription_id: UUID) -> Plan:
        """Return what the subscription needs on the broker; its own queue is the last one."""
        options, exchange, foreign = declared.options, self._settings.exchange, declared.foreign
        if foreign is not None and foreign.exclusive:
            return exclusive_plan(exchange, subscription_id, foreign.binding_keys, bound_to=foreign.exchange)
        queue = subscription_queue(exchange, options.group, subscription_id, ordered=options.ordered)
        if foreign is not None:
            keys: Iterable[str] = foreign.binding_keys
            return subscription_plan(exchange, options.group, queue, keys, bound_to=foreign.exchange)
        return subscription_plan(exchange, options.group, queue, map(binding_key, declared.topics))


def _suspicion(options: SubscriptionOptions) -> Suspicion | None:
    if options.group is None:
        return None  # a classic queue counts no deliveries
    return ORDERED if options.ordered else SHARED
