"""Find the plug-ins: subscribers that installed distributions announce, which nobody here has to name.

A distribution says in its own ``pyproject.toml`` what it brings, and is a plug-in once it is installed:

    [project.entry-points."bus_amqp.subscribers"]
    billing = "acme_billing.subscribers:subscribers"

Looks and chooses; what runs them is ``installed.py``.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.process.loader import find_subscribers
from bus_amqp.subscriber import Declared, Subscribers

ENTRY_POINTS = "bus_amqp.subscribers"


@dataclass(frozen=True, slots=True)
class PlugIn:
    """One announcement: what ``bus-amqp run`` takes, under a name, and who announces it."""

    name: str
    reference: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} (of {self.distribution} {self.version})"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which plug-ins to run: all, ``only`` those, or all ``without`` those.

    ``is_skipping_broken``: go on with the others when one cannot be loaded, opened or subscribed.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    is_skipping_broken: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """What can be known of a plug-in without a bus: its subscriptions, or that it needs one, or why it is broken."""

    plug_in: PlugIn
    declared: tuple[Declared, ...] = ()
    needs_bus: bool = False
    fault: str = ""


def installed_plug_ins() -> tuple[PlugIn, ...]:
    """Return all that is announced, by name; two of one name are both in it."""
    found = [_plug_in(entry) for entry in metadata.entry_points(group=ENTRY_POINTS)]
    return tuple(sorted(found, key=lambda one: (one.name, one.distribution, one.reference)))


def _plug_in(entry: metadata.EntryPoint) -> PlugIn:
    # The value may end in the extras that it needs, [such, as]: pip's business and not ours.
    reference = entry.value.partition("[")[0].strip()
    if entry.dist is None:
        return PlugIn(entry.name, reference, "an unknown distribution", "")
    return PlugIn(entry.name, reference, entry.dist.name, entry.dist.version)


def chosen(plug_ins: Sequence[PlugIn], choice: Choice) -> tuple[PlugIn, ...]:
    """Return those to run.  Raises ``InvalidArgumentError`` for unknown names, for two of one name, and for none."""
    if not plug_ins:
        raise InvalidArgumentError(
            f"no plug-in is installed: no distribution has an entry point in the group {ENTRY_POINTS}"
        )
    _check_known((*choice.only, *choice.without), {one.name for one in plug_ins})
    wanted = tuple(
        one for one in plug_ins if one.name not in choice.without and (not choice.only or one.name in choice.only)
    )
    if not wanted:
        raise InvalidArgumentError(f"all {len(plug_ins)} installed plug-ins are left out: nothing would run")
    _check_distinct(wanted)
    return wanted


def _check_known(names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"installed are {', '.join(sorted(known))}"
            raise InvalidArgumentError(f"no plug-in is named {name!r}: {hint}")


def _check_distinct(plug_ins: Sequence[PlugIn]) -> None:
    for name, count in Counter(one.name for one in plug_ins).items():
        if count > 1:
            those = " and ".join(f"{one.reference} of {one.distribution}" for one in plug_ins if one.name == name)
            raise InvalidArgumentError(
                f"{count} plug-ins are named {name!r}: {those}. Uninstall one of them, or leave out the name "
                f"(--except {name}) and run the one you want by its reference"
            )


def described(plug_in: PlugIn) -> Description:
    """Return what can be known without a bus.  Imports the plug-in's module."""
    try:
        found = find_subscribers(plug_in.reference)
    except InvalidArgumentError as exc:
        return Description(plug_in, fault=str(exc))
    if not isinstance(found, Subscribers):
        return Description(plug_in, needs_bus=True)
    if not len(found):
        return Description(plug_in, fault=f"{plug_in.reference} declares no subscription")
    return Description(plug_in, declared=tuple(found))
