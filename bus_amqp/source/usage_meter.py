"""Which changes of state begin and end what somebody pays for.  Data, and one pure function.

Not "Running means VM.START": a machine whose stop has failed is Running again and was never off.  A meter names the
states in which it runs; usage begins when a change leads in, and ends when one leads out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.source.event_type import EventType


@dataclass(frozen=True, slots=True)
class Meter:
    """Usage of a resource that lasts while its state is one of ``states``.

    ``uncertain``: states of which nobody knows whether the meter ran before: leaving one tells its end or its beginning
    again, which ledgers must bear (a start after a start is the same stretch).  ``ignored``: changes, as
    (old, new), that lead in or out and mean nothing.
    """

    resource_type: str
    states: frozenset[str]
    begins: str
    ends: str
    uncertain: frozenset[str] = frozenset()
    ignored: frozenset[tuple[str, str]] = frozenset()

    def told(self, event: str, old: str | None, new: str) -> str | None:
        """Return the usage type of a change, or None."""
        if old == new or (old, new) in self.ignored:
            return None
        if new in self.states:
            return self.begins if old not in self.states or old in self.uncertain else None
        return self.ends if old in self.states or old in self.uncertain else None


@dataclass(frozen=True, slots=True)
class Moment:
    """Usage that one change tells, such as another size."""

    resource_type: str
    event: str
    old_state: str
    new_state: str
    usage_type: str

    def told(self, event: str, old: str | None, new: str) -> str | None:
        """Return the usage type of a change, or None."""
        return self.usage_type if (event, old, new) == (self.event, self.old_state, self.new_state) else None


UsageRule = Meter | Moment

DEFAULT_RULES: Final[tuple[UsageRule, ...]] = (
    Meter(
        "VirtualMachine",
        frozenset({"Stopped", "Starting", "Running", "Stopping", "Migrating", "Shutdown", "Unknown"}),
        EventType.VM_CREATE,
        EventType.VM_DESTROY,
    ),
    Meter(
        "VirtualMachine",
        frozenset({"Running", "Migrating", "Stopping"}),
        EventType.VM_START,
        EventType.VM_STOP,
        uncertain=frozenset({"Unknown"}),
        ignored=frozenset({("Stopped", "Migrating")}),  # its storage moves while it is off
    ),
    Meter(
        "Volume",
        frozenset({"Ready", "Attaching", "Resizing", "Snapshotting", "RevertSnapshotting", "Migrating"}),
        EventType.VOLUME_CREATE,
        EventType.VOLUME_DELETE,
    ),
    Moment("Volume", "OperationSucceeded", "Resizing", "Ready", EventType.VOLUME_RESIZE),
    Meter(
        "Snapshot",
        frozenset({"CreatedOnPrimary", "BackingUp", "BackedUp", "Copying"}),
        EventType.SNAPSHOT_CREATE,
        EventType.SNAPSHOT_DELETE,
    ),
    Meter("Network", frozenset({"Setup", "Implemented"}), EventType.NETWORK_CREATE, EventType.NETWORK_DELETE),
)


def usage_types(
    rules: Iterable[UsageRule], resource_type: str, event: str, old: str | None, new: str
) -> tuple[str, ...]:
    """Return what a change tells billing, in the order of the rules.  Mostly nothing."""
    told = (rule.told(event, old, new) for rule in rules if rule.resource_type == resource_type)
    return tuple(usage_type for usage_type in told if usage_type is not None)


def checked_rules(rules: Iterable[UsageRule]) -> tuple[UsageRule, ...]:
    """Return the rules as a tuple.  Raises ``InvalidArgumentError`` for what is no rule, and for none at all."""
    checked = tuple(rules)
    for rule in checked:
        if not isinstance(rule, Meter | Moment):
            raise InvalidArgumentError(f"{rule!r} is no rule of usage: give a Meter or a Moment")
        if isinstance(rule, Meter) and isinstance(rule.states, str):  # "one" is in "Done", too
            raise InvalidArgumentError(
                f"the meter of {rule.begins} has one text for its states: write {{{rule.states!r}}}"
            )
        if isinstance(rule, Meter) and not rule.states:
            raise InvalidArgumentError(f"the meter of {rule.begins} has no state in which it runs")
    if not checked:
        raise InvalidArgumentError("without a rule no usage would ever be told: leave rules out for the default ones")
    return checked
