"""``FanOut``: one publish to several buses, each of which fails on its own and none in silence.

Called on the caller's thread, for each bus in turn; ``EventBus.publish`` waits for no network, so one bus that cannot
be reached holds up no other, until its outbox is full: then each publish waits ``publish_timeout_seconds`` (0.1 s) for
room in it.  With 0 it waits for none.  An ``EventPublisher`` itself: sources publish to it as to a bus.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.receipt import Receipt
from bus_amqp.source.emitter import EventPublisher

logger = logging.getLogger("bus_amqp.source")


@dataclass(frozen=True, slots=True)
class FanOutReceipt:
    """What each bus made of one event: ``accepted`` has what its ``publish`` returned, ``refused`` what it raised.

    Every bus is in one of the two, by its name.
    """

    accepted: Mapping[str, object]
    refused: Mapping[str, Exception]

    def failures(self, timeout_seconds: float = 30) -> dict[str, BaseException]:
        """Wait for the confirms, in all so long; return by name what failed at once, later, or not in time."""
        found: dict[str, BaseException] = dict(self.refused)
        deadline = time.monotonic() + timeout_seconds
        for name, receipt in self.accepted.items():
            if not isinstance(receipt, Receipt):
                continue  # a publisher of another kind has said all that it says
            try:
                error: BaseException | None = receipt.exception(max(0.0, deadline - time.monotonic()))
            except (TimeoutError, EventBusException) as exc:  # not in time; in a forked child it never comes
                error = exc
            if error is not None:
                found[name] = error
        return found


class FanOut:
    """Publishes to all of some named buses.  Any thread.

    ``failed``: by name, how many events each has refused.  What a bus refuses is logged when that begins, and when it
    ends with the number; not for each event, because a bus that is full refuses thousands.
    """

    def __init__(self, publishers: Mapping[str, EventPublisher]) -> None:
        if not isinstance(publishers, Mapping) or not publishers:
            raise InvalidArgumentError("FanOut takes publishers by name: {'ours': bus, 'cloudstack': publisher}")
        for name, publisher in publishers.items():
            if not isinstance(name, str) or not callable(getattr(publisher, "publish", None)):
                raise InvalidArgumentError(f"publisher {name!r} ({publisher!r}) has no publish method, or no name")
        self._publishers = dict(publishers)
        self._lock = threading.Lock()
        self._failed = dict.fromkeys(self._publishers, 0)  # guarded by _lock
        self._in_a_row = dict.fromkeys(self._publishers, 0)  # guarded by _lock

    def __repr__(self) -> str:
        failed = ", ".join(f"{name} {count}" for name, count in self.failed.items() if count)
        return f"<FanOut to {', '.join(self._publishers)}{f'; failed: {failed}' if failed else ''}>"

    @property
    def failed(self) -> Mapping[str, int]:
        """How many events each has refused so far."""
        with self._lock:
            return MappingProxyType(dict(self._failed))

    def publish(self, event: Event[object], /) -> FanOutReceipt:
        """Publish to each; the result tells which took it and which did not.  Buses take typed events as well.

        Raises only if none took the event: what the first one raised, with a note on each of the others.
        """
        accepted: dict[str, object] = {}
        refused: dict[str, Exception] = {}
        for name, publisher in self._publishers.items():
            try:
                accepted[name] = publisher.publish(event)  # type: ignore[arg-type]  # as typed as the caller has it
            except Exception as exc:  # noqa: BLE001 -- a publisher may be anybody's; what it raises is its own failure
                refused[name] = exc
                self._note_failure(name, event, exc)
            else:
                self._note_success(name)
        if not accepted:
            raise _of_all(refused)
        return FanOutReceipt(MappingProxyType(accepted), MappingProxyType(refused))

    def _note_failure(self, name: str, event: Event[object], error: Exception) -> None:
        with self._lock:
            self._failed[name] += 1
            self._in_a_row[name] += 1
            is_first = self._in_a_row[name] == 1
        if is_first:
            is_fault = not isinstance(error, EventBusException)
            logger.warning(
                "%s did not take event %s (%s): %s: %s; the others are not affected, and further ones are counted",
                name, event.event_id, event.event_type, type(error).__name__, error,
                exc_info=error if is_fault else None,
            )  # fmt: skip

    def _note_success(self, name: str) -> None:
        if not self._in_a_row[name]:  # nearly always; a number is read whole without the lock
            return
        with self._lock:
            missed, self._in_a_row[name] = self._in_a_row[name], 0
        if missed:
            logger.warning("%s takes events again; it has not taken %d", name, missed)


def _of_all(refused: Mapping[str, Exception]) -> Exception:
    (name, first), *others = refused.items()
    notes = [f"raised by {name}; no other bus has taken the event either"]
    notes += [f"{other}: {type(error).__name__}: {error}" for other, error in others]
    for note in notes:
        if note not in getattr(first, "__notes__", ()):  # a publisher may raise one error for every event
            first.add_note(note)
    return first
