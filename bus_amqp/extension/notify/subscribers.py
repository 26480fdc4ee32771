"""``subscribers_from``: a rule file as subscriptions, for ``bus-amqp notify`` and for a module of one's own.

.. code-block:: python

    from bus_amqp.extension.notify.subscribers import subscribers_from

    subscribers = subscribers_from("rules.toml")  # and then: bus-amqp run my_module:subscribers
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bus_amqp import Subscribers
from bus_amqp.extension.notify.notifier import Notifier
from bus_amqp.extension.notify.rule_file import RuleFile, read_rules


def subscribers_from(path: Path | str, *, check_connections: bool = False) -> Subscribers:
    """Return a subscription for each rule and each of its channels.

    ``check_connections``: connect to each channel's host first, where it can be told.  Raises ``SettingsError`` with
    file and line.
    """
    file = read_rules(path)
    if check_connections:
        file.check_connections()
    return declared(notifiers_of(file))


def notifiers_of(file: RuleFile) -> Sequence[Notifier]:
    """Return the subscribers, each with a channel of its own."""
    return [Notifier(rule, file.open_channel(channel)) for rule in file.rules for channel in rule.channels]


def declared(notifiers: Sequence[Notifier]) -> Subscribers:
    """Return them as subscriptions: each is a group of its own."""
    subscribers = Subscribers()
    for notifier in notifiers:
        rule = notifier.rule
        subscribers.on(rule.topics, group=rule.group_of(notifier.channel.name), retry=rule.retry)(notifier)
    return subscribers
