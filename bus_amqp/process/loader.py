"""Find the subscribers that ``package.module:name`` means, and say clearly why not.

The name is a ``Subscribers``; or a function that takes the bus and returns one (subscribers that publish); or a
context manager function of that kind (subscribers with something to close at the end).
"""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

from bus_amqp.bus import EventBus
from bus_amqp.errors import EventBusException, InvalidArgumentError
from bus_amqp.subscriber import Subscribers

MakeSubscribers = Callable[[EventBus], AbstractContextManager[Subscribers]]
Found = Subscribers | Callable[[EventBus], object]  # what a function of the bus gives is checked when it is called


def load_subscribers(reference: str) -> MakeSubscribers:
    """Return a function that gives the subscribers for a bus, as a context manager.

    The current directory is looked in first.  Raises ``InvalidArgumentError`` naming what is missing.
    """
    # A console script has its own folder on the path, not the user's: `bus-amqp run billing:subscribers` means here.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    return opener_of(find_subscribers(reference), reference)


def opener_of(found: Found, reference: str) -> MakeSubscribers:
    """Return what gives the subscribers for a bus; ``reference`` is for what it may have to complain of."""
    return lambda bus: _opened(found, bus, reference)


def find_subscribers(reference: str) -> Found:
    """Return what the reference means, on the path as it is.

    Raises ``InvalidArgumentError`` naming what is missing.
    """
    module_name, colon, name = reference.partition(":")
    if not (colon and name and all(part.isidentifier() for part in module_name.split("."))):
        raise InvalidArgumentError(f"{reference!r} is not of the form package.module:name")
    module = _import(module_name)
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, vars(module), n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise InvalidArgumentError(f"module {module_name} has no name {name!r}{hint}")
    found = getattr(module, name)
    if not isinstance(found, Subscribers) and (not callable(found) or isinstance(found, type)):
        raise InvalidArgumentError(
            f"{reference} is a {type(found).__name__}, not a Subscribers or a function of the bus that returns one"
        )
    return found


@contextmanager
def _opened(found: Found, bus: EventBus, reference: str) -> Iterator[Subscribers]:
    with ExitStack() as stack:
        yield _checked(_made(found, bus, stack, reference), reference)


def _made(found: Found, bus: EventBus, stack: ExitStack, reference: str) -> object:
    try:
        made = found if isinstance(found, Subscribers) else found(bus)
        return stack.enter_context(made) if isinstance(made, AbstractContextManager) else made
    except EventBusException:
        raise
    except (Exception, SystemExit) as exc:  # the user's function runs here: whatever it raises is theirs to read
        raise EventBusException(f"{reference} cannot be opened: {_told(exc)}") from exc


def _checked(subscribers: object, reference: str) -> Subscribers:
    if not isinstance(subscribers, Subscribers):
        raise InvalidArgumentError(f"{reference} returned a {type(subscribers).__name__}, not a Subscribers")
    if not len(subscribers):
        raise InvalidArgumentError(f"{reference} declares no subscription: there would be nothing to wait for")
    return subscribers


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and f"{name}.".startswith(f"{exc.name}."):
            raise InvalidArgumentError(f"there is no module {exc.name!r} ({_looked()})") from exc
        raise InvalidArgumentError(f"module {name} imports {exc.name!r}, which is not there") from exc
    # SystemExit too, as of a package that misses something: the command would end without a word on the others.
    except (Exception, SystemExit) as exc:  # the user's module runs here: whatever it raises is theirs to read
        raise InvalidArgumentError(f"module {name} cannot be imported: {_told(exc)}") from exc


def _looked() -> str:
    here = str(Path.cwd())
    return f"looked in {here} and on the path" if here in sys.path else "looked on the path"


def _told(exc: BaseException) -> str:
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{type(exc).__name__}: {exc} ({place.filename}, line {place.lineno})"
