"""The workers of one subscription: threads for plain subscribers, tasks for coroutine ones.

They run user code and never touch the network: what is handled gathers in the ``Settler`` until the consumer
thread takes it, copies for the dead-letter queue go through the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Protocol
from uuid import UUID

from bus_amqp.consume.dead_letter import DeadLetter
from bus_amqp.consume.dispatcher import Batch, Dispatcher, Kept
from bus_amqp.consume.handler_watch import HandlerWatch, Slot
from bus_amqp.consume.handling import Handling, HandlingCounts, Outcome, current_subscription
from bus_amqp.consume.second_chance import SecondChance
from bus_amqp.event import Event
from bus_amqp.ioloop.service import AsyncLoop, start_thread
from bus_amqp.wire.message import Delivery

logger = logging.getLogger("bus_amqp.consume")

FAULT = "a worker failed outside of its subscriber; this is a fault of bus_amqp, and its event is delivered again"
BATCH_EVENTS = 64  # for a single worker: one lock and one acknowledgement for so many quick handlers
SETTLE_SECONDS = 0.005  # but what is done is not kept back: a crash would have it handled again


class Settler(Protocol):
    """Takes outcomes to the threads that can act on them.  Called on workers; never waits."""

    def accept(self, session: int, delivery: Delivery) -> None:
        """Acknowledge a handled delivery of a session, some time soon."""

    def was_handled(self, delivery: Delivery) -> bool:
        """Return whether this redelivered event succeeded before, and needs only to be acknowledged."""

    def settle_soon(self) -> None:
        """Do it now."""

    def dead_letter(self, session: int, delivery: Delivery, letter: DeadLetter) -> None:
        """Copy a delivery to the dead-letter queue, and acknowledge it once the copy is confirmed."""

    def retry(self, session: int, delivery: Delivery, chance: SecondChance) -> None:
        """Copy a delivery to the rung where it waits, and acknowledge it once the copy is confirmed."""

    def keep(self, delivery: Delivery, chance: SecondChance) -> float:
        """Note the failure in a delivery that stays in hand; return the seconds until its next attempt."""

    def give_back(self, session: int, error: Exception) -> None:
        """End a session: what of it is not settled is delivered again."""


def settle(
    settler: Settler, batch: Batch, delivery: Delivery, outcome: Outcome, *, keeps_order: bool
) -> tuple[Kept, ...]:
    """Take one outcome to the settler; return the delivery if it is to stay in hand."""
    if outcome is None:
        settler.accept(batch.session, delivery)
    elif isinstance(outcome, DeadLetter):
        settler.dead_letter(batch.session, delivery, outcome)
    elif keeps_order:
        return ((delivery, settler.keep(delivery, outcome)),)
    else:
        settler.retry(batch.session, delivery, outcome)
    return ()


class ThreadWorkers:
    """``count`` threads that call a plain subscriber."""

    def __init__(
        self,
        subscription_id: UUID,
        count: int,
        dispatcher: Dispatcher,
        handling: Handling,
        settler: Settler,
        watch: HandlerWatch,
    ) -> None:
        self._subscription_id = subscription_id
        self._count = count
        self._dispatcher = dispatcher
        self._handlings = [handling.twin() for _ in range(count)]
        self._settler = settler
        self._watch = watch
        self._threads: list[threading.Thread] = []

    def __repr__(self) -> str:
        return f"<ThreadWorkers {sum(thread.is_alive() for thread in self._threads)} alive of {self._count}>"

    def start(self) -> None:
        """Start the threads."""
        for number, handling in enumerate(self._handlings):
            name = f"bus-worker-{str(self._subscription_id)[-8:]}-{number}"
            self._threads.append(start_thread(name, partial(self._run, handling, self._watch.slot())))

    @property
    def counts(self) -> list[HandlingCounts]:
        """The counts of each worker."""
        return [handling.counts for handling in self._handlings]

    def join(self, deadline: float) -> bool:
        """Wait until the threads have ended (the caller's own excepted); ``deadline`` on the monotonic clock."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, handling: Handling, slot: Slot) -> None:
        current_subscription.set(self._subscription_id)
        limit = BATCH_EVENTS if self._count == 1 else 1  # a batch in one hand is one that no other can take
        while (batch := self._dispatcher.take(limit)) is not None:
            kept: list[Kept] = []
            try:
                self._work_through(batch, handling, slot, kept)
            except Exception as exc:  # the top of a thread: it has to live on, or its subscription stands still
                logger.exception(FAULT)
                self._settler.give_back(batch.session, exc)
            finally:
                slot.event = None
                self._dispatcher.done(batch, kept)

    def _work_through(self, batch: Batch, handling: Handling, slot: Slot, kept: list[Kept]) -> None:
        is_one_of_many = self._count > 1
        settled_at = time.monotonic()
        for delivery in batch.deliveries:
            if not self._dispatcher.may_start(batch):
                break  # not started: the broker gives it to somebody, in order
            if delivery.redelivered and self._settler.was_handled(delivery):
                handling.counts.spared += 1
                self._settler.accept(batch.session, delivery)
                continue
            event = handling.admit(delivery)
            if is_one_of_many and isinstance(event, Event) and not self._dispatcher.may_start(batch):
                break  # ended while it was decoded, from inside another worker's callback: nobody waits for this one
            if isinstance(event, Event):
                slot.event = event
                outcome = handling.call(event, delivery)
            else:
                outcome = event
            if outcome is None:  # nearly always
                self._settler.accept(batch.session, delivery)
            else:
                kept += settle(self._settler, batch, delivery, outcome, keeps_order=handling.retry.keep_order)
            now = time.monotonic()
            if now - settled_at > SETTLE_SECONDS:
                self._settler.settle_soon()
                settled_at = now
        self._settler.settle_soon()


class AsyncWorkers:
    """``count`` tasks on the bus's event loop that await a coroutine subscriber."""

    def __init__(
        self,
        subscription_id: UUID,
        count: int,
        dispatcher: Dispatcher,
        handling: Handling,
        settler: Settler,
        async_loop: AsyncLoop,
        watch: HandlerWatch,
    ) -> None:
        self._subscription_id = subscription_id
        self._count = count
        self._dispatcher = dispatcher
        self._handling = handling
        self._settler = settler
        self._async_loop = async_loop
        self._watch = watch
        self._ready = asyncio.Event()  # used on the loop's thread only
        self._running = count  # loop thread only
        self._is_started = False  # written by start(), before which there is nothing to join
        self._ended = threading.Event()

    def __repr__(self) -> str:
        return f"<AsyncWorkers {self._running} running of {self._count}>"

    def start(self) -> None:
        """Start the tasks."""
        loop = self._async_loop.loop()
        self._is_started = True

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed, and its tasks with it
                loop.call_soon_threadsafe(self._ready.set)

        self._dispatcher.call_when_ready(wake)
        for _ in range(self._count):
            self._async_loop.spawn(self._run(self._watch.slot()))

    @property
    def counts(self) -> list[HandlingCounts]:
        """The counts: one for all tasks, which share a thread."""
        return [self._handling.counts]

    def join(self, deadline: float) -> bool:
        """Wait until the tasks have ended (not from the loop's own thread, which has to run them)."""
        if self._async_loop.is_current or not self._is_started:
            return True
        return self._ended.wait(max(0.0, deadline - time.monotonic()))

    async def _run(self, slot: Slot) -> None:
        current_subscription.set(self._subscription_id)
        try:
            while not self._dispatcher.is_closed:
                try:
                    await self._take_one(slot)
                except asyncio.CancelledError:  # by a handler that cancels all tasks, this one while it waited
                    if not self._async_loop.forgive_cancelling():
                        raise
        finally:
            self._running -= 1
            if not self._running:
                self._ended.set()

    async def _take_one(self, slot: Slot) -> None:
        batch = self._dispatcher.take_now(1)
        if batch is None:
            self._ready.clear()
            batch = self._dispatcher.take_now(1)  # again: it may have come before the clear
        if batch is None:
            if not self._dispatcher.is_closed:
                await self._ready.wait()
            return
        kept: tuple[Kept, ...] = ()
        try:
            kept = await self._work_through(batch, slot)
        except Exception as exc:  # the top of a task: as in a worker's thread
            logger.exception(FAULT)
            self._settler.give_back(batch.session, exc)
        finally:
            slot.event = None
            self._dispatcher.done(batch, kept)
        for _, delay_seconds in kept:
            asyncio.get_running_loop().call_later(delay_seconds, self._ready.set)
        # A handler that never suspends would keep the loop from all other coroutine subscribers.
        await asyncio.sleep(0)

    async def _work_through(self, batch: Batch, slot: Slot) -> tuple[Kept, ...]:
        [delivery] = batch.deliveries
        if not self._dispatcher.may_start(batch):
            return ()
        if delivery.redelivered and self._settler.was_handled(delivery):
            self._handling.counts.spared += 1
            self._settler.accept(batch.session, delivery)
            self._settler.settle_soon()
            return ()
        event = self._handling.admit(delivery)
        if isinstance(event, Event) and not self._dispatcher.may_start(batch):
            return ()  # ended by another thread's callback while it was decoded
        if isinstance(event, Event):
            slot.event = event
            try:
                outcome = await self._handling.call_async(event, delivery)
            except asyncio.CancelledError as exc:
                if not self._async_loop.forgive_cancelling():
                    raise  # the bus is closing over a handler that would not end: the event goes back to its queue
                outcome = self._handling.cancelled(event, delivery, exc)
        else:
            outcome = event
        kept = settle(self._settler, batch, delivery, outcome, keeps_order=self._handling.retry.keep_order)
        self._settler.settle_soon()
        return kept


Workers = ThreadWorkers | AsyncWorkers
