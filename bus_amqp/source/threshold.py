"""``ThresholdPolicy``: when a measurement is worth an alert, and when it is no longer.  Pure.

``Crossings`` applies a policy to many resources.  It says each crossing once: a value that stays above says nothing,
and with two thresholds a value that trembles around one of them does not either.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.alert_details import AlertStatus

logger = logging.getLogger("bus_amqp.source")

CAPACITY = 10_000  # resources with an open alert, and as many on the way to one; quiet ones are not remembered at all


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPolicy:
    """Raise above (or below) one threshold, clear below (or above) another.

    Give ``raise_above`` and perhaps ``clear_below``, or ``raise_below`` and perhaps ``clear_above``; without a
    threshold to clear, the alert ends as soon as the value is no longer beyond the one that raised it.
    ``for_samples``, ``for_seconds``: how many measurements in a row, and how long, the value must have been beyond it.
    ``subject`` may name ``{value}``, ``{threshold}`` and ``{resource}``.
    """

    alert_type: str
    subject: str = ""
    resource_type: str = ""
    raise_above: float | None = None
    clear_below: float | None = None
    raise_below: float | None = None
    clear_above: float | None = None
    for_samples: int = 1
    for_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.alert_type:
            raise InvalidArgumentError("alert_type is empty: say what to raise, such as ALERT.MEMORY")
        for name in ("raise_above", "clear_below", "raise_below", "clear_above", "for_samples", "for_seconds"):
            if (value := getattr(self, name)) is not None:
                _check_number(f"{self.alert_type}: {name}", value)
        if (self.raise_above is None) == (self.raise_below is None):
            raise InvalidArgumentError(f"{self.alert_type}: give one of raise_above and raise_below")
        if self.raise_above is not None:
            self._check_pair("clear_above", self.clear_above, "clear_below", self.clear_below, self.raise_above)
        else:
            self._check_pair("clear_below", self.clear_below, "clear_above", self.clear_above, self.threshold)
        if self.for_samples < 1 or self.for_seconds < 0:
            raise InvalidArgumentError(f"{self.alert_type}: for_samples begins at 1, for_seconds at 0")
        try:
            for value in (self.threshold, 0.5):  # {value:d} would take the threshold 90, and no measurement
                self.subject_of(value, "")
        except (KeyError, IndexError, ValueError, AttributeError) as exc:
            raise InvalidArgumentError(
                f"{self.alert_type}: subject {self.subject!r} may name {{value}}, {{threshold}}, {{resource}}: {exc!r}"
            ) from exc

    def _check_pair(self, wrong: str, unwanted: float | None, name: str, clear: float | None, limit: float) -> None:
        if unwanted is not None:
            raise InvalidArgumentError(f"{self.alert_type}: {wrong} does not go with this direction: use {name}")
        if clear is not None and (clear > limit if self.raise_above is not None else clear < limit):
            side = "below" if self.raise_above is not None else "above"
            raise InvalidArgumentError(
                f"{self.alert_type}: {name} is {clear}, on the wrong side: it must not be beyond {limit},"
                f" or an alert would be raised and cleared at once; choose a value {side} it"
            )

    @property
    def threshold(self) -> float:
        """The threshold that raises."""
        threshold = self.raise_above if self.raise_above is not None else self.raise_below
        assert threshold is not None
        return threshold

    @property
    def clear_threshold(self) -> float:
        """The threshold that clears; the one that raises, if there is no other."""
        clear = self.clear_below if self.raise_above is not None else self.clear_above
        return self.threshold if clear is None else clear

    def is_beyond(self, value: float) -> bool:
        """Return whether such a value raises."""
        return value > self.threshold if self.raise_above is not None else value < self.threshold

    def is_back(self, value: float) -> bool:
        """Return whether such a value clears."""
        if self.clear_threshold == self.threshold:
            return not self.is_beyond(value)
        return value < self.clear_threshold if self.raise_above is not None else value > self.clear_threshold

    def subject_of(self, value: float, resource: str) -> str:
        """Return the subject of an alert about this value."""
        if self.subject:
            try:
                return self.subject.format(value=value, threshold=self.threshold, resource=resource)
            except ValueError:  # {value:.2} does not take a whole number
                return self.subject.format(value=float(value), threshold=self.threshold, resource=resource)
        side = "above" if self.raise_above is not None else "below"
        return f"{self.alert_type}: {value:g} is {side} {self.threshold:g}"


@dataclass(slots=True)
class _Streak:
    """Values beyond the threshold, one after the other, that have not raised yet."""

    since: float
    samples: int = 0


class Crossings:
    """Which resources are beyond a policy's threshold.  Any thread; bounded.

    Where more than ``capacity`` resources have open alerts, the one whose alert is oldest is forgotten, with a warning:
    it will be raised again if it lasts, and not be cleared if it does not.
    """

    def __init__(self, policy: ThresholdPolicy, capacity: int = CAPACITY) -> None:
        self._policy = policy
        self._capacity = capacity
        self._lock = threading.Lock()
        self._raised: OrderedDict[str, None] = OrderedDict()  # guarded by _lock
        self._streaks: OrderedDict[str, _Streak] = OrderedDict()  # guarded by _lock

    def __repr__(self) -> str:
        return f"<Crossings of {self._policy.alert_type}: {len(self._raised)} raised, {len(self._streaks)} on the way>"

    def observe(self, resource: str, value: float, now: float) -> AlertStatus | None:
        """Take a measurement; return the crossing that it makes, if it makes one.

        ``now`` is a monotonic time.  Raises ``InvalidArgumentError`` for what is no finite number.
        """
        _check_number(f"{self._policy.alert_type}: value of {resource}", value)
        _check_resource(self._policy, resource)
        with self._lock:
            if resource in self._raised:
                if not self._policy.is_back(value):
                    return None
                del self._raised[resource]
                return AlertStatus.CLEARED
            if not self._policy.is_beyond(value):
                self._streaks.pop(resource, None)
                return None
            streak = self._streaks.setdefault(resource, _Streak(since=now))
            streak.samples += 1
            if streak.samples < self._policy.for_samples or now - streak.since < self._policy.for_seconds:
                self._bound(self._streaks)  # who is forgotten on the way begins anew, which needs no word
                return None
            del self._streaks[resource]
            self._raised[resource] = None
            forgotten = self._bound(self._raised)
        self._tell(forgotten)
        return AlertStatus.RAISED

    def assume_raised(self, resource: str) -> None:
        """Know of an alert that is open from before this process began, so that it can be cleared."""
        _check_resource(self._policy, resource)
        with self._lock:
            self._raised[resource] = None
            forgotten = self._bound(self._raised)
        self._tell(forgotten)

    def forget(self, resource: str) -> bool:
        """Forget a resource that is no more; return whether its alert was open."""
        with self._lock:
            self._streaks.pop(resource, None)
            return self._raised.pop(resource, self) is None

    def _bound(self, remembered: OrderedDict[str, None] | OrderedDict[str, _Streak]) -> str | None:
        return remembered.popitem(last=False)[0] if len(remembered) > self._capacity else None

    def _tell(self, forgotten: str | None) -> None:
        if forgotten is not None:
            logger.warning(
                "%s is open for more than %d resources: %s is forgotten, and will not be cleared by itself",
                self._policy.alert_type, self._capacity, forgotten,
            )  # fmt: skip


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidArgumentError(f"{name} is {value!r}: it must be a finite number")
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # not shown: Python refuses to print what is long enough
        raise InvalidArgumentError(f"{name} is too large: it must be a finite number") from None
    if not is_finite:
        raise InvalidArgumentError(f"{name} is {value!r}: it must be a finite number")


def _check_resource(policy: ThresholdPolicy, resource: object) -> None:
    # A UUID would be measured and then refused as the resource of the event: crossed, and nobody told.
    if not isinstance(resource, str):
        raise InvalidArgumentError(f"{policy.alert_type}: resource is {resource!r}: give its uuid as a text")
