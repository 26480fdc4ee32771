"""``bus_amqp.consume.asked_event``: what a handler's annotation asks for.

Annotations are text here, as with most users; ``functools.wraps`` and its like are looked through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar
from unittest import mock

import pytest
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from bus_amqp.consume.asked_event import asked_event
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.event import Event

if TYPE_CHECKING:
    from nowhere import Gone  # type: ignore[import-not-found]


class Usage(BaseModel):
    account: str


class Alert(BaseModel):
    level: int


class Unfit:
    """Nothing that pydantic could validate."""


UsageEvent = Event[Usage]
UsageType = TypeAliasType("UsageType", UsageEvent)  # what Python 3.12 makes of `type UsageType = ...`
UsageT = TypeVar("UsageT", bound=UsageEvent)


def function(event: Event[Usage]) -> Gone:
    """Whether the rest can be resolved does not matter."""


async def coroutine_function(event: Event[Usage]) -> None:
    """Handle nothing."""


def by_another_name(event: UsageEvent) -> None:
    """Handle nothing."""


def by_an_alias(event: UsageType) -> None:
    """Handle nothing."""


def annotated(event: Annotated[Event[Usage], "remark"]) -> None:
    """Handle nothing."""


def or_none(event: Event[Usage] | None) -> None:
    """Handle nothing."""


def in_quotes(event: Optional["Event[Usage]"]) -> None:  # noqa: UP037, UP045 -- as users write it
    """Handle nothing."""


def bound(event: UsageT) -> UsageT:
    """Handle nothing."""
    return event


def any_number(*events: Event[Usage]) -> None:
    """Handle nothing."""


def with_account(account: str, event: Event[Usage], *, dry: bool = False) -> None:
    """Handle nothing."""


def decorated(handler: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(handler)
    def inner(*args: object, **named: object) -> object:
        return handler(*args, **named)

    return inner


class Billing:
    def on_event(self, event: Event[Usage]) -> None:
        """Handle nothing."""

    @decorated
    def on_alert(self, event: Event[Usage]) -> None:
        """Handle nothing."""

    @classmethod
    def of_class(cls, event: Event[Usage]) -> None:
        """Handle nothing."""

    @staticmethod
    def static(event: Event[Usage]) -> None:
        """Handle nothing."""

    def __call__(self, event: Event[Usage]) -> None:
        """Handle nothing."""


@pytest.mark.parametrize(
    "handler",
    [
        function,
        coroutine_function,
        by_another_name,
        by_an_alias,
        annotated,
        or_none,
        in_quotes,
        bound,
        any_number,
        functools.partial(with_account, "ada"),
        functools.partial(functools.partial(with_account, "ada"), dry=True),
        decorated(function),
        decorated(functools.partial(with_account, "ada")),
        decorated(Billing().on_event),
        decorated(Billing()),
        Billing().on_event,
        Billing().on_alert,
        Billing.of_class,
        Billing.static,
        Billing(),
    ],
)
def test_what_a_handler_asks_for_is_found_however_it_is_written(handler: Any) -> None:
    """Not found, validation would be dropped without a word."""
    assert asked_event(handler) is Event[Usage]


def test_names_of_functions_and_classes_around_the_handler_are_known() -> None:
    """A model may stand beside its handler, as in every test of a user's."""

    class Local(BaseModel):
        account: str

    def handler(event: Event[Local]) -> type[Local]:
        return Local

    class Owner:
        class Inside(BaseModel):
            account: str

        def on_event(self, event: Event[Inside]) -> None:
            """Handle nothing."""

        def __call__(self, event: Event[Inside]) -> None:
            """Handle nothing."""

    assert asked_event(handler) is Event[Local]
    assert asked_event(Owner().on_event) is Event[Owner.Inside]
    assert asked_event(Owner()) is Event[Owner.Inside]


def test_a_name_that_is_given_its_meaning_later_is_in_nobodys_way() -> None:
    """A handler may use what its function defines after it has subscribed."""

    def handler(event: Event[Usage]) -> None:
        later()

    asked = asked_event(handler)

    def later() -> None:
        """Do nothing."""

    assert asked is Event[Usage]


def plain(event: Event) -> None:
    """Handle nothing."""


def anything(event: Event[object]) -> None:
    """Handle nothing."""


def default_spelled_out(event: Event[dict[str, Any]]) -> None:
    """Handle nothing."""


def without(event):  # type: ignore[no-untyped-def]
    """Handle nothing."""


def something_else(event: int) -> None:
    """Handle nothing."""


def only_for_checkers(event: Gone) -> None:
    """Handle nothing."""


def second(event: Event, other: Event[Usage] = UsageEvent) -> None:  # type: ignore[assignment]
    """Handle nothing."""


def by_keyword(*, event: Event[Usage]) -> None:
    """Never called: the bus passes no keyword."""


def odd(event: 1 / 0) -> None:  # type: ignore[valid-type]
    """Handle nothing."""


class Proxy:
    """Answers whatever it is asked, as clients of remote objects do."""

    def __getattr__(self, name: str) -> Proxy:
        return Proxy()

    def __call__(self, *args: object) -> Proxy:
        return Proxy()


class OwnEvent(Event):
    """A plain event of the user's own."""


def own_class(event: OwnEvent) -> None:
    """Handle nothing."""


@pytest.mark.parametrize(
    "handler",
    [
        plain, anything, default_spelled_out, without, something_else, only_for_checkers, second, by_keyword, odd,
        own_class, Proxy(), lambda event: None, [].append, print, mock.Mock(), mock.MagicMock(), mock.AsyncMock(),
    ],
)  # fmt: skip
def test_whoever_asks_for_nothing_gets_plain_events_and_no_error(handler: Any) -> None:
    """Annotations are nobody's duty: none of these may fail to subscribe for what they say or leave out."""
    assert asked_event(handler) is None


def unfit(event: Event[Unfit]) -> None:
    """Handle nothing."""


def unknown(event: Event[Gone]) -> None:
    """Handle nothing."""


def unknown_or_none(event: Optional["Event[Gone]"]) -> None:  # noqa: UP037, UP045 -- as users write it
    """Handle nothing."""


def either(event: Event[Usage] | Event[Alert]) -> None:
    """Handle nothing."""


class TypedOwnEvent(Event[Usage]):
    """A typed event of the user's own."""


def typed_own_class(event: TypedOwnEvent) -> None:
    """Handle nothing."""


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (unfit, r"unfit cannot subscribe: Event\[Unfit\]: .*cannot be validated"),
        (unknown, r"unknown cannot subscribe: its annotation Event\[Gone\] .*'Gone' is not defined.*run time"),
        (unknown_or_none, r"unknown_or_none cannot subscribe: .*'Gone' is not defined"),
        (either, r"either cannot subscribe: write Event\[Usage \| Alert\]"),
        (typed_own_class, r"TypedOwnEvent is a class of your own: ask for Event\[Usage\]"),
    ],
)
def test_what_is_asked_for_and_cannot_be_had_is_refused(handler: Any, says: str) -> None:
    """Bad input: who relies on validated details must not get others without a word."""
    with pytest.raises(InvalidArgumentError, match=says):
        asked_event(handler)
