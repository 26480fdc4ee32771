"""A cloud that is always busy: an endless, seeded, consistent stream of events of all five categories.

Tenants log in, deploy, stop and destroy; each resource follows its state machine and is in one operation at a time;
many operations run at once, so their events interleave.  The events are made by the sources of ``bus_amqp.source``.
Pure: no clock but its own, which runs fast (hours of usage in seconds of demonstration), no bus.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from uuid import UUID

from bus_amqp.cli.demo.catalogue import ALERTS, CLUSTERS, OPERATIONS, Operation
from bus_amqp.cli.demo.speakers import Speakers
from bus_amqp.errors import TransitionConflictError
from bus_amqp.event import Event
from bus_amqp.source.actor import Actor
from bus_amqp.source.job import AsyncJob
from bus_amqp.source.stateful_resource import StatefulResource
from bus_amqp.source.usage_details import UsageFacts

START = datetime(2026, 1, 1, tzinfo=UTC)
_ACCOUNTS = ("acme", "bluebird", "cumulus", "delta-labs", "everest", "fjord", "granite", "harbour")
_ZONES = ("zone-1", "zone-2")
_OPERATIONS_AT_ONCE = 24
_FAILURES = 0.06
_CONFLICTS = 0.01  # of operations: somebody else has changed the state meanwhile
_LOGINS = 0.04  # of what is begun
_NOTICES = 0.05
_MEASUREMENTS = 0.25
_USUAL_SHARE, _DRIFT = 0.6, 0.15  # of what is measured, and by how much it changes until it is measured again
_SECONDS_PER_MOMENT = 30.0  # on the cloud's own clock, on average
_TO_BE_CONTINUED = frozenset((one.resource, one.state) for one in OPERATIONS if not one.is_new)
_ENDED = object()


class OperationError(Exception):
    """What a tenant has asked for could not be done."""


@dataclass(eq=False, slots=True)
class Resource:
    """One VM, volume, network or snapshot."""

    kind: str
    uuid: str
    name: str
    account: str
    zone: str
    state: str | None

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Cloud:
    """The stream's state.  The same seed gives the same stream, but for the ids and times of the events.

    When things happen on the cloud's own clock, for those who charge for it, is ``usedAt`` in ``details.more``.
    """

    seed: int = 1
    now: datetime = START
    _random: random.Random = field(init=False)
    _speakers: Speakers = field(init=False)
    _idle: dict[tuple[str, str | None], list[Resource]] = field(default_factory=dict)
    _shares: dict[tuple[str, int], float] = field(default_factory=dict)  # by cluster and watch
    _noticed: set[tuple[str, str]] = field(default_factory=set)
    _jobs: int = 0
    _names: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._speakers = Speakers(lambda: self.now, self._describe)

    def events(self) -> Iterator[Event]:
        """Yield events for ever."""
        return chain.from_iterable(self.moments())

    def moments(self) -> Iterator[list[Event]]:
        """Yield, for ever, the events of one moment: a change of state is told before and after it is stored."""
        # Each with a context of its own, as a task has: an action is the cause of what is said inside of it alone.
        running: list[tuple[Context, Iterator[object]]] = []
        while True:
            if len(running) < _OPERATIONS_AT_ONCE:
                running.append((Context(), self._begin()))
            chosen = self._random.randrange(len(running))
            context, steps = running[chosen]
            self.now += timedelta(seconds=self._random.expovariate(1 / _SECONDS_PER_MOMENT))
            if context.run(next, steps, _ENDED) is _ENDED:
                running.pop(chosen)
            if said := self._speakers.take():
                yield said

    def _begin(self) -> Iterator[None]:
        dice = self._random.random()
        for share, steps in ((_LOGINS, self._login), (_NOTICES, self._notice), (_MEASUREMENTS, self._measure)):
            if dice < share:
                return steps()
            dice -= share
        # New resources are always possible, so the choice is never empty.
        possible = [one for one in OPERATIONS if one.is_new or self._idle.get((one.resource, one.state))]
        (operation,) = self._random.choices(possible, [one.weight for one in possible])
        resource = self._new(operation) if operation.is_new else self._take(operation)
        return self._operate(operation, resource) if operation.command else self._happen(operation, resource)

    def _new(self, operation: Operation) -> Resource:
        self._names += 1
        # A few tenants are much larger than the rest, as everywhere.
        (account,) = self._random.choices(_ACCOUNTS, [1 / (rank + 1) for rank in range(len(_ACCOUNTS))])
        name = f"{operation.resource.lower()}-{self._names}"
        zone = self._random.choice(_ZONES)
        return Resource(operation.resource, self._uuid(), name, account, zone, operation.state)

    def _take(self, operation: Operation) -> Resource:
        idle = self._idle[operation.resource, operation.state]
        return idle.pop(self._random.randrange(len(idle)))

    def _give_back(self, resource: Resource) -> None:
        if (place := (resource.kind, resource.state)) in _TO_BE_CONTINUED:
            self._idle.setdefault(place, []).append(resource)

    def _operate(self, operation: Operation, resource: Resource) -> Iterator[None]:
        """A tenant's asynchronous command, from the submitted job to its outcome."""
        self._jobs += 1
        user, about = self._uuid(), (resource.kind, resource.uuid)
        actor = Actor(user=user, account=resource.account)
        text = f"{operation.action} of {resource}"
        job = AsyncJob(
            f"job-{self._jobs}", operation.command, *about, user, resource.account, command_event_type=operation.action
        )
        # The key is nobody's business: the source leaves it out.
        self._speakers.jobs.submitted(job, parameters={"id": resource.uuid, "sessionkey": self._uuid()})
        yield
        actions, of_job = self._speakers.actions, job.job_id
        begun = actions.announce(operation.action, resource=about, description=text, actor=actor, correlation_id=of_job)
        yield
        self._speakers.jobs.progress(job, percent=10)
        yield
        try:
            with actions.performing(
                operation.action, resource=about, description=text, actor=actor,
                start_event_id=begun, correlation_id=of_job,
            ):  # fmt: skip
                yield
                yield from self._steps(operation, resource)
        except (OperationError, TransitionConflictError) as exc:
            self._speakers.jobs.failed(job, exc)
        else:
            self._speakers.jobs.completed(job, result={"id": resource.uuid, "state": resource.state})
        self._give_back(resource)
        yield

    def _steps(self, operation: Operation, resource: Resource) -> Iterator[None]:
        has_failed = operation.can_fail and self._random.random() < _FAILURES
        has_lost = not operation.is_new and self._random.random() < _CONFLICTS
        for step in (*operation.steps[:-1], "OperationFailed") if has_failed else operation.steps:
            self._transit(resource, step, is_stored=not has_lost)
            yield
        if has_failed:
            raise OperationError(f"no host had the capacity for {operation.action} of {resource}")

    def _transit(self, resource: Resource, step: str, *, is_stored: bool = True) -> None:
        machine = self._speakers.machines[resource.kind]
        resource.state = machine.transit(step, resource.state, resource, save=lambda old, new: is_stored)

    def _describe(self, resource: object) -> StatefulResource:
        assert isinstance(resource, Resource)  # we have given it to the machine ourselves
        facts = UsageFacts(
            account=resource.account,
            zone=resource.zone,
            resource_name=resource.name,
            more={"usedAt": self.now.isoformat()},
        )
        return StatefulResource(resource.uuid, facts)

    def _happen(self, operation: Operation, resource: Resource) -> Iterator[None]:
        """Something nobody asked for: no job and no action, but an alert."""
        for step in operation.steps:
            self._transit(resource, step)
            yield
        about = (resource.kind, resource.uuid)
        self._speakers.alerts.raise_alert(
            operation.action, f"{resource} stopped unexpectedly", resource=about, account=resource.account
        )
        self._give_back(resource)
        yield

    def _login(self) -> Iterator[None]:
        account, user = self._random.choice(_ACCOUNTS), self._uuid()
        for action, told in (("USER.LOGIN", "logged in"), ("USER.LOGOUT", "logged out")):
            actor, text = Actor(user=user, account=account), f"user of {account} has {told}"
            with self._speakers.actions.performing(
                action, resource=("User", user), description=text, actor=actor, begins_with=None
            ):
                pass
            yield

    def _notice(self) -> Iterator[None]:
        """Somebody notices that something is wrong with a host, or that it is right again."""
        alert_type, subject = self._random.choice(ALERTS)
        host = f"host-{self._random.randint(1, 9)}"
        if (alert_type, host) in self._noticed and self._random.random() < 0.5:
            self._noticed.remove((alert_type, host))
            self._speakers.alerts.clear(alert_type, f"{subject}, name: {host}", host=host)
        else:
            self._noticed.add((alert_type, host))
            self._speakers.alerts.raise_alert(alert_type, f"{subject}, name: {host}", host=host)
        yield

    def _measure(self) -> Iterator[None]:
        """Measure a cluster; the policies say what is worth an alert."""
        cluster = self._random.choice(CLUSTERS)
        for number, watch in enumerate(self._speakers.watches):
            before = self._shares.get((cluster, number), _USUAL_SHARE)
            # What is full is emptied by somebody, sooner or later.
            share = before + (_USUAL_SHARE - before) / 8 + self._random.gauss(0, _DRIFT)
            self._shares[cluster, number] = share = min(1.0, max(0.1, share))
            watch.observe(share, resource=cluster)
        yield

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))
