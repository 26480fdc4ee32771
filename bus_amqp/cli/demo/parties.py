"""The parties that listen: the examples of the documentation, as their users have them.

A checkout has them in ``docs/examples``, a wheel carries the same files as ``bus_amqp.examples``.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from bus_amqp.errors import EventBusException

_PACKAGES = ("bus_amqp.examples", "docs.examples")
# process -> party; each party's module has the party's name
CONSUMERS = {"monitoring": "monitoring", "billing-1": "billing", "billing-2": "billing", "workflow": "workflow"}


def module_name(party: str) -> str:
    """Return the module of a party.  Raises ``EventBusException`` if the examples are not there."""
    for package in _PACKAGES:
        if _is_there(package):
            return f"{package}.{party}"
    raise EventBusException(f"the examples are missing: looked for the packages {' and '.join(_PACKAGES)}")


def _is_there(package: str) -> bool:
    try:
        return find_spec(f"{package}.workflow") is not None
    except ModuleNotFoundError:  # of a package around it
        return False


def module_of(party: str) -> ModuleType:
    """Import a party.  Raises ``EventBusException`` that names the extra for what it needs and is not installed."""
    try:
        return import_module(module_name(party))
    except ModuleNotFoundError as exc:
        raise EventBusException(
            f"{party} of the demonstration needs {exc.name}, which is not there: pip install 'bus-amqp[examples]'"
        ) from exc


def reference_of(party: str) -> str:
    """Return what ``bus-amqp run`` is told."""
    return f"{module_name(party)}:subscribers"


def database_url(directory: Path) -> str:
    """Return where billing keeps its books, for this run alone: never where somebody's own bills are."""
    return f"sqlite:///{directory / 'billing.sqlite'}"


def follow_ups_file(directory: Path) -> Path:
    """Return where the workflow keeps its follow-ups, for this run alone."""
    return directory / "workflow.sqlite"
