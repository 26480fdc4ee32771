"""``subscribers_from``: which subscriptions a rule file makes."""

from pathlib import Path

import pytest

from bus_amqp import SettingsError
from bus_amqp.extension.notify.rule_file import read_rules
from bus_amqp.extension.notify.subscribers import notifiers_of, subscribers_from

EXAMPLE = Path(__file__).parents[4] / "docs/examples/notify.toml"


def test_each_rule_and_channel_is_a_group_of_its_own() -> None:
    """So a channel that fails is tried again alone, and nothing that somebody else has to send waits for it."""
    declared = list(subscribers_from(EXAMPLE))

    assert [one.options.group for one in declared] == [
        "notify-alerts--chat",
        "notify-machine-failed--operations",
        "notify-machine-failed--oncall",
        "notify-storage-fills-up--operations",
    ]
    assert len({id(one.subscriber.channel) for one in declared}) == 4, "no two threads share a channel"
    assert [len(one.topics) for one in declared] == [1, 2, 2, 1]
    assert {one.options.workers for one in declared} == {1}
    assert [one.options.retry.attempts for one in declared] == [5, 6, 6, 5]


def test_a_channel_is_opened_as_its_table_says(tmp_path: Path) -> None:
    """Apprise waits 5.5 s between two mails, unless it is told otherwise."""
    file = tmp_path / "rules.toml"
    file.write_text("[channel.chat]\nurl = 'json://127.0.0.1:1'\npause_seconds = 3.5\n[rule.a]\nchannels = ['chat']\n")

    [notifier] = notifiers_of(read_rules(file))

    assert notifier.channel.pause_seconds == 3.5


def test_connections_are_checked_when_asked_for(tmp_path: Path) -> None:
    """A process that cannot reach its mail server should not look as if it watched over anything."""
    file = tmp_path / "rules.toml"
    file.write_text("[channel.chat]\nurl = 'json://127.0.0.1:1'\n[rule.a]\nchannels = ['chat']\n")

    assert len(subscribers_from(file)) == 1
    with pytest.raises(SettingsError, match=r"rules.toml:1: channel chat: 127.0.0.1:1 cannot be reached"):
        subscribers_from(file, check_connections=True)
