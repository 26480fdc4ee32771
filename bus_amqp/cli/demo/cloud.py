"""A cloud that is always busy: an endless, seeded, consistent stream of events of all five categories.

Tenants log in, deploy, stop and destroy; each resource follows its state machine and is in one operation at a time;
many operations run at once, so their events interleave.  Pure: no clock but its own, which runs fast (hours of usage
in seconds of demonstration), no bus.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bus_amqp.cli.demo.catalogue import ALERTS, FINAL_STATES, FIRST_STATE, MACHINES, OPERATIONS, Operation
from bus_amqp.event import Event, EventCategory

SOURCE = "management-server"
_ACCOUNTS = ("acme", "bluebird", "cumulus", "delta-labs", "everest", "fjord", "granite", "harbour")
_ZONES = ("zone-1", "zone-2")
_START = datetime(2026, 1, 1, tzinfo=UTC)
_OPERATIONS_AT_ONCE = 24
_FAILURES = 0.06
_LOGINS = 0.04  # of what is begun
_ALERTS = 0.03
_SECONDS_PER_EVENT = 20.0  # on the cloud's own clock, on average


@dataclass(eq=False, slots=True)
class Resource:
    """One VM, volume, network or snapshot."""

    kind: str
    uuid: str
    name: str
    account: str
    zone: str
    state: str


@dataclass(slots=True)
class Cloud:
    """The stream's state.  The same seed gives the same stream, but for the ids and times of the events."""

    seed: int = 1
    now: datetime = _START
    _random: random.Random = field(init=False)
    _idle: dict[tuple[str, str], list[Resource]] = field(default_factory=dict)
    _jobs: int = 0
    _names: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def events(self) -> Iterator[Event]:
        """Yield events for ever."""
        running: list[Iterator[Event]] = []
        while True:
            if len(running) < _OPERATIONS_AT_ONCE:
                running.append(self._begin())
            chosen = self._random.randrange(len(running))
            event = next(running[chosen], None)
            if event is None:
                running.pop(chosen)
                continue
            self.now += timedelta(seconds=self._random.expovariate(1 / _SECONDS_PER_EVENT))
            yield event

    def _begin(self) -> Iterator[Event]:
        dice = self._random.random()
        if dice < _LOGINS:
            return self._login()
        if dice < _LOGINS + _ALERTS:
            return self._alert(*self._random.choice(ALERTS))
        # New resources are always possible, so the choice is never empty.
        possible = [one for one in OPERATIONS if one.is_new or self._idle.get((one.resource, one.state))]
        (operation,) = self._random.choices(possible, [one.weight for one in possible])
        resource = self._new(operation.resource) if operation.is_new else self._take(operation)
        return self._operate(operation, resource) if operation.command else self._happen(operation, resource)

    def _new(self, kind: str) -> Resource:
        self._names += 1
        uuid = str(UUID(int=self._random.getrandbits(128), version=4))
        # A few tenants are much larger than the rest, as everywhere.
        (account,) = self._random.choices(_ACCOUNTS, [1 / (rank + 1) for rank in range(len(_ACCOUNTS))])
        name = f"{kind.lower()}-{self._names}"
        return Resource(kind, uuid, name, account, self._random.choice(_ZONES), FIRST_STATE[kind])

    def _take(self, operation: Operation) -> Resource:
        idle = self._idle[operation.resource, operation.state]
        return idle.pop(self._random.randrange(len(idle)))

    def _give_back(self, resource: Resource) -> None:
        # A destroyed VM can still be recovered or expunged; the final state of the others is the end of them.
        is_gone = resource.state in FINAL_STATES and (resource.kind, resource.state) != ("VirtualMachine", "Destroyed")
        if not is_gone:
            self._idle.setdefault((resource.kind, resource.state), []).append(resource)

    def _operate(self, operation: Operation, resource: Resource) -> Iterator[Event]:
        """A tenant's asynchronous command, from the submitted job to the completed one."""
        self._jobs += 1
        job = {"jobId": f"job-{self._jobs}", "command": operation.command, "account": resource.account}
        said = f"{operation.action} of {resource.name}"
        about = {"resource_type": resource.kind, "resource_uuid": resource.uuid, "correlation_id": job["jobId"]}
        yield self._event(EventCategory.ASYNC_JOB, "submit", job, **about)
        yield self._action(operation.action, "Scheduled", f"{said} scheduled", resource, **about)
        yield self._event(EventCategory.ASYNC_JOB, "update", {**job, "status": "IN_PROGRESS"}, **about)
        yield self._action(operation.action, "Started", f"{said} started", resource, **about)
        has_failed = operation.can_fail and self._random.random() < _FAILURES
        steps = (*operation.steps[:-1], "OperationFailed") if has_failed else operation.steps
        for step in steps:
            yield self._transition(resource, step, **about)
        if not has_failed:
            for usage in operation.usage:
                yield self._usage(usage, resource, **about)
        ending = "Error while running" if has_failed else "Successfully completed"
        yield self._action(operation.action, "Completed", f"{ending} {said}", resource, **about)
        status = "FAILED" if has_failed else "SUCCEEDED"
        yield self._event(EventCategory.ASYNC_JOB, "complete", {**job, "status": status}, **about)
        self._give_back(resource)

    def _happen(self, operation: Operation, resource: Resource) -> Iterator[Event]:
        """Something nobody asked for: no job and no action, but an alert."""
        about = {"resource_type": resource.kind, "resource_uuid": resource.uuid}
        for step in operation.steps:
            yield self._transition(resource, step, **about)
        for usage in operation.usage:
            yield self._usage(usage, resource, **about)
        yield from self._alert(operation.alert, f"{resource.name} stopped unexpectedly", **about)
        self._give_back(resource)

    def _login(self) -> Iterator[Event]:
        account = self._random.choice(_ACCOUNTS)
        user = str(UUID(int=self._random.getrandbits(128), version=4))
        for action, said in (("USER.LOGIN", "logged in"), ("USER.LOGOUT", "logged out")):
            details = {"account": account, "status": "Completed", "eventDateTime": self.now.isoformat()}
            text = f"user of {account} has {said}"
            yield self._event(
                EventCategory.ACTION, action, details, description=text, resource_type="User", resource_uuid=user
            )

    def _alert(self, kind: str, subject: str, **about: str) -> Iterator[Event]:
        text = subject.format(cluster=self._random.randint(1, 9))
        details = {"dataCenterId": "1", "podId": "1", "subject": text, "eventDateTime": self.now.isoformat()}
        yield self._event(EventCategory.ALERT, kind, details, description=text, **about)

    def _transition(self, resource: Resource, step: str, **about: str) -> Event:
        old, resource.state = resource.state, MACHINES[resource.kind][resource.state, step]
        details = {"old-state": old, "new-state": resource.state, "eventDateTime": self.now.isoformat()}
        text = f"{resource.name} is {resource.state}"
        return self._event(EventCategory.RESOURCE_STATE, step, details, description=text, **about)

    def _usage(self, kind: str, resource: Resource, **about: str) -> Event:
        details = {"account": resource.account, "zone": resource.zone, "eventDateTime": self.now.isoformat()}
        return self._event(EventCategory.USAGE, kind, details, **about)

    def _action(self, action: str, status: str, text: str, resource: Resource, **about: str) -> Event:
        details = {"account": resource.account, "status": status, "eventDateTime": self.now.isoformat()}
        return self._event(EventCategory.ACTION, action, details, description=text, **about)

    def _event(self, category: str, kind: str, details: dict[str, Any], **about: str) -> Event:
        return Event(event_category=category, event_type=kind, event_source=SOURCE, details=details, **about)
