"""``bus_amqp.engine.options``: what a subscription may ask for."""

import pytest

from bus_amqp.engine.options import agreed_on, check_same_group, checked, checked_options, retry_of
from bus_amqp.errors import InvalidArgumentError
from bus_amqp.foreign import ForeignSource
from bus_amqp.retry import GROUP_RETRY, NO_RETRY, TEMPORARY_RETRY, RetryPolicy
from bus_amqp.subscriber import Declared, SubscriptionOptions
from tests.unit.fakes import an_event

IN_ORDER = RetryPolicy(keep_order=True)


@pytest.mark.parametrize(
    ("options", "policy"),
    [
        (SubscriptionOptions(), TEMPORARY_RETRY),
        (SubscriptionOptions(group="billing"), GROUP_RETRY),
        (SubscriptionOptions(group="billing", ordered=True), GROUP_RETRY),
        (SubscriptionOptions(group="billing", retry=NO_RETRY), NO_RETRY),
        (SubscriptionOptions(retry=IN_ORDER), IN_ORDER),
    ],
)
def test_each_kind_of_subscription_has_a_policy_unless_one_is_given(
    options: SubscriptionOptions, policy: RetryPolicy
) -> None:
    """Who says nothing gets retries: an event must not be given up for one moment's trouble."""
    assert retry_of(checked_options(options)) is policy


@pytest.mark.parametrize("retry", [None, 3, True, "never", RetryPolicy, object()])
def test_what_is_no_policy_is_refused(retry: object) -> None:
    """None would be read as "no retries" by one and as "the default" by another."""
    with pytest.raises(InvalidArgumentError, match="NO_RETRY"):
        checked_options(SubscriptionOptions(retry=retry))  # type: ignore[arg-type]  # the fault under test


def test_keeping_order_needs_all_events_of_a_resource() -> None:
    """A temporary subscription and an ordered group have them; the members of a plain group do not."""
    checked_options(SubscriptionOptions(retry=IN_ORDER))
    checked_options(SubscriptionOptions(group="billing", ordered=True, retry=IN_ORDER))
    with pytest.raises(InvalidArgumentError, match="ordered=True"):
        checked_options(SubscriptionOptions(group="billing", retry=IN_ORDER))


def test_members_of_a_group_may_retry_differently() -> None:
    """It is how a process handles its share, and nothing that the queue knows of."""
    one, other = SubscriptionOptions(group="g", retry=NO_RETRY), SubscriptionOptions(group="g")

    check_same_group("g", frozenset(), one, frozenset(), other)


def test_who_only_looks_on_tries_nothing_again() -> None:
    """There is no queue in which it could wait."""
    source = ForeignSource("theirs", lambda message: an_event(), exclusive=True)

    assert retry_of(SubscriptionOptions(), source) is NO_RETRY
    assert checked(Declared((), print, SubscriptionOptions(retry=NO_RETRY), source)).foreign is source


def test_members_of_a_foreign_group_agree_on_exchange_and_keys() -> None:
    """Not on the decoder: each process makes its own."""
    sources = [
        ForeignSource("theirs", lambda message: an_event(), binding_keys=("a", "b")),
        ForeignSource("theirs", lambda message: an_event(), binding_keys=("b", "a")),
        ForeignSource("theirs", lambda message: an_event(), binding_keys=("a",)),
        ForeignSource("others", lambda message: an_event(), binding_keys=("a", "b")),
    ]

    first, *rest = [agreed_on(Declared((), print, SubscriptionOptions(), source)) for source in sources]

    assert [first == other for other in rest] == [True, False, False]
