"""``UsageFromState``: a subscriber that derives usage from changes of state, so that nobody has to publish usage.

    bus-amqp run bus_amqp.source.usage_from_state:subscribers

In Apache CloudStack the code for usage is spread over all orchestration, and whatever path forgets it is not billed.
Here the state machines speak once and billing follows.  The ids of what it publishes are derived from the cause, so an
event that is delivered twice gives the same usage event twice, which receivers can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID, uuid5

from pydantic import ValidationError

from bus_amqp.cause import correlation_of
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event, EventCategory
from bus_amqp.retry import RetryPolicy
from bus_amqp.source.details import does_not_fit
from bus_amqp.source.emitter import EventPublisher, IsEnabled
from bus_amqp.source.state_details import ResourceStateDetails, StatePhase
from bus_amqp.source.usage import UsageEvents
from bus_amqp.source.usage_details import UsageFacts
from bus_amqp.source.usage_meter import DEFAULT_RULES, UsageRule, checked_rules, usage_types
from bus_amqp.subscriber import Subscribers
from bus_amqp.topic import EventTopic

GROUP = "usage-from-state"
DEFAULT_WORKERS = 8  # each waits for the broker's confirm of what it has published
_NAMESPACE = UUID("6c0a3c3e-7f0c-5f6c-9a54-2f5b0d1f7a11")  # of ours alone: never to be changed, ids follow from it
_FACTS = tuple(name for name in UsageFacts.model_fields if name != "version")

Facts = Callable[[Event], UsageFacts | None]


class UsageFromState:
    """Takes ResourceStateEvents, publishes UsageEvents; returns once the bus has confirmed them.

    A publisher whose ``publish`` returns nothing with a ``result`` is believed as it is.
    ``facts``: asked for what a state event does not tell (offering, size), on a worker's thread, so it may look into a
    database; what it gives goes before what the event tells.  None from it: nobody pays for this resource.
    ``rules``: ``(*DEFAULT_RULES, Meter(...))`` adds one.  ``only_source``: whose changes are billed, where another
    source on the same exchange (a bridged CloudStack) publishes usage of its own.

    Raises ``InvalidArgumentError`` for an event that is no change of state, or of which nobody knows whose it is: the
    subscription below dead-letters it at once.  Whatever else fails is tried again.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        source: str = GROUP,
        facts: Facts | None = None,
        rules: Iterable[UsageRule] = DEFAULT_RULES,
        only_source: str | None = None,
        is_enabled: IsEnabled = True,
        confirm_timeout_seconds: float = 30,
    ) -> None:
        self._usage = UsageEvents(publisher, source=source, is_enabled=is_enabled)
        self._facts = facts
        self._rules = checked_rules(rules)
        self._only_source = only_source
        self._confirm_timeout_seconds = confirm_timeout_seconds

    def __repr__(self) -> str:
        return f"<UsageFromState {len(self._rules)} rules>"

    @property
    def is_enabled(self) -> IsEnabled:
        """The switch.  What comes while it is off is acknowledged and not billed."""
        return self._usage.is_enabled

    @is_enabled.setter
    def is_enabled(self, is_enabled: IsEnabled) -> None:
        self._usage.is_enabled = is_enabled

    @property
    def topics(self) -> tuple[EventTopic, ...]:
        """What it wants to hear: changes of the resources for which there is a rule."""
        kinds = dict.fromkeys(rule.resource_type for rule in self._rules)
        return tuple(
            EventTopic(event_category=EventCategory.RESOURCE_STATE, resource_type=kind, event_source=self._only_source)
            for kind in kinds
        )

    def on_event(self, event: Event, /) -> None:
        """Publish the usage that the event means, and wait until it is confirmed."""
        try:
            change = ResourceStateDetails.from_wire(event.details)
        except ValidationError as exc:
            raise does_not_fit(exc) from exc
        if change.phase is not StatePhase.POST:
            return
        told = usage_types(self._rules, event.resource_type, change.event, change.old_state, change.new_state)
        if not told or (facts := self._facts_of(event, change)) is None:
            return
        receipts = [self._publish(usage_type, event, dict(facts)) for usage_type in told]
        for receipt in receipts:
            # Acknowledged before it is confirmed, the usage would be lost with this process.
            if (result := getattr(receipt, "result", None)) is not None:
                result(self._confirm_timeout_seconds)

    def _facts_of(self, event: Event, change: ResourceStateDetails) -> dict[str, object] | None:
        facts: dict[str, object] = {name: fact for name in _FACTS if (fact := getattr(change, name)) is not None}
        if self._facts is not None:
            known = self._facts(event)
            if known is None:
                return None
            facts |= {name: fact for name in _FACTS if (fact := getattr(known, name)) is not None}
        if not facts.get("account"):
            raise InvalidArgumentError(
                f"account: nobody knows who pays for {event.resource_type} {event.resource_uuid}: have its state "
                "listener say so, or give UsageFromState a function that knows the facts"
            )
        return facts

    def _publish(self, usage_type: str, event: Event, facts: dict[str, object]) -> object | None:
        return self._usage.publish(
            usage_type,
            resource_type=event.resource_type,
            resource_uuid=event.resource_uuid,
            event_time=event.event_time,
            event_id=uuid5(_NAMESPACE, f"{event.event_id} {usage_type}"),
            causation_id=event.event_id,
            correlation_id=correlation_of(event),
            **facts,  # type: ignore[arg-type]  # the fields of UsageFacts, account among them
        )


def usage_subscribers(
    publisher: EventPublisher,
    *,
    facts: Facts | None = None,
    rules: Iterable[UsageRule] = DEFAULT_RULES,
    only_source: str | None = None,
    group: str = GROUP,
    workers: int = DEFAULT_WORKERS,
) -> Subscribers:
    """Return the subscription of a ``UsageFromState``; for a function of your own that gives it ``facts``.

    Start as many processes as you like: the group shares the events.
    """
    usage = UsageFromState(publisher, facts=facts, rules=rules, only_source=only_source)
    subscribers = Subscribers()
    retry = RetryPolicy(no_retry_on=(InvalidArgumentError,))  # the same event will be as wrong in ten minutes
    subscribers.on(usage.topics, group=group, workers=workers, retry=retry)(usage)
    return subscribers


def subscribers(bus: EventPublisher) -> Subscribers:
    """Derive usage from what the state events themselves tell: what ``bus-amqp run`` starts."""
    return usage_subscribers(bus)
