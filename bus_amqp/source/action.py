"""``ActionEvents``: what users do, told as it happens, with its outcome.

    actions = ActionEvents(bus)

    @actions.performs("VM.START", resource=lambda vm: vm.uuid)
    def start(vm): ...

Called on the thread or task that performs the action, which no fault of the bus breaks or delays further than
``publish`` does.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import EventCategory
from bus_amqp.source.action_details import ActionStatus
from bus_amqp.source.actor import NOBODY, Actor, acting, current_actor
from bus_amqp.source.catalogue import known_event_types
from bus_amqp.source.emitter import DEFAULT_SOURCE, Emitter, EventPublisher, IsEnabled
from bus_amqp.source.performing import Action, Resource, checked_beginning
from bus_amqp.source.switched import Switched

logger = logging.getLogger("bus_amqp.source")

_UNANSWERED = "%s: a function that tells about the action raised; it is told without"

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")


class ActionEvents(Switched):
    """Publishes ActionEvents: Created, Scheduled, Started as asked, and always Completed or Failed.

    ``actor``: asked who acts where neither the call nor ``on_behalf_of`` says so; for a control plane that knows its
    caller already.  ``is_enabled`` may be changed while running, or be a callable; it is asked once for each action.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        *,
        source: str = DEFAULT_SOURCE,
        is_enabled: IsEnabled = True,
        actor: Callable[[], Actor | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emitter = Emitter(
            publisher,
            category=EventCategory.ACTION,
            source=source,
            is_enabled=is_enabled,
            event_types=known_event_types(),
        )
        self._actor = actor
        self._clock = clock

    def __repr__(self) -> str:
        return f"<ActionEvents {self._emitter!r}>"

    @property
    def failed(self) -> int:
        """How many events could not be published; each is in the log."""
        return self._emitter.failed

    def on_behalf_of(
        self,
        *,
        user: str | None = None,
        account: str | None = None,
        domain: str | None = None,
        project: str | None = None,
    ) -> AbstractContextManager[Actor]:
        """Name who acts, for every action inside: ``with`` around the handling of a request, say.

        It holds for this thread or task and for the tasks that are begun inside, whatever ``ActionEvents`` they use.
        """
        return acting(Actor(user=user, account=account, domain=domain, project=project))

    def performing(
        self,
        event_type: str,
        *,
        resource: Resource | None = None,
        description: str = "",
        actor: Actor | None = None,
        begins_with: ActionStatus | None = ActionStatus.STARTED,
        start_event_id: UUID | None = None,
        correlation_id: str | None = None,
    ) -> Action:
        """Return the action, to be entered by ``with`` or ``async with``.

        ``begins_with``: what is said at its beginning; None: nothing, and the caller says ``action.created()``,
        ``scheduled()``, ``started()`` where they are true.  ``start_event_id``: it goes on with what was announced
        elsewhere, by ``announce`` or in another process.
        """
        who = actor or self._current_actor()
        if not isinstance(who, Actor):  # not raised: the action itself is in order
            logger.error("%s: a %s is no Actor: it is told without", event_type, type(who).__name__)
            who = NOBODY
        return Action(
            self._emitter,
            event_type,
            actor=who,
            resource=resource,
            description=description,
            begins_with=begins_with,
            start_event_id=start_event_id,
            correlation_id=correlation_id,
            clock=self._clock,
        )

    def announce(
        self,
        event_type: str,
        status: ActionStatus = ActionStatus.SCHEDULED,
        *,
        resource: Resource | None = None,
        description: str = "",
        actor: Actor | None = None,
        correlation_id: str | None = None,
    ) -> UUID | None:
        """Say that an action is to come, which somebody else performs; return the id that belongs to ``performing``.

        None while switched off.
        """
        action = self.performing(
            event_type,
            resource=resource,
            description=description,
            actor=actor,
            begins_with=status,
            correlation_id=correlation_id,
        )
        action.begin()
        action.leave()
        return action.start_event_id

    def performs(
        self,
        event_type: str,
        *,
        resource: Resource | Callable[..., Resource] | None = None,
        resource_of_result: Callable[[Any], Resource] | None = None,
        description: str | Callable[..., str] = "",
        actor: Actor | Callable[..., Actor] | None = None,
        begins_with: ActionStatus | None = ActionStatus.STARTED,
    ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
        """Decorate a function, a method or a coroutine function whose every call is such an action.

        ``resource``, ``description`` and ``actor`` are values, or functions of the call's own arguments.
        ``resource_of_result`` is asked with what the call returns, for what did not exist before.  One of these that
        raises is logged, and the action goes on without.
        """

        if not isinstance(event_type, str) or not event_type:
            raise InvalidArgumentError(f"event_type is {event_type!r}: say what is done, such as VM.START")
        checked_beginning(begins_with)
        told = {"resource": resource, "description": description, "actor": actor}
        fixed: dict[str, Any] = {
            name: value for name, value in told.items() if value is not None and not callable(value)
        }
        asked = {name: value for name, value in told.items() if callable(value)}

        def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
            _check(function)

            def action_of(*args: _P.args, **kwargs: _P.kwargs) -> Action:
                if not asked:
                    return self.performing(event_type, begins_with=begins_with, **fixed)
                about = dict(fixed)
                for name, question in asked.items():
                    try:
                        about[name] = question(*args, **kwargs)
                    except Exception:  # the caller's own function about an action that must go on
                        logger.exception(_UNANSWERED, event_type)
                return self.performing(event_type, begins_with=begins_with, **about)

            def finished(action: Action, result: Any) -> None:
                if resource_of_result is not None:
                    found = self._asked(event_type, partial(resource_of_result, result))
                    if found is not None:
                        action.concerns(found)

            if _is_awaited(function):
                awaited = cast("Callable[_P, Awaitable[Any]]", function)

                @wraps(function)
                async def perform_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                    with action_of(*args, **kwargs) as action:
                        result = await awaited(*args, **kwargs)
                        finished(action, result)
                        return result

                return cast("Callable[_P, _R]", perform_async)

            @wraps(function)
            def perform(*args: _P.args, **kwargs: _P.kwargs) -> _R:
                with action_of(*args, **kwargs) as action:
                    result = function(*args, **kwargs)
                    finished(action, result)
                    return result

            return perform

        return decorate

    def _current_actor(self) -> Actor:
        if (actor := current_actor()) is not None:
            return actor
        if self._actor is None:
            return NOBODY
        return self._asked("an action", self._actor) or NOBODY

    def _asked(self, event_type: str, question: Callable[[], _T]) -> _T | None:
        try:
            return question()
        except Exception:  # the caller's own function about an action that must go on
            logger.exception(_UNANSWERED, event_type)
            return None


def _is_awaited(function: Callable[..., object]) -> bool:
    # An object that is called may be asynchronous as well: its call would end before its work begins.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _check(function: Callable[..., object]) -> None:
    if not callable(function):
        raise InvalidArgumentError(f"{function!r} is not callable: write @classmethod and @property above @performs")
    if inspect.isclass(function):
        raise InvalidArgumentError(f"{function!r} is a class: decorate the method that performs the action")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidArgumentError(
            f"{function!r} is a generator, whose call ends before its work begins: use `with performing(...)` inside"
        )
