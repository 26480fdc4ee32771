"""``AlertGenerator``: tells operators what is wrong, once, and when it is right again.

Called from any thread; starts none, so that what is folded goes out on the next call after its window has ended, or on
``flush``.  A bus that fails is logged and counted, and the alert is owed: it goes out with a later call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from pydantic import JsonValue, ValidationError

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.alert_details import AlertDetails, AlertStatus
from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.details import does_not_fit
from bus_amqp.source.emitter import DEFAULT_SOURCE, Emitter, EventFields, EventPublisher, IsEnabled
from bus_amqp.source.folding import Alert, Folding, Outgoing
from bus_amqp.source.switched import Switched
from bus_amqp.source.threshold import Crossings, ThresholdPolicy

FOLD_SECONDS = 300.0


class Place(TypedDict, total=False):
    """Where something is wrong, and whose it is; uuids or names.  With the type it is what makes alerts the same."""

    zone: str | None
    pod: str | None
    cluster: str | None
    host: str | None
    account: str | None
    domain: str | None


# The most exact of these that is given is what the event is about, so that Raised and Cleared keep their order.
_RESOURCES = (("host", "Host"), ("cluster", "Cluster"), ("pod", "Pod"), ("zone", "DataCenter"))
_KEYS = ("zone", "pod", "cluster", "host", "account")
_WORDS = frozenset({"status", "subject", "body", *Place.__annotations__})


class AlertGenerator(Switched):
    """Publishes AlertEvents: Raised, repeated ones folded into one with a count, and Cleared.

    ``fold_seconds``: the window in which the repetitions of an alert (same type, same place, same resource) are counted
    instead of published; 0 publishes each.  ``is_enabled`` may be changed while running, or be a callable; what is said
    while it is off is not told later.  The 10,000 places heard of last are remembered.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        source: str = DEFAULT_SOURCE,
        is_enabled: IsEnabled = True,
        fold_seconds: float = FOLD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not 0 <= fold_seconds < float("inf"):
            raise InvalidArgumentError(f"fold_seconds is {fold_seconds}: use 0 (never fold) or more")
        self._emitter = Emitter(
            publisher,
            category=EventCategory.ALERT,
            source=source,
            is_enabled=is_enabled,
            event_types=known_event_types(),
        )
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()  # never held while publishing
        self._folding = Folding(fold_seconds)  # guarded by _lock

    def __repr__(self) -> str:
        return f"<AlertGenerator {self._folding!r}, {self._emitter!r}>"

    @property
    def failed(self) -> int:
        """How many times the bus refused an alert; each is in the log, and owed."""
        return self._emitter.failed

    @property
    def untold(self) -> int:
        """How many raised alerts are counted and not yet told."""
        with self._lock:
            return self._folding.untold

    def raise_alert(
        self,
        alert_type: str,
        subject: str,
        body: str | None = None,
        *,
        resource: tuple[str, str] | None = None,
        value: float | None = None,
        threshold: float | None = None,
        **place: Unpack[Place],
    ) -> bool:
        """Say that something is wrong; return whether an event of it went out now (False: folded, off, or owed).

        ``resource``: (type, uuid) of what it is about; without it the host, else cluster, pod or zone is that.
        Raises ``InvalidArgumentError`` naming the field that does not fit.
        """
        alert = _alert(AlertStatus.RAISED, alert_type, subject, body, resource, value, threshold, place)
        if self._emitter.is_enabled is not True and not self._emitter.is_on():
            return False
        now = self._clock()
        with self._lock:
            outgoing = self._folding.raised(alert, now, self._now)
            outgoing += self._folding.due(now)
        return self._publish(outgoing, alert)

    def clear(
        self,
        alert_type: str,
        subject: str,
        body: str | None = None,
        *,
        resource: tuple[str, str] | None = None,
        value: float | None = None,
        threshold: float | None = None,
        **place: Unpack[Place],
    ) -> bool:
        """Say that it is right again; return whether an event of it went out now.

        It tells the count of what was folded.  Said again, it is not published again; the first time it is, even if
        nothing was raised here: the alert may be older than this process.
        """
        alert = _alert(AlertStatus.CLEARED, alert_type, subject, body, resource, value, threshold, place)
        if self._emitter.is_enabled is not True and not self._emitter.is_on():
            return False
        now = self._clock()
        with self._lock:
            outgoing = self._folding.cleared(alert, now)
            outgoing += self._folding.due(now)
        return self._publish(outgoing, alert)

    def flush(self) -> int:
        """Publish everything that is counted or owed, whether its window has ended or not; return how many events.

        Call it at the end of the program, and now and then if alerts may be rare: no thread does.
        """
        return self._publish_due(is_early=True)

    def publish_due(self) -> int:
        """Publish what was counted in windows that have ended, and what is owed; every other call does so too."""
        return self._publish_due(is_early=False)

    def watch(self, policy: ThresholdPolicy) -> Watch:
        """Return what takes measurements and raises and clears by the policy."""
        return Watch(self, policy, self._clock)

    def is_on(self) -> bool:
        """Return whether alerts go out now."""
        return self._emitter.is_on()

    def _publish_due(self, *, is_early: bool) -> int:
        if not self._emitter.is_on():
            return 0
        with self._lock:
            outgoing = self._folding.due(self._clock(), is_early=is_early)
        return sum(self._publish_one(one) for one in outgoing)

    def _publish(self, outgoing: Iterable[Outgoing], said: Alert) -> bool:
        is_out = False
        for one in outgoing:
            if self._publish_one(one) and one.alert is said:
                is_out = True
        return is_out

    def _publish_one(self, outgoing: Outgoing) -> bool:
        alert = outgoing.alert
        about: EventFields = {
            "resource_type": alert.resource_type,
            "resource_uuid": alert.resource_uuid,
            "description": alert.subject,
        }
        if outgoing.event_id is not None:
            about["event_id"] = outgoing.event_id
        try:
            event = self._emitter.build_from_wire(alert.event_type, outgoing.details, about)
            self._emitter.publisher.publish(event)
        except Exception as exc:  # noqa: BLE001 -- whatever a publisher raises: the one who found the fault goes on
            self._emitter.note_failure(alert.event_type, exc)
            if not isinstance(exc, InvalidArgumentError):  # too large, say: it will not fit later either
                with self._lock:
                    self._folding.failed(outgoing, self._clock(), self._now())
            return False
        return True


