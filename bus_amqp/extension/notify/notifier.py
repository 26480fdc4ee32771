"""``Notifier``: the subscriber of one rule and one channel.

It runs on its subscription's one worker thread.  Returning acknowledges: the event does not concern the rule, was sent
already, was held back, or the channel has taken the message.  A channel that does not take it raises, and the bus tries
again by the rule's policy, for this subscription alone.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from bus_amqp import Discard, Event
from bus_amqp.extension.notify.channel import Channel
from bus_amqp.extension.notify.rule import Rule
from bus_amqp.extension.notify.throttle import Throttle

REMEMBERED = 10_000  # events that a second delivery is recognised of
_log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Notifier:
    """Sends the rule's messages to one of its channels; owns the throttle and the memory of what is done."""

    def __init__(
        self,
        rule: Rule,
        channel: Channel,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.rule = rule
        self.channel = channel
        self._now = now
        self._throttle = Throttle(rule.limit, clock)
        self._done: OrderedDict[UUID, None] = OrderedDict()  # the worker's own

    def __repr__(self) -> str:
        return f"<Notifier of rule {self.rule.name} to {self.channel}, {self._throttle}>"

    @property
    def held_back(self) -> int:
        """How many messages were held back and not told of in a later one."""
        return self._throttle.held_back_now()

    def on_event(self, event: Event, /) -> None:
        """Send the message if the rule wants one.  Raises ``NotSentError``, ``NotWrittenError``, ``Discard``."""
        if event.event_id in self._done or not self.rule.condition.holds(event):
            return
        self._refuse_if_old(event)
        key = self.rule.key_of(event)
        if not self._throttle.has_room(key):
            self._hold_back(event, key)
            return
        held_back = self._throttle.held_back(key)
        self.channel.send(self.rule.message_for(event, held_back))
        # Only now: a message that was not sent uses up no room, and what it told of was not told.
        self._throttle.count_sent(key, held_back)
        self._remember(event)
        _log.info("rule %s: event %s was sent to %s", self.rule.name, event.event_id, self.channel.name)

    def _refuse_if_old(self, event: Event) -> None:
        limit_seconds = self.rule.max_age_seconds
        if limit_seconds is None:
            return
        age_seconds = (self._now() - event.event_time).total_seconds()
        if age_seconds > limit_seconds:
            raise Discard(f"rule {self.rule.name}: {age_seconds:.0f} s old, and {limit_seconds:g} s are the limit")

    def _hold_back(self, event: Event, key: str) -> None:
        self._remember(event)
        if self._throttle.count_held_back(key) == 1:  # the others are told with the next message
            _log.info("rule %s: holding back messages to %s: %s", self.rule.name, self.channel.name, self.rule.limit)

    def _remember(self, event: Event) -> None:
        self._done[event.event_id] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
