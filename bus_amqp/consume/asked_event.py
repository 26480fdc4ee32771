"""Which events a handler asks for: the annotation of its first parameter.  Looked up once, when it subscribes.

Nobody has to annotate: whatever cannot be found out means ``Event`` alone.  But whoever writes ``Event[UsageDetails]``
relies on what stands there, so where that cannot be kept, it is said.
"""

from __future__ import annotations

import functools
import inspect
import typing
from contextlib import suppress
from types import FunctionType, SimpleNamespace, UnionType
from typing import Any, TypeVar

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event
from bus_amqp.subscriber import Handler

_TAKES_ONE = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)


def asked_event(handler: Handler) -> type[Event[Any]] | None:
    """Return the ``Event[...]`` that the handler asks for; None: plain events.

    Raises ``InvalidArgumentError`` for an ``Event[...]`` that cannot be had.
    """
    annotation: object = None
    try:
        annotation = _annotation_of(handler)
        return _event_in(typing.get_type_hints(_only(annotation), _names_around(handler))["event"])
    except InvalidArgumentError as exc:
        raise InvalidArgumentError(f"{_name_of(handler)} cannot subscribe: {exc}") from exc
    except Exception as exc:  # a user's annotation is evaluated: whatever it raises, most likely it means none of ours
        if "Event[" not in str(annotation):
            return None
        raise InvalidArgumentError(
            f"{_name_of(handler)} cannot subscribe: its annotation {annotation} cannot be resolved ({exc}); "
            "what it names has to be there at run time, not for type checkers alone"
        ) from exc


def _name_of(handler: Handler) -> str:
    return getattr(handler, "__qualname__", type(handler).__qualname__)


def _annotation_of(handler: Handler) -> object:
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind in _TAKES_ONE:
            return None if parameter.annotation is inspect.Parameter.empty else parameter.annotation
    return None


def _only(annotation: object) -> SimpleNamespace:
    """Return what has this annotation and no other: one that cannot be resolved, elsewhere, is not our business."""
    return SimpleNamespace(__annotations__={"event": annotation})


def _names_around(handler: Any) -> dict[str, Any]:
    """Return the names that an annotation written as text can mean, as far as they are known at run time."""
    names: dict[str, Any] = {}
    while True:
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__
        elif inspect.ismethod(handler):
            names.update(_names_in_class(type(handler.__self__)))
            handler = handler.__func__
        elif inspect.isfunction(handler):
            return {**names, **handler.__globals__, **_enclosed_by(handler)}
        elif inspect.isroutine(handler):
            return names  # written in C
        else:
            names.update(_names_in_class(type(handler)))
            handler = type(handler).__call__


def _names_in_class(owner: type) -> dict[str, Any]:
    return {name: value for kind in reversed(owner.__mro__) for name, value in vars(kind).items()}


def _enclosed_by(function: FunctionType) -> dict[str, Any]:
    """Return what the function uses of the functions around it."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # empty: defined further down.  inspect.getclosurevars fails over it
            found[name] = cell.cell_contents
    return found


def _event_in(annotation: Any) -> type[Event[Any]] | None:
    if isinstance(annotation, TypeVar):
        return _event_in(annotation.__bound__)
    if (value := getattr(annotation, "__value__", None)) is not None:  # type UsageEvent = Event[UsageDetails]
        return _event_in(value)
    if typing.get_origin(annotation) in (typing.Union, UnionType):
        found = [kind for kind in map(_event_in, typing.get_args(annotation)) if kind is not None]
        if len(found) > 1:
            inside = " | ".join(kind.__name__.removeprefix("Event[").removesuffix("]") for kind in found)
            raise InvalidArgumentError(f"write Event[{inside}], one event whose details are one or the other")
        return found[0] if found else None
    if not (isinstance(annotation, type) and issubclass(annotation, Event)) or annotation.__details_type__ is None:
        return None
    if "__details_type__" not in vars(annotation):
        asked = next(kind for kind in annotation.__mro__ if "__details_type__" in vars(kind))
        raise InvalidArgumentError(f"{annotation.__name__} is a class of your own: ask for {asked.__name__}")
    return annotation
