"""``Speakers``: the sources of ``bus_amqp.source`` as a management server has them, and what they have said.

Whoever works in the cloud tells what it does and changes states; usage follows from the states, so nobody tells that.
Pure: what is said is kept until somebody takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bus_amqp.cause import caused_by, current_event
from bus_amqp.cli.demo.catalogue import POLICIES
from bus_amqp.event import Event, EventCategory
from bus_amqp.source.action import ActionEvents
from bus_amqp.source.alert import AlertGenerator
from bus_amqp.source.job import AsyncJobEvents
from bus_amqp.source.machines.catalogue import MACHINES
from bus_amqp.source.state import (
    NetworkStateListener,
    SnapshotStateListener,
    UserVmStateListener,
    VolumeStateListener,
)
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_from_state import UsageFromState

SOURCE = "management-server"
_LISTENERS = (UserVmStateListener, VolumeStateListener, NetworkStateListener, SnapshotStateListener)


class Speakers:
    """As the publisher of its own sources it hears all of them.

    ``now``: the cloud's clock; ``describe``: makes of a resource of the cloud what a state event tells of it.
    """

    def __init__(self, now: Callable[[], datetime], describe: Callable[[object], StatefulResource]) -> None:
        self._said: list[Event] = []
        self.actions = ActionEvents(self, source=SOURCE, clock=lambda: now().timestamp())
        self.jobs = AsyncJobEvents(self, source=SOURCE)
        self.alerts = AlertGenerator(self, source=SOURCE, clock=lambda: now().timestamp(), now=now)
        self.watches = [self.alerts.watch(policy) for policy in POLICIES]
        self.machines = {
            listener.resource_type: MACHINES[listener.resource_type].with_listeners(
                listener(self, source=SOURCE, describe=describe)
            )
            for listener in _LISTENERS
        }
        self._usage = UsageFromState(self, source=SOURCE)

    def publish(self, event: Event, /) -> None:
        """Keep an event, with what it was caused by, as a bus would fill that in."""
        if (cause := current_event.get()) is not None:
            event = caused_by(event, cause)
        self._said.append(event)
        if event.event_category == EventCategory.RESOURCE_STATE:
            self._usage.on_event(event)

    def take(self) -> list[Event]:
        """Return what was said since the last time."""
        said, self._said = self._said, []
        return said