class Watch:
    """Measurements of many resources under one policy.  Any thread."""

    def __init__(self, alerts: AlertGenerator, policy: ThresholdPolicy, clock: Callable[[], float]) -> None:
        self._alerts = alerts
        self._policy = policy
        self._clock = clock
        self._crossings = Crossings(policy)

    def __repr__(self) -> str:
        return f"<Watch {self._crossings!r}>"

    def observe(self, value: float, *, resource: str, **place: Unpack[Place]) -> AlertStatus | None:
        """Take a measurement of a resource; return Raised or Cleared if it has crossed, and publish that.

        While alerts are switched off nothing is taken, so that a value that is still beyond raises when they are on
        again.  Raises ``InvalidArgumentError`` for what is no finite number.
        """
        if not self._alerts.is_on():
            return None
        crossing = self._crossings.observe(resource, value, self._clock())
        if crossing is None:
            self._alerts.publish_due()
            return None
        policy = self._policy
        is_raised = crossing is AlertStatus.RAISED
        say = self._alerts.raise_alert if is_raised else self._alerts.clear
        try:
            say(
                policy.alert_type,
                policy.subject_of(value, resource),
                resource=(policy.resource_type, resource),
                value=value,
                threshold=policy.threshold if is_raised else policy.clear_threshold,
                **place,
            )
        except InvalidArgumentError:  # nothing was said, so nothing was crossed: the next measurement says it
            if is_raised:
                self._crossings.forget(resource)
            else:
                self._crossings.assume_raised(resource)
            raise
        return crossing

    def assume_raised(self, resource: str) -> None:
        """Know of an alert that an earlier process raised, so that this one clears it when the value is back."""
        self._crossings.assume_raised(resource)

    def forget(self, resource: str) -> bool:
        """Forget a resource that is no more; return whether its alert was open (then say ``clear`` if you like)."""
        return self._crossings.forget(resource)


def _alert(
    status: AlertStatus,
    alert_type: str,
    subject: str,
    body: str | None,
    resource: tuple[str, str] | None,
    value: float | None,
    threshold: float | None,
    place: Place,
) -> Alert:
    if not isinstance(alert_type, str) or not alert_type:
        raise InvalidArgumentError(f"alert_type is {alert_type!r}: say what is wrong, such as ALERT.MEMORY")
    said: dict[str, Any] = {"status": status.value, "subject": subject, **place}
    if body is not None:
        said["body"] = body
    if value is not None or threshold is not None:
        said |= {"value": value, "threshold": threshold}
    details = _wire_form(said)
    is_raised = status is AlertStatus.RAISED
    if resource is not None:
        if not isinstance(resource, tuple) or [isinstance(word, str) for word in resource] != [True, True]:
            raise InvalidArgumentError(f"resource is {resource!r}: give its type and its uuid, two texts")
        kind, uuid = resource
        # The resource alone: a clear that leaves out the zone must still end what was raised with it.
        return Alert((alert_type, kind, uuid), is_raised, details, alert_type, subject, kind, uuid)
    key = (alert_type, *map(said.get, _KEYS))
    for name, kind in _RESOURCES:
        if said.get(name) is not None:
            return Alert(key, is_raised, details, alert_type, subject, kind, said[name])
    return Alert(key, is_raised, details, alert_type, subject)


def _wire_form(said: dict[str, Any]) -> dict[str, JsonValue]:
    """Return the details that travel.  Raises ``InvalidArgumentError`` naming the field that does not fit."""
    # Words only, as nearly always: each field is called the same on the wire, and there is nothing else to check.
    if said["subject"] and said.keys() <= _WORDS and all(type(value) is str for value in said.values()):
        return {"detailsVersion": 1, **said}
    try:
        return AlertDetails.checked(said).to_wire()
    except ValidationError as exc:
        raise does_not_fit(exc) from exc
