"""The checks that a subscription's options must pass.  Pure."""

from __future__ import annotations

from bus_amqp.errors import GroupConflictError, InvalidArgumentError
from bus_amqp.foreign import ForeignSource
from bus_amqp.retry import DEFAULT_RETRY, GROUP_RETRY, NO_RETRY, TEMPORARY_RETRY, RetryPolicy
from bus_amqp.subscriber import Declared, SubscriptionOptions
from bus_amqp.topology.names import check_group

MAX_WORKERS = 1024
MAX_PREFETCH = 65535  # AMQP's field has 16 bits


def checked(declared: Declared) -> Declared:
    """Return the declaration.  Raises ``InvalidArgumentError`` naming the option that is wrong."""
    options = checked_options(declared.options)
    if declared.foreign is not None and declared.foreign.exclusive:
        if options.group is not None:
            raise InvalidArgumentError(
                f"exclusive=True is for this connection alone, so group {options.group!r} cannot be"
            )
        if options.retry not in (DEFAULT_RETRY, NO_RETRY):
            raise InvalidArgumentError("exclusive=True declares no queue to wait in, so there is no retry to be had")
    return declared


def checked_options(options: SubscriptionOptions) -> SubscriptionOptions:
    """Return the options.  Raises ``InvalidArgumentError`` naming the one that is wrong."""
    if options.group is not None:
        check_group(options.group)
    elif options.ordered:
        raise InvalidArgumentError("ordered=True is for groups; a temporary subscription is in order already")
    _check_number("workers", options.workers, most=MAX_WORKERS)
    if options.prefetch is not None:
        _check_number("prefetch", options.prefetch, most=MAX_PREFETCH)
    _check_retry(options)
    return options


def retry_of(options: SubscriptionOptions, foreign: ForeignSource | None = None) -> RetryPolicy:
    """Return the policy that was given, or that of the kind of subscription."""
    if isinstance(options.retry, RetryPolicy):
        return options.retry
    if foreign is not None and foreign.exclusive:
        return NO_RETRY
    return TEMPORARY_RETRY if options.group is None else GROUP_RETRY


def _check_retry(options: SubscriptionOptions) -> None:
    retry = options.retry
    if retry is DEFAULT_RETRY:
        return
    if not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy (NO_RETRY: dead-letter at once), not {retry!r}")
    if retry.keep_order and options.group is not None and not options.ordered:
        raise InvalidArgumentError(
            f"keep_order=True needs ordered=True for group {options.group!r}: the members of a plain group share "
            "the events of a resource, so none of them can keep the later ones back"
        )


def _check_number(name: str, value: object, *, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidArgumentError(f"{name} must be a whole number from 1 to {most}, not {value!r}")


def agreed_on(declared: Declared) -> frozenset[object]:
    """Return what the members of a group must agree on: topics, or an exchange and the keys it is bound with."""
    foreign = declared.foreign
    if foreign is None:
        return frozenset(declared.topics)
    return frozenset(f"{foreign.exchange}: {key}" for key in foreign.binding_keys)


def check_same_group(
    group: str,
    topics: frozenset[object],
    options: SubscriptionOptions,
    other_topics: frozenset[object],
    other_options: SubscriptionOptions,
) -> None:
    """Raise ``GroupConflictError`` unless two subscriptions of one group can share its queue."""
    if topics != other_topics:
        raise GroupConflictError(
            f"group {group!r} is already subscribed in this process with other topics "
            f"({sorted(map(str, topics))}): the members of a group share one queue, so they must agree; "
            "use one subscription or another group name"
        )
    if options.ordered != other_options.ordered:
        raise GroupConflictError(
            f"group {group!r} is already subscribed in this process with ordered={options.ordered}"
        )
